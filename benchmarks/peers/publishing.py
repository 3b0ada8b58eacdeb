"""What the Python peers have in common: who is in which room, the updates and their pace, a timed collection.

A peer is a program `PEER.py ROOMS RATE TOGETHER`: it prints "PORT PID" and serves until it is ended. On SIGUSR2, when
all clients are there, it begins to give each room RATE updates a second: those of all rooms at once if TOGETHER is 1,
else spread over ten slots of a period. Who is a whole period behind publishes fewer, instead of a burst. A client is in
the rooms of its query, `?rooms=1,2`. On SIGUSR1 it prints how many milliseconds one full collection took.
"""

import asyncio
import gc
import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

SLOTS = 10
BACKLOG = 4096
NOTE = "0" * 80  # makes an update about 150 bytes
ROOMS, RATE, TOGETHER = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "1"

members: defaultdict[int, set[Any]] = defaultdict(set)
begun = asyncio.Event()
Send = Callable[[int, dict[str, Any]], Awaitable[None]]


def rooms_of(path: str) -> list[int]:
    """The rooms that a request's path asks for."""
    return [int(word) for word in parse_qs(urlsplit(path).query)["rooms"][0].split(",")]


def enter(path: str, client: Any) -> None:
    """Into the rooms asked for."""
    for room in rooms_of(path):
        members[room].add(client)


def leave(client: Any) -> None:
    """Out of all rooms."""
    for there in members.values():
        there.discard(client)


def text(update: dict[str, Any]) -> str:
    """Compact JSON."""
    return json.dumps(update, separators=(",", ":"))


def announce(port: int, pid: int | None = None) -> None:
    """Tell the benchmark where and whom to measure."""
    signal.signal(signal.SIGUSR1, lambda *_: _collect())
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, begun.set)
    print(port, pid or os.getpid(), flush=True)


def _collect() -> None:
    began = time.perf_counter()
    gc.collect()
    print(f"{(time.perf_counter() - began) * 1e3:.1f}", flush=True)


async def publish(send: Send) -> None:
    """Give every room its updates, for ever, once it is time to begin."""
    numbers = [0] * ROOMS
    slots = 1 if TOGETHER else SLOTS
    await begun.wait()
    slot, at = 0, time.monotonic()
    while True:
        for room in range(slot, ROOMS, slots):
            numbers[room] += 1
            update = {"type": "update", "sub": room, "done": time.time_ns(), "total": numbers[room], "note": NOTE}
            await send(room, update)
        slot = (slot + 1) % slots
        at += 1 / RATE / slots
        if time.monotonic() > at + 1 / RATE:
            at = time.monotonic()
        await asyncio.sleep(at - time.monotonic())
