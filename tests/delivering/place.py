"""One process of the world: a real node whose way to Redis, link and beat do what a test wants.

`Way` stands between the node and the real pipeline, `Ear` in place of the Pub/Sub connection, `Pulse` is the beat
without its thread; each keeps the interface of what it replaces, so the node is wired by its own code.
"""

import itertools
from typing import Any
from unittest import mock

from delivering.ear import Ear, Pulse
from delivering.way import Way
from server.node import Node
from server.registry import Registry
from server.settings import Settings

_numbers = itertools.count(1)


class Place:
    """One process."""

    way: Way
    ear: Ear
    pulse: Pulse

    def __init__(self, settings: Settings, registry: Registry, *, serves: bool) -> None:
        self.name = f"{'node' if serves else 'worker'}-{next(_numbers)}"
        self.alive = True
        self.node = Node(settings.model_copy(update={"name": self.name, "worker": not serves}), registry, serves=serves)

    async def start(self) -> None:
        """Start the node on ways of ours."""
        with mock.patch.multiple("server.node", Broker=self._way, Link=self._ear, Ticker=self._pulse):
            await self.node.start()

    def _way(self, url: str, settings: Settings) -> Way:
        self.way = Way(url, settings)
        return self.way

    def _ear(self, _: Any, *given: Any) -> Ear:
        self.ear = Ear(self.way, *given)
        return self.ear

    def _pulse(self, *given: Any) -> Pulse:
        self.pulse = Pulse(self.way, *given)
        return self.pulse

    @property
    def doubts(self) -> bool:
        """Whether its worker has still to tell the store what it may have lost."""
        worker = self.node.worker
        return worker is not None and (worker._memory.doubt or worker._recalling)

    def remembers(self, job_id: str) -> bool:
        """Whether its worker could tell the end of this job again."""
        return self.node.worker is not None and job_id in self.node.worker._memory

    def holds(self, job_id: str) -> bool:
        """Whether its worker runs this job."""
        return self.node.worker is not None and job_id in self.node.worker.held

    def away(self, *, gone: bool) -> None:
        """Redis cannot be reached, or can again."""
        self.way.away = gone

    def freeze(self) -> None:
        """It stands still: no beat, no call gets out, no message gets in."""
        self.pulse.frozen, self.way.hold, self.ear.slow = True, "there", True

    def heal(self) -> None:
        """Nothing stands in its way any more."""
        self.way.away, self.way.lose_answers = False, 0
        self.way.let_go()
        self.pulse.frozen, self.ear.slow, self.ear.drop = False, False, 0

    async def kill(self) -> None:
        """It is gone, without a word to anybody."""
        self.alive = False
        self.way.away, self.way.hold = True, ""
        await self.node.stop()

    async def stop(self) -> None:
        """Its orderly end."""
        self.alive = False
        self.heal()
        await self.node.drain(0)
        await self.node.stop()
