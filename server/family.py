"""The children of one attempt: spawned, waited for, and their results.

The family of a coroutine lives on the loop, and that of a function in a process too, which asks over its line. A
function in a thread blocks until the loop has done what it asks.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Sequence
from concurrent.futures import CancelledError as CallCancelled
from concurrent.futures import Future as CallFuture
from contextlib import asynccontextmanager
from typing import Any, Protocol

from server.broker import Kin, Lease, NewJob
from server.ends import GOES_ON, Ends
from server.errors import Conflict, NotFound, WindsockError
from server.gathering import Gathering
from server.progress import JobCancelled
from server.protocol import Submission, parse
from server.registry import Kind
from server.tree import Child, ChildFailed, Family, OnFailure, SpawnRefused, Wish, child_id
from server.waiting import Stored, Waiter

LOOK_AGAIN_S = 5.0  # what is waited for is looked at so often, should a message have been lost
AT_ONCE = 32  # children whose results are read in one go


class Seat(Protocol):
    """The slot of an attempt, which it gives up while it waits."""

    def leave(self) -> None:
        """Give it up."""

    async def back(self) -> None:
        """Have it again; waits until one is free."""

    def take(self) -> None:
        """Have it again, free or not."""


class LoopFamily:
    """Owns the children of an attempt. Duties in call order: `spawn`, `gather`, `settle`, `leave`."""

    def __init__(self, gathering: Gathering, lease: Lease, seat: Seat, *, keeps_place: bool = False) -> None:
        self._gathering = gathering
        self.lease = lease
        self._seat = seat
        self._gives_place = lease.job.limit is not None and not keeps_place
        self._number = 0  # of the last child without a key
        self._kids: dict[str, tuple[NewJob, Stored]] = {}
        self._ends = Ends(gathering, self)
        self._waiters: set[Waiter] = set()
        self._waiting = 0  # gathers under way

    @property
    def id(self) -> str:
        """Of the parent."""
        return self.lease.id

    # children

    def spawn(self, wish: Wish) -> Child:
        """Have a child; it is stored at the end of this turn of the loop, with all others of the turn.

        Raises:
            SpawnRefused: it cannot be.
        """
        new = self._conceive(wish)
        if new.id in self._kids:
            raise SpawnRefused(f"there is a child with the key {wish.key!r} already")
        stored = Stored()
        self._kids[new.id] = (new, stored)
        self._gathering.store(self, new, stored.future)
        return Child(new.id, new.task, stored)

    def _conceive(self, wish: Wish) -> NewJob:
        """The job that a child will be."""
        settings, depth = self._gathering.settings, self.lease.job.depth + 1
        if depth > settings.tree_depth:
            raise SpawnRefused(f"a job may have {settings.tree_depth} ancestors (tree_depth)")
        if len(self._kids) >= settings.tree_children:
            raise SpawnRefused(f"a job may have {settings.tree_children} children (tree_children)")
        if wish.key is None:
            self._number += 1
        kin = Kin(self.id, wish.weight, depth, self.lease.token)
        try:
            return self._gathering.submitting.child(_submission(wish), child_id(self.id, self._number, wish.key), kin)
        except WindsockError as error:
            raise SpawnRefused(f"spawn({wish.task!r}): {error.message}") from None

    def note(self, job_id: str, state: str) -> None:
        """A child has ended."""
        self._ends.note(job_id, state)
        for waiter in self._waiters:
            waiter.note(job_id, self._ends.told[job_id])

    async def settle(self) -> None:
        """The function has returned: its children are stored, all of them.

        Raises:
            SpawnRefused: one could not be, and nobody has asked.
        """
        for _, stored in list(self._kids.values()):
            if not stored.asked:
                await stored

    def leave(self) -> None:
        """The attempt has ended."""
        self._gathering.forget(self)
        for _, stored in self._kids.values():
            stored.future.cancel()

    def stop(self) -> None:
        """Nothing waits in a thread here."""

    # waiting

    async def gather(self, children: Sequence[Child], on_failure: OnFailure) -> list[Any]:
        """As `Spawning.gather`."""
        all_there_are = [job_id for job_id, (_, stored) in self._kids.items() if not (stored.asked and stored.refused)]
        ids = [child.id for child in children] if children else all_there_are
        for job_id in ids:
            if job_id not in self._kids:
                raise SpawnRefused(f"{job_id} is no child that this attempt has spawned")
            await self._kids[job_id][1]
        results = await self._outcome(ids, impatient=on_failure is OnFailure.FAIL)
        failures = [result for result in results if isinstance(result, ChildFailed)]
        if failures and on_failure is OnFailure.FAIL:
            raise failures[0]
        return results

    async def _outcome(self, ids: Sequence[str], *, impatient: bool) -> list[Any]:
        """Wait for all of these, and read their results; again where the store went back and lost an end."""
        while True:
            await self._until_ended(ids, impatient=impatient)
            results = await self._results(ids)
            if GOES_ON not in results:
                return results

    async def _until_ended(self, ids: Sequence[str], *, impatient: bool) -> None:
        """Wait for all of these.

        Raises:
            ChildFailed: one has failed, and `impatient`; those that go on are asked to end.
        """
        waiter = Waiter(set(ids), impatient=impatient)
        for job_id in ids:
            if job_id in self._ends.told:
                waiter.note(job_id, self._ends.told[job_id])
        if not waiter.over:
            async with self._away():
                await self._wait(waiter)
        if waiter.impatient and waiter.bad is not None:
            await self._cancel(waiter.pending)
            raise await self._ends.failure(self._kids[waiter.bad][0])

    @asynccontextmanager
    async def _away(self) -> AsyncIterator[None]:
        """The slot and the place under a limit are others' meanwhile. Who breaks off does not wait for them again."""
        self._waiting += 1
        self._seat.leave()
        try:
            if self._waiting == 1 and self._gives_place:
                await self._gathering.pause(self.lease)
            yield
        except BaseException:
            self._waiting -= 1
            if not self._waiting:
                self._break_off()
            raise
        self._waiting -= 1
        try:
            if not self._waiting and self._gives_place:
                await self._gathering.resume(self.lease)
            if not self._waiting:
                await self._seat.back()
        except BaseException:
            self._seat.take()
            raise
        if self._waiting:  # another gather has begun
            self._seat.leave()

    def _break_off(self) -> None:
        self._seat.take()
        if self._gives_place:
            self._gathering.resume_later(self.lease)

    async def _wait(self, waiter: Waiter) -> None:
        self._waiters.add(waiter)
        try:
            while not waiter.over:
                try:
                    async with asyncio.timeout(LOOK_AGAIN_S):
                        await waiter.news.wait()
                except TimeoutError:
                    await self._gathering.look(self, [self._kids[job_id][0] for job_id in waiter.pending])
        finally:
            self._waiters.discard(waiter)

    async def _cancel(self, ids: set[str]) -> None:
        """Ask those that go on to end. One that has ended meanwhile needs no asking."""
        asked = [self._gathering.broker.cancel(job_id) for job_id in sorted(ids)]
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, BaseException) and not isinstance(answer, Conflict | NotFound):
                raise answer

    async def _results(self, ids: Sequence[str]) -> list[Any]:
        results: list[Any] = []
        for start in range(0, len(ids), AT_ONCE):
            some = [self._kids[job_id][0] for job_id in ids[start : start + AT_ONCE]]
            results += await asyncio.gather(*map(self._ends.result, some))
        return results


def _submission(wish: Wish) -> Submission:
    given = {
        "task": wish.task,
        "args": wish.args,
        "queue": wish.queue,
        "priority": wish.priority,
        "delay_s": None if wish.delay_s is None else float(wish.delay_s),
        "timeout_s": None if wish.timeout_s is None else float(wish.timeout_s),
        "max_attempts": wish.max_attempts,
        "tags": list(wish.tags),
    }
    return parse(Submission, given)


class ThreadFamily:
    """The same for a function in a thread: each call blocks it until the loop has done it."""

    def __init__(self, family: LoopFamily, loop: asyncio.AbstractEventLoop) -> None:
        self._family = family
        self._loop = loop
        self._lock = threading.Lock()
        self._calls: set[CallFuture[Any]] = set()  # under way
        self._stopped = False

    def spawn(self, wish: Wish) -> Child:
        """Have a child; returns when it is stored."""
        child: Child = self._call(self._spawn(wish))
        return child

    async def _spawn(self, wish: Wish) -> Child:
        child = await self._family.spawn(wish)
        return Child(child.id, child.task)

    def gather(self, children: Sequence[Child], on_failure: OnFailure) -> Any:
        """Wait for children; the thread is held, the slot is not."""
        return self._call(self._family.gather(children, on_failure))

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        with self._lock:
            if self._stopped:
                work.close()
                raise JobCancelled
            call = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._calls.add(call)
        try:
            return call.result()
        except CallCancelled:
            raise JobCancelled from None
        finally:
            self._calls.discard(call)

    def stop(self) -> None:
        """Let go who waits."""
        with self._lock:
            self._stopped = True
            calls = list(self._calls)
        for call in calls:
            call.cancel()


def make_family(family: LoopFamily, kind: Kind, loop: asyncio.AbstractEventLoop) -> Family:
    """What a function of this kind has in its hands."""
    return ThreadFamily(family, loop) if kind is Kind.THREAD else family
