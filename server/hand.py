"""The jobs a worker holds: attempts whose end the store does not have yet."""

import asyncio
import logging

from server.attempt import Attempt, Reason

log = logging.getLogger("windsock.worker")
GIVE_BACK_S = 5.0  # longest wait for what is given back


class Hand(dict[str, Attempt]):
    """Owns these attempts, by job id."""

    def __init__(self) -> None:
        super().__init__()
        self._empty = asyncio.Event()
        self._empty.set()

    def hold(self, attempt: Attempt) -> None:
        """An attempt begins."""
        self[attempt.lease.id] = attempt
        self._empty.clear()

    def let_go(self, attempt: Attempt) -> None:
        """The store has its end."""
        if self.get(attempt.lease.id) is attempt:
            del self[attempt.lease.id]
        if not self:
            self._empty.set()

    async def drain(self, grace_s: float, cancel_grace_s: float) -> None:
        """Let what runs end; after the grace give it back."""
        if self and grace_s > 0:
            log.info("waiting up to %g s for %d jobs", grace_s, len(self))
        if await self._emptied(grace_s):
            return
        log.info("giving back %d jobs", len(self))
        for attempt in list(self.values()):
            attempt.interrupt(Reason.DRAIN, grace_s=min(1.0, cancel_grace_s))
        await self._emptied(GIVE_BACK_S)

    async def _emptied(self, wait_s: float) -> bool:
        try:
            async with asyncio.timeout(wait_s):
                await self._empty.wait()
        except TimeoutError:
            return not self
        return True
