"""Looks at all jobs of a worker once a second: whether they move, and whether what was said of their end still holds.

A silent job is told of in this way, without a timer of its own.
"""

import asyncio
from collections.abc import Iterable

from server.broker import Broker
from server.chores import Chores
from server.pace import NO_HISTORY, History
from server.reporter import Reporter
from server.voice import Voice

YOUNG_S = 1.0  # a job is not looked at before; most have ended by then
REFRESH_S = 30.0  # the durations of a task are read again after this
MOST = 1000  # jobs looked at in one sweep; more have to take turns


class Pacing:
    """Owns what is known of the durations of tasks. `sweep` at every beat."""

    def __init__(self, broker: Broker, reporter: Reporter, chores: Chores, every_s: float) -> None:
        self._broker = broker
        self._reporter = reporter
        self._chores = chores
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self._histories: dict[str, tuple[History, float]] = {}  # by task, with the time when they were asked for
        self._swept = 0.0
        self._turn = 0  # where the next sweep begins

    def sweep(self, voices: Iterable[Voice]) -> None:
        """Look at jobs; what there is to tell leaves with the reports."""
        now = self._loop.time()
        if now - self._swept < self._every_s / 2:  # beats hurry when jobs are due
            return
        self._swept = now
        old = [voice for voice in voices if now - voice.began >= YOUNG_S and not voice.closed]
        self._turn = self._turn if self._turn < len(old) else 0
        some, self._turn = old[self._turn : self._turn + MOST], self._turn + MOST
        self._refresh({voice.lease.task for voice in some}, now)
        for voice in some:
            voice.history = self._histories[voice.lease.task][0]
            if voice.look(now):
                self._reporter.touch(voice)

    def _refresh(self, tasks: Iterable[str], now: float) -> None:
        stale = [task for task in tasks if now - self._histories.get(task, (None, -REFRESH_S))[1] >= REFRESH_S]
        for task in stale:
            self._histories[task] = (self._histories.get(task, (NO_HISTORY, 0.0))[0], now)
        if stale:
            self._chores.spawn(self._read(stale), "histories")

    async def _read(self, tasks: list[str]) -> None:
        for task, history in zip(tasks, await self._broker.histories(tasks), strict=True):
            self._histories[task] = (history, self._loop.time())
