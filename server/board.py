"""Computes the stats of a node once a second, while anybody asks for them, for all who do."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from server.broker import Broker
from server.errors import Unavailable
from server.hub import Hub
from server.stats import Census, Stats
from server.watcher import Watcher

log = logging.getLogger("windsock.board")


class Board:
    """Owns the stats, their timer and the one read a second that they cost.

    Duties in call order: `watch`, `stop`. With the last watcher everything is let go.
    """

    def __init__(self, hub: Hub, broker: Broker, describe: Callable[[], dict[str, Any]]) -> None:
        self.stats = Stats(hub.traffic)
        self.stats.keeper = self
        self.interval_s = 1.0
        self._hub = hub
        self._broker = broker
        self._describe = describe  # this process, as it is now
        self._census: Census | None = None  # while anybody watches
        self._timer: asyncio.TimerHandle | None = None
        self._nodes: dict[str, dict[str, Any]] | None = None  # as read last; None before the first read
        self._reading: asyncio.Task[None] | None = None

    def watch(self, watcher: Watcher) -> None:
        """Be told of each second."""
        self.stats.watchers[watcher] = None
        if self._census is None:
            self._begin()

    def idle(self, watched: Stats) -> None:
        """The last watcher has gone."""
        self._let_go()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._census = Census(self.stats)
        self._hub.feeds.follow(self._census, self)
        self.stats.begin(loop.time())
        self._timer = loop.call_later(self.interval_s, self._tick)
        self._read_nodes()

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._census is not None:
            self._census.unwatch(self)
            self._census = None
        self._nodes = None

    def notify(self) -> None:
        """The census was read: the next tick looks at it."""

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._timer is not None
        late_s = loop.time() - self._timer.when()
        self._timer = loop.call_later(max(0.0, self.interval_s - late_s), self._tick)
        self._read_nodes()
        if self._census is None or self._census.counts is None or self._nodes is None:
            return  # Redis has not answered yet
        own = self._describe()
        nodes = {**self._nodes, own["id"]: own}
        self.stats.tick(loop.time(), self._census.counts, nodes.values(), own["loop_lag_ms"])
        self.stats.tell()

    def _read_nodes(self) -> None:
        """For the next tick: who is alive, with how many clients."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read(), name="stats")

    async def _read(self) -> None:
        try:
            self._nodes = await self._broker.nodes()
        except Unavailable as error:
            log.info("the nodes cannot be counted: %s", error)
        except Exception:
            log.exception("the nodes cannot be counted")

    async def stop(self) -> None:
        """No more."""
        self.stats.watchers.clear()
        self._let_go()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
