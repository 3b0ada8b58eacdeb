"""The part of a process that runs jobs: slots, claims, and what wakes them.

Each kind of task has a lane with slots of its own. A lane claims when it is hungry and has a free slot: hungry after a
wake-up, and after a claim that got all it asked for. A claim that got less leaves the lane noted as idle in the store,
which wakes it through the worker's channel. The beat is the safety net.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from server.attempt import Attempt, Reason
from server.broker import Beat, Broker, Lease, NewJob, Report, Verdict
from server.chores import Chores
from server.errors import Unavailable, WindsockError
from server.executors import Executors
from server.gathering import Gathering
from server.hand import Hand
from server.holdings import ENDED_BEATS, UNHELD_BEATS, UNLEASED_BEATS, Holdings
from server.insight import Insight
from server.job import JobState
from server.lane import Lane, describe_lanes, make_lanes
from server.lifespan import Resources
from server.memory import Memory
from server.metrics import Metrics
from server.pacing import Pacing
from server.registry import Registry
from server.reporter import Reporter
from server.runner import Runner
from server.settings import Settings

log = logging.getLogger("windsock.worker")
MOST_CLAIMED = 500  # jobs by one claim: Redis does nothing else meanwhile
LEAST_HALVED = 20  # slots from which on a claim is for half of them at most: while one half runs, Redis finds the other


class Worker:
    """Owns the jobs a process runs.

    Duties in call order: `start`, `on_wake`, `on_cancel`, `on_beat`, `drain`, `stop`, `close`.
    """

    def __init__(
        self,
        worker_id: str,
        broker: Broker,
        registry: Registry,
        settings: Settings,
        metrics: Metrics,
        gathering: Gathering,
    ) -> None:
        self.id = worker_id
        self._broker = broker
        self._settings = settings
        self._executors = Executors(settings)
        self._reporter = Reporter(broker, settings, lambda lease: self._memory.reclaim(lease))  # noqa: PLW0108  made below
        self._memory = Memory(worker_id, broker, settings, self._reporter)
        self._resources = Resources(registry, settings.resource_open_s, settings.resource_close_s)
        self._ready = Registry()  # the tasks, each with the resources it takes, from `start` on
        self.gathering = gathering
        self.gathering.on_vacant = self._vacant
        self.gathering.reclaim = self._memory.reclaim
        self._runner = Runner(
            self._ready, self._executors, self._reporter, settings, metrics, self._freed, self._ended, gathering
        )
        self._lanes = make_lanes(registry, settings)
        metrics.read("windsock_worker_slots", lambda: [((lane.kind.value,), lane.slots) for lane in self._lanes])
        metrics.read("windsock_worker_busy", lambda: [((lane.kind.value,), lane.busy) for lane in self._lanes])
        self._held = Hand()  # until the store has the end
        self._running: set[Attempt] = set()  # until the function has returned
        self._holdings = Holdings()
        self._chores = Chores()
        self._pacing = Pacing(broker, self._reporter, self._chores, settings.beat_s)
        self.insight = Insight(self._held, self._runner, self._broker, self._reporter, self._chores, settings)
        self._quiet = asyncio.Event()  # nothing is held
        self._quiet.set()
        self._recalling = False
        self._opened = False  # what jobs share is there
        self._begun = 0  # attempts
        self.on_worn: Callable[[], None] = lambda: None  # it has run as many jobs as it should
        self.draining = False

    async def start(self) -> None:
        """Open what jobs share, make itself known and look for jobs.

        Raises:
            StartupError: a resource could not be opened.
        """
        await self._resources.open()
        for task in self._resources.bound():
            self._ready.add(task)
        self._opened = True
        await self._enlist()
        self.claim()

    async def _enlist(self) -> None:
        lanes = [(lane.signature, lane.pairs(self._settings.queues)) for lane in self._lanes]
        await self._broker.enlist(self.id, lanes)

    @property
    def held(self) -> list[str]:
        """Ids of the jobs whose end the store does not have."""
        return list(self._held)

    # what comes in

    def on_wake(self, signature: str) -> None:
        """The store has a job for one of the lanes."""
        for lane in self._lanes:
            if lane.signature == signature:
                lane.hungry = True
                self._claim_soon(lane)

    def on_cancel(self, job_id: str) -> None:
        """A job was asked to end."""
        attempt = self._held.get(job_id)
        if attempt is not None and attempt.reason is None:
            attempt.interrupt(Reason.CANCEL)

    def on_watch(self, job_ids: Sequence[str]) -> None:
        """Somebody has begun to look at these jobs."""
        for job_id in self._held.keys() & set(job_ids):
            self._reporter.hurry(self._held[job_id].voice)

    def on_doubt(self) -> None:
        """A connection to the store broke: it may come back with less than it had."""
        self._memory.doubt = True

    def on_up(self) -> None:
        """The link is there (again), and wake-ups may have been missed."""
        if self._memory.doubt:
            self._recall()
        else:
            self.claim()

    def _recall(self) -> None:
        """Tell a store that may have gone back what it should know, and only then take jobs from it."""
        if not self._recalling:
            self._recalling = True
            self._chores.spawn(self._recall_all(), "recall")

    async def _recall_all(self) -> None:
        try:
            await self._memory.recall([attempt.voice for attempt in self._held.values()])
        finally:
            self._recalling = False
        self.claim()

    def on_beat(self, beat: Beat) -> None:
        """What a message may have failed to bring."""
        if self._memory.look(beat):
            self._recall()
        if not beat.enlisted and self._opened and not self.draining:
            self._chores.spawn(self._enlist(), "enlist")
        for job_id in beat.cancels:
            self.on_cancel(job_id)
        if beat.work:
            self.claim()
        self._compare(beat.leased)
        self._pacing.sweep(attempt.pacing() for attempt in self._held.values())

    def claim(self) -> None:
        """Look for jobs on all lanes."""
        for lane in self._lanes:
            lane.hungry = True
            self._claim_soon(lane)

    # claims

    def expecting(self, new: NewJob) -> Callable[[], None] | None:
        """How to claim a job in the same exchange with Redis that stores it; None where that is not worth while.

        It is where the job has nothing to wait for and this worker nothing else to do: else whoever is idle is woken.
        """
        waits = (new.delay_s, new.at, new.limit, new.same, new.key, new.group)
        if any(one is not None for one in waits) or not self._opened or self.draining or self._memory.doubt:
            return None
        queues = self._settings.queues
        for lane in self._lanes:
            if new.task in lane.tasks and (new.queue in queues or "*" in queues):
                return partial(self._claim_now, lane) if lane.rests else None
        return None

    def _claim_now(self, lane: Lane) -> None:
        lane.hungry = lane.claiming = True
        self._chores.spawn(self._claim(lane, self._call(lane), sure=True), f"claim {lane.kind.value}")

    def _claim_soon(self, lane: Lane) -> None:
        """Claim at the end of this turn of the loop: one call fills all slots that become free in it."""
        if self._memory.doubt or not self._opened:
            return  # what we hold may seem to wait: after the recall
        if lane.hungry and not lane.claiming and lane.free > 0 and not self.draining:
            lane.claiming = True
            asyncio.get_running_loop().call_soon(self._begin_claim, lane)

    def _begin_claim(self, lane: Lane) -> None:
        if self.draining:
            lane.claiming = False
            return
        self._chores.spawn(self._claim(lane, self._call(lane)), f"claim {lane.kind.value}")

    async def _claim(self, lane: Lane, call: Awaitable[list[Lease]] | None, *, sure: bool = False) -> None:
        """Claim until the slots are full or nothing waits; what came begins when the next call has left.

        `sure`: something should be there. A submit whose script Redis did not know comes after the claim behind it.
        """
        leases: list[Lease] = []
        try:
            while call is not None:
                await asyncio.sleep(0)  # it leaves
                self._begin_all(lane, leases)
                leases = await self._answer(lane, call)
                lane.hungry, sure = lane.hungry or (sure and not leases), False
                call = self._call(lane)
            self._begin_all(lane, leases)
        finally:
            lane.claiming, lane.asked = False, 0
        self._vacant(lane)

    def _call(self, lane: Lane) -> Awaitable[list[Lease]] | None:
        """Ask for jobs for the free slots; None where that is not to be."""
        lane.readmit()
        most = lane.slots // 2 if lane.slots >= LEAST_HALVED else lane.slots
        wanted = min(lane.free, most, MOST_CLAIMED)
        if wanted <= 0 or not lane.hungry or self.draining or self._memory.doubt:
            return None
        lane.asked += wanted
        lane.hungry = False  # a wake-up may overtake the answer, and must not be forgotten over it
        return self._broker.claim(
            self.id,
            secrets.token_hex(8),
            wanted,
            self._settings.queues,
            lane.tasks,
            lane.signature,
            lane.limits,
            self._memory.seen,
        )

    async def _answer(self, lane: Lane, call: Awaitable[list[Lease]]) -> list[Lease]:
        """The jobs that were asked for; their slots stay theirs."""
        try:
            leases = await call
        except Unavailable as error:
            log.info("no jobs can be claimed: %s", error)
            leases = []  # the beat that finds Redis again says whether there is work
        lane.hungry = lane.hungry or len(leases) == lane.asked
        lane.asked = len(leases)
        return leases

    def _begin_all(self, lane: Lane, leases: Sequence[Lease]) -> None:
        lane.asked -= len(leases)
        for lease in leases:
            self._begin(lane, lease)

    def _begin(self, lane: Lane, lease: Lease) -> None:
        if self.draining:  # claimed before the drain, arrived after
            self._chores.spawn(self._return(lease), "return")
            return
        lane.busy += 1
        self._memory.discard(lease.id)
        attempt = self._runner.start(lease)
        attempt.lane = lane
        self._held.hold(attempt)
        self._running.add(attempt)
        self._begun += 1
        if self._begun == self._settings.worker_jobs:
            self.on_worn()

    async def _return(self, lease: Lease) -> None:
        back = Report(lease.id, lease.token, None, None, lease.log_last + 1, [])
        await self._broker.finish([Verdict(back, JobState.QUEUED)])

    def _freed(self, attempt: Attempt) -> None:
        assert attempt.lane is not None
        if attempt.seat is not None:
            attempt.seat.take()
        attempt.lane.busy -= 1
        self._running.discard(attempt)
        self._vacant(attempt.lane)

    def _vacant(self, lane: Lane) -> None:
        lane.readmit()
        self._claim_soon(lane)

    def _ended(self, attempt: Attempt) -> None:
        self._held.let_go(attempt)
        if attempt.end is not None:
            self._memory.keep(attempt.voice, attempt.end.state, attempt.end.outcome, attempt.end.result_bytes)

    def _compare(self, leased: frozenset[str]) -> None:
        """The answer to a claim may have been lost for good; a job may have been taken from one that stood still."""
        self._holdings.look(leased, self._held)
        for job_id, beats in self._holdings.unheld.items():
            if job_id in self._memory:  # it has ended, and the store has lost that
                if beats >= ENDED_BEATS:
                    self._chores.spawn(self._memory.tell_again([job_id]), "end again")
            elif beats % UNHELD_BEATS == 0:
                log.warning("job %s is leased to this worker, which does not hold it; giving it back", job_id)
                self._chores.spawn(self._broker.release(self.id, job_id), "release")
        for job_id, beats in self._holdings.unleased.items():
            if beats == UNLEASED_BEATS:  # the answer to a report says how it stands
                self._reporter.touch(self._held[job_id].voice)

    # the end

    async def drain(self, grace_s: float) -> None:
        """Take no more, let what runs end; after the grace give it back."""
        self.draining = True
        await self._retire()
        await self._chores.settle(1.0)  # claims bring their jobs, which go back: rescued later, they would use one up
        await self._held.drain(grace_s, self._settings.cancel_grace_s)

    async def _retire(self) -> None:
        try:
            async with asyncio.timeout(1.0):
                await self._broker.retire(self.id)
        except (WindsockError, TimeoutError) as error:
            log.info("could not retire: %s", error)

    async def stop(self) -> None:
        """End at once: what is still held will be rescued."""
        self.draining = True
        for attempt in self._held.values():
            attempt.reason = Reason.FENCED  # no verdict any more
        works = [attempt.work for attempt in self._running.union(self._held.values()) if attempt.work is not None]
        works += [attempt.verdict for attempt in self._held.values() if attempt.verdict is not None]
        works += self._chores.tasks
        for task in works:
            task.cancel()
        if works:
            await asyncio.wait(works, timeout=1.0)
        await self.gathering.stop()
        await self._reporter.stop()
        await self._executors.close()

    async def close(self) -> None:
        """Close what jobs shared."""
        await self._resources.close()

    def describe(self) -> dict[str, Any]:
        """Slots and jobs, for the list of nodes. Called from the beat's thread: reads only."""
        stuck = sum(1 for attempt in list(self._running) if attempt.abandoned)
        return {**describe_lanes(self._lanes), "abandoned": stuck, "queues": list(self._settings.queues)}
