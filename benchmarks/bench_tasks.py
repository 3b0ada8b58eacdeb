"""Tasks that the benchmarks run."""

import asyncio
import time

from windsock import Progress, task


@task
async def noop() -> None:
    """Does nothing."""


@task
async def stamps(count: int, pause_s: float, progress: Progress) -> None:
    """Says what time it is, again and again."""
    for _ in range(count):
        await asyncio.sleep(pause_s)
        progress.update(time.time_ns())


@task
async def first_line() -> float:
    """When it began, seconds since the epoch."""
    return time.time()


@task
async def forever(progress: Progress) -> None:
    """Waits to be cancelled."""
    progress.update(0)
    await asyncio.Event().wait()


@task
async def ticks(seconds: int, progress: Progress) -> None:
    """Tells its progress four times a second."""
    for step in range(4 * seconds):
        progress.update(step, 4 * seconds, unit="steps")
        await asyncio.sleep(0.25)
