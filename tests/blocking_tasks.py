"""Tasks that block what they should not, for the tests of the watchdog. `line_of` says where."""

import asyncio
import json
import re
import time
from pathlib import Path

from windsock import Progress, task

pause = time.sleep  # by a name that no check of style knows
ROWS = [{"number": number, "text": "x" * 20} for number in range(1000)]


def line_of(mark: str) -> str:
    """`blocking_tasks.py:NN` of the line that ends with a comment."""
    lines = Path(__file__).read_text().splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {mark}")]
    return f"{Path(__file__).name}:{number}"


def backtrack(letters: int) -> None:
    """A regular expression in C that keeps the GIL: each letter doubles its time."""
    re.match(r"(a|a)*b", "a" * letters)  # regex


def dump(seconds: float) -> int:
    """JSON in C that keeps the GIL, in one call that takes about so long."""
    started = time.thread_time()
    json.dumps(ROWS)
    copies = max(1, round(seconds / max(1e-6, time.thread_time() - started)))
    return len(json.dumps(ROWS * copies))  # dump


@task
async def innocent(seconds: float, progress: Progress) -> int:
    """Lets the loop go on all the time."""
    end, turns = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        turns += 1
        progress.update(turns)
        await asyncio.sleep(0.005)
    return turns


@task
async def sleeps(seconds: float, then_s: float = 0.0) -> None:
    """Sleeps on the loop."""
    pause(seconds)  # sleep
    await asyncio.sleep(then_s)


@task
async def sleeps_often(seconds: float, times: int) -> None:
    """… again and again."""
    for _ in range(times):
        pause(seconds)
        await asyncio.sleep(0.01)


@task
async def sleeps_below(seconds: float) -> None:
    """Sleeps in a task that it has started."""

    async def below() -> None:
        pause(seconds)  # below

    await asyncio.gather(below(), asyncio.sleep(0))


@task
async def calls_later(seconds: float) -> None:
    """Sleeps in a callback."""
    done = asyncio.Event()

    def late() -> None:
        time.sleep(seconds)  # callback
        done.set()

    asyncio.get_running_loop().call_soon(late)
    await done.wait()


@task
async def computes(seconds: float) -> None:
    """Keeps the loop busy in Python."""
    end = time.thread_time() + seconds  # of its own: the machine may be busy
    while time.thread_time() < end:
        sum(range(1000))


@task
async def backtracks(letters: int) -> None:
    """Keeps the GIL on the loop."""
    backtrack(letters)


@task
async def dumps(seconds: float) -> int:
    """The same by JSON."""
    return dump(seconds)


@task
async def returns_much(rows: int) -> list[int]:
    """Its result takes long to check and to pack."""
    return list(range(rows))


@task
def thread_sleeps(seconds: float) -> None:
    """Sleeps where it may."""
    time.sleep(seconds)


@task
def thread_computes(seconds: float) -> None:
    """Keeps a thread busy in Python."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


@task
def thread_backtracks(letters: int) -> None:
    """Keeps the GIL in a thread: the loop stands still all the same."""
    backtrack(letters)


@task(process=True)
def process_backtracks(letters: int) -> None:
    """Keeps the GIL of a process."""
    backtrack(letters)
