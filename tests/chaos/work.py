"""The tasks of the chaos suite. Each entry of a log says which job wrote it, in which attempt, and its number."""

import asyncio
import time
from typing import Any

from windsock import Progress, task


def _say(progress: Progress, number: int, count: int, width: int) -> None:
    progress.update(number, count, unit="lines", note=f"line {number}")
    if number % 7 == 0:
        progress.emit({"line": f"{progress.job_id} {progress.attempt} {number}"})
    else:
        progress.log(f"{progress.job_id} {progress.attempt} {number} {'.' * width}")


def _told(progress: Progress, count: int, filler: int) -> dict[str, Any]:
    return {"job": progress.job_id, "attempt": progress.attempt, "lines": count, "filler": "x" * filler}


@task
async def lines(
    count: int, pause_s: float, progress: Progress, burst: int = 1, width: int = 0, filler: int = 0, fails: bool = False
) -> dict[str, Any]:
    """Writes numbered lines, `burst` of them at a time, and tells how many they were."""
    for number in range(1, count + 1):
        _say(progress, number, count, width)
        if number % burst == 0:
            await asyncio.sleep(pause_s)
    if fails:
        raise ValueError(f"{count} lines")
    return _told(progress, count, filler)


@task
def lines_in_thread(count: int, pause_s: float, progress: Progress) -> dict[str, Any]:
    """The same in a thread."""
    for number in range(1, count + 1):
        _say(progress, number, count, 0)
        time.sleep(pause_s)
    return _told(progress, count, 0)


@task
async def lines_of_family(count: int, pause_s: float, progress: Progress, children: int = 3) -> dict[str, Any]:
    """The same, and in the middle of it waits for children that write theirs."""
    for number in range(1, count + 1):
        _say(progress, number, count, 0)
        await asyncio.sleep(pause_s)
        if number == count // 2:
            for _ in range(children):
                progress.spawn("lines", max_attempts=10, count=10, pause_s=pause_s)
            told = await progress.gather()
            assert [one["lines"] for one in told] == [10] * children, told
    return _told(progress, count, 0)


@task
async def chatter(count: int, pause_s: float, progress: Progress, log: bool = True) -> int:
    """Speaks again and again and says when: the time, nanoseconds since the epoch, as the bar and as a log line."""
    for _ in range(count):
        now = time.time_ns()
        progress.update(now)
        if log:
            progress.log(f"{now} {'.' * 100}")
        await asyncio.sleep(pause_s)
    return count
