"""The rhythm of watching: marks on the jobs that somebody looks at, and a second look at the store now and then.

A marked job is reported often, any other once a second. Marks last `MARK_S` and are renewed while somebody looks; when
a node dies its marks run out. The second look repairs what a lost message would have left wrong for ever.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Iterable

from server.broker import Broker
from server.errors import Unavailable

log = logging.getLogger("windsock.hub")
MARK_S = 10.0
RENEW_S = MARK_S / 3
BATCH = 500  # jobs in one call
JITTER = 0.3  # so that many nodes do not look at the same moment


class Vigil:
    """Owns the timers, and the marks that are still to be set.

    Args:
        watched: the ids of all jobs that somebody looks at now.
        reread: compares what the node holds with the store.
        every_s: about how often.
    """

    def __init__(
        self,
        broker: Broker,
        watched: Callable[[], Collection[str]],
        reread: Callable[[], Awaitable[None]],
        every_s: float,
    ) -> None:
        self._broker = broker
        self._watched = watched
        self._reread = reread
        self._every_s = every_s
        self._unmarked: dict[str, None] = {}
        self._marking: asyncio.Task[None] | None = None
        self._rounds: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin both rounds."""
        loop = asyncio.get_running_loop()
        self._rounds = [
            loop.create_task(self._round(RENEW_S, self._renew), name="renew marks"),
            loop.create_task(self._round(self._every_s, self._reread), name="second look"),
        ]

    def mark(self, job_ids: Iterable[str]) -> None:
        """Somebody has begun to look at these; all of a loop turn are marked by one call."""
        self._unmarked.update(dict.fromkeys(job_ids))
        if self._unmarked and self._marking is None:
            self._marking = asyncio.get_running_loop().create_task(self._mark(), name="mark")

    async def _mark(self) -> None:
        try:
            while self._unmarked:
                batch = list(self._unmarked)[:BATCH]
                for job_id in batch:
                    del self._unmarked[job_id]
                await self._broker.watch(batch, MARK_S)
        except Unavailable as error:
            log.info("watched jobs cannot be marked: %s", error)  # renewed soon
        except Exception:
            log.exception("watched jobs cannot be marked")
        finally:
            self._marking = None

    async def _renew(self) -> None:
        self.mark(self._watched())

    async def _round(self, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(every_s * random.uniform(1 - JITTER, 1 + JITTER))
            try:
                await work()
            except Unavailable as error:
                log.info("a second look has to wait: %s", error)
            except Exception:
                log.exception("a second look failed")

    async def stop(self) -> None:
        """End them."""
        tasks = [*self._rounds, *([self._marking] if self._marking is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
