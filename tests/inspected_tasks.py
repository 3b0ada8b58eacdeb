"""Tasks to be looked at from outside, for the tests of stacks and profiles. `line_of` says where."""

import asyncio
import threading
import time
from pathlib import Path

from windsock import Progress, task


def line_of(mark: str) -> int:
    """Number of the line that ends with a comment."""
    lines = Path(__file__).read_text().splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {mark}")]
    return number


def hot(seconds: float) -> int:
    """Where the time goes."""
    end, turns = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        turns += sum(range(200))
    return turns


def cold() -> int:
    """Hardly any time goes here."""
    return sum(range(10))


async def deep() -> None:
    """Waits at the end of a chain."""
    await asyncio.sleep(60)  # deep


async def middle() -> None:
    """… of three."""
    await deep()  # middle


@task
async def waits(progress: Progress) -> None:
    """Waits in a chain of coroutines."""
    progress.update(1, 2)
    await middle()  # waits


@task
async def gathers(progress: Progress) -> None:
    """Waits for tasks of its own."""
    progress.update(1, 2)
    await asyncio.gather(asyncio.create_task(middle(), name="one"), asyncio.create_task(deep(), name="two"))  # gathers


@task
async def blocks(seconds: float, progress: Progress) -> None:
    """Does not let the loop go on."""
    progress.update(1, 2)
    await asyncio.sleep(0.1)
    threading.Event().wait(seconds)  # blocks


@task
def thread_waits(seconds: float, progress: Progress) -> None:
    """Waits in a thread."""
    progress.update(1, 2)
    threading.Event().wait(seconds)  # thread


@task(process=True)
def process_waits(seconds: float, progress: Progress) -> None:
    """Waits in a process."""
    progress.update(1, 2)
    time.sleep(seconds)  # process


@task
async def computes(seconds: float, progress: Progress) -> None:
    """Short pieces of work on the loop."""
    progress.update(1, 2)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        cold()
        hot(0.02)
        await asyncio.sleep(0)


@task
def thread_computes(seconds: float, progress: Progress) -> None:
    """Works in a thread."""
    progress.update(1, 2)
    cold()
    hot(seconds)


@task(process=True)
def process_computes(seconds: float, progress: Progress) -> None:
    """Works in a process."""
    progress.update(1, 2)
    cold()
    hot(seconds)


@task
async def other(seconds: float) -> None:
    """Works on the loop beside one that is looked at."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        beside()
        await asyncio.sleep(0)


def beside() -> int:
    """… and must not be in its profile."""
    end = time.perf_counter() + 0.01
    while time.perf_counter() < end:
        pass
    return 0
