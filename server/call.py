"""One call that a process of the pool runs: what its process says of it, and how it ends."""

import asyncio
from collections.abc import Callable
from typing import Any

from server.inside import made_of
from server.job import ErrorCode, JobState
from server.line import Word
from server.marks import MARK
from server.outcome import End, ProcessDied, TaskFailed, failed, type_name
from server.profiling import Made
from server.progress import JobCancelled, Progress


class NotBegun(Exception):
    """The process ended before the function began; another may take the call."""


class Call:
    """One call that a process runs."""

    def __init__(self, number: int, progress: Progress, begin: Callable[[], None]) -> None:
        self.number = number
        self.progress = progress
        self.begin = begin  # to be called when the function does
        self.begun = False
        self.mark = MARK.get()
        self.seen: list[asyncio.Future[dict[str, Any]]] = []  # who wants to know where the function stands
        self.sampled: dict[int, Callable[[Made], None]] = {}  # who waits for which profile
        self.pressed_since: float | None = None  # monotonic seconds: the store is behind
        self.end: asyncio.Future[End] = asyncio.get_running_loop().create_future()

    def on_insight(self, word: Word, content: list[Any]) -> None:
        """The process tells of its function."""
        if word is Word.SEEN:
            for one in self.seen:
                if not one.done():
                    one.set_result(content[0])
            self.seen.clear()
        elif content[0]:
            if (done := self.sampled.pop(content[0], None)) is not None:
                done(made_of(content[1:]))
        elif self.mark is not None:
            self.mark.made = made_of(content[1:])

    def settle(self, end: End | BaseException) -> None:
        """The first end stands."""
        if not self.end.done():
            if isinstance(end, End):
                self.end.set_result(end)
            else:
                self.end.set_exception(end)


def verdict(
    state: str, outcome: bytes | None, result_bytes: int | None, type_names: list[str], delay_s: float
) -> End | BaseException:
    """What a process says its function ended with."""
    end = End(JobState(state), outcome, result_bytes, delay_s)
    if end.state is JobState.CANCELLED:
        return JobCancelled()
    return end if end.state is JobState.SUCCEEDED else TaskFailed(end, type_names)


def died(how: str) -> TaskFailed:
    """The failure that a dead process means."""
    end = failed(ErrorCode.PROCESS_DIED, f"the process died: {how}")
    return TaskFailed(end, [type_name(ProcessDied), "builtins.Exception"])
