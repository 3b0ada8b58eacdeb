"""What a parent waits for: that children are stored, and that they end."""

import asyncio
from collections.abc import Generator
from typing import Any

from server.job import JobState


class Waiter:
    """What one `gather` waits for."""

    __slots__ = ("bad", "impatient", "news", "pending")

    def __init__(self, pending: set[str], *, impatient: bool) -> None:
        self.pending = pending  # ids
        self.bad: str | None = None  # id of the first child that has ended without a result
        self.impatient = impatient  # it does not wait for the others then
        self.news = asyncio.Event()

    def note(self, job_id: str, state: str) -> None:
        """A child has ended."""
        if job_id not in self.pending:
            return
        self.pending.discard(job_id)
        if state != JobState.SUCCEEDED and self.bad is None:
            self.bad = job_id
        if self.over:
            self.news.set()

    @property
    def over(self) -> bool:
        """Whether it has waited long enough."""
        return not self.pending or (self.impatient and self.bad is not None)


class Stored:
    """Whether a child is stored; whoever stops waiting for that leaves others waiting."""

    __slots__ = ("asked", "future")

    def __init__(self) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked = False  # the task has waited for it

    def __await__(self) -> Generator[Any, None, None]:
        self.asked = True
        return asyncio.shield(self.future).__await__()

    @property
    def refused(self) -> bool:
        """Whether it could not be."""
        return self.future.done() and not self.future.cancelled() and self.future.exception() is not None
