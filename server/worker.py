"""The part of a process that runs jobs: slots, claims, and what wakes them.

Each kind of task has a lane with slots of its own. A lane claims when it is hungry and has a free slot: hungry after a
wake-up, and after a claim that got all it asked for. A claim that got less leaves the lane noted as idle in the store,
which wakes it through the worker's channel. The beat is the safety net.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from typing import Any

from server.broker import Beat, Broker, Lease, Report, Verdict
from server.errors import Unavailable, WindsockError
from server.executors import Executors
from server.job import JobState
from server.lane import Lane
from server.memory import Memory
from server.metrics import Metrics
from server.registry import Kind, Registry
from server.reporter import Reporter
from server.runner import Attempt, Reason, Runner
from server.settings import Settings

log = logging.getLogger("windsock.worker")
MOST_CLAIMED = 500  # jobs by one claim: Redis does nothing else meanwhile
UNHELD_BEATS = 5  # a job leased to us that we do not hold is given back after so many beats …
ENDED_BEATS = 2  # … but one whose end we have told is told of again; the first beat may have left before the end came


class Worker:
    """Owns the jobs a process runs.

    Duties in call order: `start`, `on_wake`, `on_cancel`, `on_beat`, `drain`, `stop`.
    """

    def __init__(
        self, worker_id: str, broker: Broker, registry: Registry, settings: Settings, metrics: Metrics
    ) -> None:
        self.id = worker_id
        self._broker = broker
        self._settings = settings
        self._executors = Executors(settings.threads)
        self._reporter = Reporter(broker, settings, self._reclaim)
        self._memory = Memory(worker_id, broker, settings, self._reporter)
        self._runner = Runner(registry, self._executors, self._reporter, settings, metrics, self._freed, self._ended)
        slots = {Kind.COROUTINE: settings.slots, Kind.THREAD: settings.threads}
        self._lanes = [
            Lane(kind, slots[kind], [task.name for task in registry if task.kind is kind], settings.queues)
            for kind in Kind
            if any(task.kind is kind for task in registry)
        ]
        metrics.read("windsock_worker_slots", lambda: [((lane.kind.value,), lane.slots) for lane in self._lanes])
        metrics.read("windsock_worker_busy", lambda: [((lane.kind.value,), lane.busy) for lane in self._lanes])
        self._held: dict[str, Attempt] = {}  # by job id, until the store has the end
        self._running: set[Attempt] = set()  # until the function has returned
        self._unheld: dict[str, int] = {}  # jobs the store says we hold and we do not: beats since
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()  # nothing is held
        self._quiet.set()
        self._recalling = False
        self.draining = False

    async def start(self) -> None:
        """Make itself known and look for jobs."""
        await self._enlist()
        self.claim()

    async def _enlist(self) -> None:
        queues = self._settings.queues
        lanes = [
            (lane.signature, [f"{queue}/{task}" for queue in queues for task in lane.tasks]) for lane in self._lanes
        ]
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
        for job_id in job_ids:
            if job_id in self._held:
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
            self._spawn(self._recall_all(), "recall")

    async def _recall_all(self) -> None:
        try:
            await self._memory.recall([attempt.voice for attempt in self._held.values()])
        finally:
            self._recalling = False
        self.claim()

    async def _reclaim(self, lease: Lease) -> bool:
        return await self._memory.reclaim(lease)

    def on_beat(self, beat: Beat) -> None:
        """What a message may have failed to bring."""
        if self._memory.look(beat):
            self._recall()
        if not beat.enlisted and not self.draining:
            self._spawn(self._enlist(), "enlist")
        for job_id in beat.cancels:
            self.on_cancel(job_id)
        if beat.work:
            self.claim()
        self._give_back_unheld(beat.leased)

    def claim(self) -> None:
        """Look for jobs on all lanes."""
        for lane in self._lanes:
            lane.hungry = True
            self._claim_soon(lane)

    # claims

    def _claim_soon(self, lane: Lane) -> None:
        """Claim at the end of this turn of the loop: one call fills all slots that become free in it."""
        if self._memory.doubt:
            return  # what we hold may seem to wait: after the recall
        if lane.hungry and not lane.claiming and lane.free > 0 and not self.draining:
            lane.claiming = True
            asyncio.get_running_loop().call_soon(self._begin_claim, lane)

    def _begin_claim(self, lane: Lane) -> None:
        if self.draining:
            lane.claiming = False
            return
        self._spawn(self._claim(lane), f"claim {lane.kind.value}")

    async def _claim(self, lane: Lane) -> None:
        wanted = min(lane.free, MOST_CLAIMED)
        lane.hungry = False  # a wake-up may overtake the answer, and must not be forgotten over it
        try:
            leases = await self._broker.claim(
                self.id, secrets.token_hex(8), wanted, self._settings.queues, lane.tasks, lane.signature
            )
        except Unavailable as error:
            log.info("no jobs can be claimed: %s", error)
            return  # the beat that finds Redis again says whether there is work
        finally:
            lane.claiming = False
        lane.hungry = lane.hungry or len(leases) == wanted
        for lease in leases:
            self._begin(lane, lease)
        self._claim_soon(lane)

    def _begin(self, lane: Lane, lease: Lease) -> None:
        if self.draining:  # claimed before the drain, arrived after
            self._spawn(self._return(lease), "return")
            return
        lane.busy += 1
        self._memory.discard(lease.id)
        attempt = self._runner.start(lease)
        self._running.add(attempt)
        self._held[lease.id] = attempt
        self._quiet.clear()

    async def _return(self, lease: Lease) -> None:
        report = Report(lease.id, lease.token, None, None, lease.log_last + 1, [])
        await self._broker.finish([Verdict(report, JobState.QUEUED)])

    def _freed(self, attempt: Attempt) -> None:
        lane = next(lane for lane in self._lanes if lane.kind is attempt.task.kind)
        lane.busy -= 1
        self._running.discard(attempt)
        self._claim_soon(lane)

    def _ended(self, attempt: Attempt) -> None:
        if self._held.get(attempt.lease.id) is attempt:
            del self._held[attempt.lease.id]
        if attempt.end is not None:
            self._memory.keep(attempt.voice, attempt.end.state, attempt.end.outcome, attempt.end.result_bytes)
        if not self._held:
            self._quiet.set()

    def _give_back_unheld(self, leased: frozenset[str]) -> None:
        """The answer to a claim may have been lost for good: then the store thinks that we run what we do not."""
        self._unheld = {job_id: self._unheld.get(job_id, 0) + 1 for job_id in leased if job_id not in self._held}
        for job_id, beats in self._unheld.items():
            if beats == ENDED_BEATS and job_id in self._memory:
                self._spawn(self._memory.tell_again([job_id]), "end again")
            elif beats >= UNHELD_BEATS:
                log.warning("job %s is leased to this worker, which does not hold it; giving it back", job_id)
                self._spawn(self._broker.release(self.id, job_id), "release")

    # the end

    async def drain(self, grace_s: float) -> None:
        """Take no more, let what runs end; after the grace give it back."""
        self.draining = True
        await self._retire()
        await self._settle()
        if self._held and grace_s > 0:
            log.info("waiting up to %g s for %d jobs", grace_s, len(self._held))
        if await self._within(grace_s):
            return
        log.info("giving back %d jobs", len(self._held))
        for attempt in list(self._held.values()):
            attempt.interrupt(Reason.DRAIN, grace_s=min(1.0, self._settings.cancel_grace_s))
        await self._within(5.0)

    async def _settle(self) -> None:
        """Claims under way bring their jobs, which go back: rescued later, they would have used up an attempt."""
        deadline = asyncio.get_running_loop().time() + 1.0
        while self._tasks and asyncio.get_running_loop().time() < deadline:
            await asyncio.wait(self._tasks, timeout=1.0)

    async def _retire(self) -> None:
        try:
            async with asyncio.timeout(1.0):
                await self._broker.retire(self.id)
        except (WindsockError, TimeoutError) as error:
            log.info("could not retire: %s", error)

    async def _within(self, wait_s: float) -> bool:
        try:
            async with asyncio.timeout(wait_s):
                await self._quiet.wait()
        except TimeoutError:
            return not self._held
        return True

    async def stop(self) -> None:
        """End at once: what is still held will be rescued."""
        self.draining = True
        for attempt in self._held.values():
            attempt.reason = Reason.FENCED  # no verdict any more
        works = [attempt.work for attempt in self._running.union(self._held.values()) if attempt.work is not None]
        works += [attempt.verdict for attempt in self._held.values() if attempt.verdict is not None]
        for task in (*works, *self._tasks):
            task.cancel()
        if works or self._tasks:
            await asyncio.wait([*works, *self._tasks], timeout=1.0)
        await self._reporter.stop()
        self._executors.close()

    def _spawn(self, work: Any, name: str) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(_logged(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def describe(self) -> dict[str, Any]:
        """Slots and jobs, for the list of nodes. Called from the beat's thread: reads only."""
        stuck = sum(1 for attempt in list(self._running) if attempt.abandoned)
        return {
            "running": sum(lane.busy for lane in self._lanes),
            "abandoned": stuck,
            "lanes": {
                lane.kind.value: {"slots": lane.slots, "running": lane.busy, "tasks": lane.tasks}
                for lane in self._lanes
            },
            "queues": list(self._settings.queues),
        }


async def _logged(work: Any) -> None:
    """A failure that nobody awaits is logged, and the beat tries again what matters."""
    try:
        await work
    except Unavailable as error:
        log.info("%s", error)
    except Exception:
        log.exception("a task of the worker failed")
