"""Hands in the jobs of tasks with `cron` when they are due.

Every node that knows the task does so, at the same moment by the clock of the store, and the store takes one for each
tick: the job's id is made of task, schedule and tick, and the last tick of each schedule is kept. So no node leads, and
one that was away makes good for what all have missed.
"""

import asyncio
import dataclasses
import logging

from server.broker import Broker
from server.errors import Conflict, Unavailable, WindsockError
from server.metrics import Metrics
from server.protocol import Submission
from server.registry import Registry
from server.schedules import Schedule
from server.submitting import Submitting

log = logging.getLogger("windsock.timetable")
LOOK_S = 60.0  # the clock of the store is read this often at least
RETRY_S = 1.0
TAG = "cron"  # of the jobs


class Timetable:
    """Owns the timer of all schedules that a node knows. Duties in call order: `start`, `stop`."""

    def __init__(self, broker: Broker, submitting: Submitting, registry: Registry, metrics: Metrics) -> None:
        self._broker = broker
        self._submitting = submitting
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._schedules = [schedule for task in registry for schedule in task.schedules]
        self._last: dict[str, int] = {}  # by schedule: its last tick that was handed in, as far as is known
        self._refused: set[str] = set()  # schedules whose tick was not taken in, and is tried again
        self._clock = (0, float("-inf"))  # the store's time (ms), and when it was read (monotonic seconds)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, if there is anything to do."""
        if self._schedules:
            self._task = self._loop.create_task(self._run(), name="timetable")

    async def stop(self) -> None:
        """Hand in no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                wait_s = await self._round()
            except Unavailable as error:
                log.info("schedules have to wait: %s", error)
                self._last.clear()  # others may go on meanwhile
                wait_s = max(RETRY_S, getattr(error, "after_s", None) or 0.0)
            except Exception:
                log.exception("a round of the timetable failed")
                wait_s = LOOK_S
            await asyncio.sleep(wait_s)

    async def _round(self) -> float:
        """Hand in what is due; seconds until the next round."""
        if not self._last or self._loop.time() - self._clock[1] >= LOOK_S:
            await self._look()
        for schedule in self._schedules:
            await self._hand_in_due(schedule)
        now = self._now()
        ticks = [schedule.next_after(max(now, self._last[schedule.name])) for schedule in self._schedules]
        longest_s = RETRY_S if self._refused else LOOK_S
        return min([longest_s, *((tick - now) / 1000 for tick in ticks if tick is not None)])

    async def _hand_in_due(self, schedule: Schedule) -> None:
        """Hand in what is due of one schedule; if its queue is full it waits, and holds up no other.

        Raises:
            Unavailable: nothing can be handed in.
        """
        try:
            for tick in schedule.pending(self._last[schedule.name], self._now()):
                await self._hand_in(schedule, tick)
                self._last[schedule.name] = tick
            self._refused.discard(schedule.name)
        except Unavailable:
            raise
        except WindsockError as error:
            if schedule.name not in self._refused:  # not each second
                log.warning("schedule %s has to wait: %s", schedule.name, error)
            self._refused.add(schedule.name)

    async def _look(self) -> None:
        names = [schedule.name for schedule in self._schedules]
        now, last = await self._broker.ticked(names)
        self._clock = (now, self._loop.time())  # a little late, never early
        self._last = dict(zip(names, last, strict=True))

    def _now(self) -> int:
        """The store's time (ms)."""
        read, when = self._clock
        return read + int((self._loop.time() - when) * 1000)

    async def _hand_in(self, schedule: Schedule, tick: int) -> None:
        """Submit the job of one tick, unless another node has.

        Raises:
            WindsockError: it was not taken in, and should be tried again.
        """
        plain = self._submitting.prepare(Submission(task=schedule.task, tags=[TAG]))
        job = dataclasses.replace(plain, id=schedule.job_id(tick), at=tick, schedule=schedule.name)
        (answer,) = await self._broker.submit([job])
        if isinstance(answer, Conflict):
            return  # another node was quicker
        if isinstance(answer, WindsockError):
            raise answer
        self._metrics.submits[answer.how.value] += 1
        log.debug("job %s: %s", answer.job.id, schedule.name)
