"""Reads from the store that nobody waits for: begun by the hub, tried again while Redis is away, ended with it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from server.errors import Unavailable
from server.topic import Topic
from server.window import Window

log = logging.getLogger("windsock.hub")
Answer = TypeVar("Answer")
RETRY_S = 0.25


class Reads:
    """Owns the reads under way, and knows which of them have to be made once more."""

    def __init__(self) -> None:
        self.under_way: set[asyncio.Future[None]] = set()
        self.outdated: set[Topic | Window] = set()  # being read, and something was missed meanwhile

    def __len__(self) -> int:
        return len(self.under_way)

    def begin(self, work: Awaitable[None]) -> None:
        """Read; a failure is loud and hurts nobody else."""
        task = asyncio.ensure_future(work)
        self.under_way.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: "asyncio.Future[None]") -> None:
        self.under_way.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a read failed", exc_info=task.exception())

    async def until(self, read: Callable[[], Awaitable[Answer]], wanted: Callable[[], bool]) -> Answer | None:
        """What `read` answers, tried again while Redis is away and the answer is still wanted."""
        while wanted():
            try:
                return await read()
            except Unavailable as error:
                log.info("a read has to wait: %s", error)
                await asyncio.sleep(RETRY_S)
        return None

    def was_outdated(self, read: Topic | Window) -> bool:
        """Whether something was missed while this was being read."""
        outdated = read in self.outdated
        self.outdated.discard(read)
        return outdated

    async def stop(self) -> None:
        """End all of them."""
        reads = list(self.under_way)
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
