"""Counts primes: work for the processor, in a process of its own."""

from collections.abc import Iterator
from math import isqrt
from typing import Annotated

from pydantic import Field

from windsock import Progress, task

SEGMENT = 1 << 20  # numbers sieved between two progress calls, a few ms; even


@task(process=True)
def count_primes(progress: Progress, limit: Annotated[int, Field(ge=0, le=10**10)]) -> dict[str, int | None]:
    """Count the primes up to a limit with a segmented sieve.

    Args:
        limit: the largest number looked at.
    """
    progress.update(0, limit, unit="numbers")
    primes, largest = (1, 2) if limit >= 2 else (0, None)
    tenths = 0
    for low, end, flags in segments(limit):
        primes += flags.count(1)
        last = flags.rfind(1)
        if last >= 0:
            largest = low + 1 + 2 * last
        progress.update(end, note=f"{primes:,} primes")
        if end * 10 // limit > tenths:
            tenths = end * 10 // limit
            progress.log(f"{primes:,} primes up to {end:,}")
    return {"limit": limit, "primes": primes, "largest": largest}


def segments(limit: int) -> Iterator[tuple[int, int, bytearray]]:
    """Stretches (low, end] up to `limit`, and a byte for each odd number in them: 1 for a prime.

    Byte `i` stands for `low + 1 + 2 * i`; `low` is even.
    """
    small = odd_primes_up_to(isqrt(limit))
    for low in range(0, limit, SEGMENT):
        end = min(low + SEGMENT, limit)
        flags = bytearray(b"\x01") * ((end + 1) // 2 - low // 2)
        if low == 0:
            flags[0] = 0  # 1 is not a prime
        for prime in small:
            if prime * prime > end:
                break
            first = max(prime * prime, (low // prime + 1) * prime)
            first += prime if first % 2 == 0 else 0
            cross_out(flags, (first - low) // 2, prime)
        yield low, end, flags


def cross_out(flags: bytearray, first: int, step: int) -> None:
    """Mark every `step`-th number from index `first` on as not prime."""
    flags[first::step] = bytes(len(range(first, len(flags), step)))


def odd_primes_up_to(limit: int) -> list[int]:
    """The odd primes up to `limit`, by the plain sieve."""
    flags = bytearray(b"\x01") * (limit + 1)
    for number in range(3, isqrt(limit) + 1, 2):
        if flags[number]:
            cross_out(flags, number * number, 2 * number)
    return [number for number in range(3, limit + 1, 2) if flags[number]]
