"""What a worker does for parents: it stores children, many in one call, and knows who is to be told of their ends.

The ends come by the worker's channel, from the script call that stores them. A message may be lost: whoever waits looks
again by itself, and a child that the store has lost is stored anew, under the same id. One that was deleted is not.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from server.broker import Broker, Lease, NewJob, Submitted
from server.chores import Chores
from server.errors import Late, Unavailable, WindsockError
from server.job import JobDetail
from server.lane import Lane
from server.settings import Settings
from server.submitting import Submitting
from server.tree import SpawnRefused

log = logging.getLogger("windsock.trees")
Answer = TypeVar("Answer")
PART = 128  # children stored by one call
RETRY_S, MAX_RETRY_S = 0.1, 1.0  # while Redis is away
GONE = "gone"  # how a child ended that was deleted, or has expired
RESUME_S = 1.0  # a job that waits for its place asks again after this, should the message be lost


class Parent(Protocol):
    """Who is told of children."""

    @property
    def id(self) -> str:
        """Of the parent."""

    @property
    def lease(self) -> Lease:
        """What it runs under."""

    def note(self, job_id: str, state: str) -> None:
        """A child has ended."""


class Gathering:
    """Owns the children on their way into the store, and the parents of this worker that have any.

    Duties in call order: `store`, `on_message`, `look`, `pause`, `resume`, `forget`, `stop`.
    """

    def __init__(self, broker: Broker, submitting: Submitting, settings: Settings) -> None:
        self.broker = broker
        self.submitting = submitting
        self.settings = settings
        self._parents: dict[str, set[Parent]] = defaultdict(set)
        self._new: list[tuple[Parent, NewJob, asyncio.Future[None]]] = []
        self._places: dict[str, asyncio.Event] = {}  # by id of the job that waits for its own
        self._chores = Chores()
        self.reclaim: Callable[[Lease], Awaitable[bool]] = _never  # whether a refused parent holds its job again
        self.on_vacant: Callable[[Lane], None] = lambda lane: lane.readmit()  # a slot is free

    # into the store

    def store(self, parent: Parent, new: NewJob, stored: "asyncio.Future[None]") -> None:
        """Store a child; all of one turn of the loop leave together."""
        self._parents[parent.id].add(parent)
        stored.add_done_callback(_heard)
        self._new.append((parent, new, stored))
        if len(self._new) == 1:
            asyncio.get_running_loop().call_soon(self._carry)

    def _carry(self) -> None:
        new, self._new = self._new, []
        for start in range(0, len(new), PART):
            self._chores.spawn(self._store(new[start : start + PART]), "children")

    async def _store(self, new: "Sequence[tuple[Parent, NewJob, asyncio.Future[None]]]") -> None:
        try:
            answers = await self._submit([(parent, job) for parent, job, _ in new])
        except Exception as error:
            for _, _, stored in new:
                if not stored.done():
                    stored.set_exception(SpawnRefused(f"could not be stored: {error}"))
            raise
        for (parent, job, stored), answer in zip(new, answers, strict=True):
            if stored.done():
                continue
            if isinstance(answer, Submitted):
                if answer.job.ended:
                    parent.note(job.id, answer.job.state.value)
                stored.set_result(None)
            else:
                stored.set_exception(SpawnRefused(f"spawn({job.task!r}): {answer.message}"))

    async def _submit(self, new: Sequence[tuple[Parent, NewJob]]) -> Sequence[Submitted | WindsockError]:
        """What the store says to each; once more where it had gone back, and is told the parent again."""
        answers = list(await self._insist(lambda: self.broker.submit([job for _, job in new])))
        late = [i for i, answer in enumerate(answers) if isinstance(answer, Late)]
        parents = {new[i][0].id: new[i][0] for i in late}.values()
        if any([await self._insist(partial(self.reclaim, parent.lease)) for parent in parents]):
            again = await self._insist(lambda: self.broker.submit([new[i][1] for i in late]))
            for i, answer in zip(late, again, strict=True):
                answers[i] = answer
        return answers

    async def _insist(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """What the store answers, however long it is away."""
        retry_s = RETRY_S
        while True:
            try:
                return await call()
            except Unavailable as error:
                log.info("children have to wait: %s", error)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, MAX_RETRY_S)

    async def detail(self, job_id: str) -> JobDetail:
        """A child with its result.

        Raises:
            NotFound: it was deleted.
        """
        return await self._insist(lambda: self.broker.detail(job_id))

    # their ends

    def on_message(self, kind: bytes, what: Any) -> None:
        """What the worker's channel says of parents that run here."""
        if kind == b"children":
            self._on_ends(*what)
        elif kind == b"place" and what.decode() in self._places:
            self._places[what.decode()].set()

    def _on_ends(self, parent_id: bytes, ends: Sequence[Any]) -> None:
        for parent in list(self._parents.get(parent_id.decode(), ())):
            for job_id, state in ends:
                parent.note(job_id.decode(), state.decode())

    async def look(self, parent: Parent, pending: Sequence[NewJob]) -> None:
        """Whether these have ended, or were deleted, unheard by us; what the store has lost it is told again."""
        for start in range(0, len(pending), PART):
            part = pending[start : start + PART]
            _, jobs = await self._insist(partial(self.broker.fetch, [one.id for one in part]))
            for job in jobs:
                if job is not None and job.ended:
                    parent.note(job.id, job.state.value)
            unknown = [new for new, job in zip(part, jobs, strict=True) if job is None]
            if unknown:
                await self._tell_again(parent, unknown)

    async def _tell_again(self, parent: Parent, unknown: Sequence[NewJob]) -> None:
        """Store what is lost; what was deleted stays so. Who is refused now is looked at again."""
        dropped = await self.dropped(parent, [one.id for one in unknown])
        for job_id in dropped:
            parent.note(job_id, GONE)
        lost = [one for one in unknown if one.id not in dropped]
        if lost:
            log.warning("%d children of job %s are lost; they are stored again", len(lost), parent.id)
            await self._submit([(parent, one) for one in lost])

    async def dropped(self, parent: Parent, job_ids: Sequence[str]) -> set[str]:
        """Those of these children that were deleted, or have expired."""
        return await self._insist(partial(self.broker.dropped, parent.id, job_ids))

    # places under limits

    async def pause(self, lease: Lease) -> None:
        """A job waits: others may have its place."""
        await self._insist(lambda: self.broker.pause(lease.id, lease.token))

    async def resume(self, lease: Lease) -> None:
        """Returns when the job has its place again, or is not held any more."""
        event = self._places[lease.id] = asyncio.Event()
        try:
            while not await self._insist(lambda: self.broker.resume(lease.id, lease.token)):
                try:
                    async with asyncio.timeout(RESUME_S):
                        await event.wait()
                        return
                except TimeoutError:
                    continue
        finally:
            self._places.pop(lease.id, None)

    def resume_later(self, lease: Lease) -> None:
        """The same for one whose wait was broken off: it goes on without its place until it has it."""
        self._chores.spawn(self.resume(lease), "resume")

    # the end

    def forget(self, parent: Parent) -> None:
        """Its attempt has ended."""
        parents = self._parents.get(parent.id)
        if parents is not None:
            parents.discard(parent)
            if not parents:
                del self._parents[parent.id]

    async def stop(self) -> None:
        """Store nothing more."""
        for task in self._chores.tasks:
            task.cancel()
        await self._chores.settle(1.0)


async def _never(_: Lease) -> bool:
    return False


def _heard(stored: "asyncio.Future[None]") -> None:
    """A refusal that nobody asks for is no fault of ours."""
    if not stored.cancelled():
        stored.exception()
