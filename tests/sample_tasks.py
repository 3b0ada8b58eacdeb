"""Tasks for tests."""

import asyncio
import threading
import time
from typing import Any

from windsock import Progress, task

gate = threading.Event()  # lets `hold_thread` end


@task
async def add(a: int, b: int = 1) -> int:
    """Adds two numbers."""
    return a + b


@task
async def steps(count: int, progress: Progress, pause_s: float = 0.0) -> int:
    """Counts, logs each step."""
    for i in range(1, count + 1):
        progress.update(i, count, unit="steps", note=f"step {i}")
        progress.log(f"step {i}")
        await asyncio.sleep(pause_s)
    return count


@task
async def emit_all(values: list[Any], progress: Progress) -> int:
    """Emits each value."""
    for value in values:
        progress.emit(value)
    return len(values)


@task
async def fail(message: str) -> None:
    """Raises."""
    raise ValueError(message)


@task
async def forever(progress: Progress) -> None:
    """Waits until it is cancelled."""
    progress.update(0, None, note="waiting")
    await asyncio.Event().wait()


@task
async def stubborn(seconds: float) -> str:
    """Does not heed being cancelled."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            continue
    return "finished anyway"


@task
async def give(kind: str) -> Any:
    """Returns something special."""
    return {
        "object": object(),
        "nan": float("nan"),
        "large": "x" * 2_000_000,
        "set": {1},
        "deep": _deep(),
        "none": None,
        "generator": (i for i in range(3)),
    }[kind]


def _deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(50):
        value = [value]
    return value


@task(timeout_s=0.2)
async def slow() -> None:
    """Runs into its timeout."""
    await asyncio.sleep(30)


@task
def in_thread(progress: Progress, count: int = 3) -> str:
    """Counts in a thread."""
    for _ in progress.track(range(count), unit="turns"):
        progress.log("turn")
    return threading.current_thread().name


@task
def hold_thread(progress: Progress, polite: bool = True) -> str:
    """Stays in its thread until it is let go, with or without progress calls."""
    while not gate.wait(0.01):
        if polite:
            progress.advance()
    return "let go"


@task
async def exits() -> None:
    """Calls sys.exit."""
    raise SystemExit(3)


class Talk:
    """What a test tells the jobs of `talker` to say, by job id."""

    def __init__(self) -> None:
        self._queues: dict[str, asyncio.Queue[str | None]] = {}

    def open(self, job_id: str) -> "asyncio.Queue[str | None]":
        """The job's end of it."""
        return self._queues.setdefault(job_id, asyncio.Queue())

    def there(self, job_id: str) -> bool:
        """Whether the job listens."""
        return job_id in self._queues

    def put(self, job_id: str, text: str | None) -> None:
        """Let it say this; None lets it end."""
        self._queues[job_id].put_nowait(text)


talk = Talk()


@task
async def talker(progress: Progress) -> int:
    """Logs what it is told to."""
    told = talk.open(progress.job_id)
    count = 0
    while (text := await told.get()) is not None:
        progress.log(text)
        count += 1
    return count
