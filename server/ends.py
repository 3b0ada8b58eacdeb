"""How the children of one attempt ended: what it was told, and what its function was handed.

Both stand for as long as the attempt does, though the store may go back and lose the end. Only a child that has
succeeded, and whose result is lost before it was read, has to be waited for again.
"""

import asyncio
from typing import Any

from server.broker import NewJob
from server.codec import MSGPACK
from server.errors import NotFound
from server.gathering import GONE, Gathering, Parent
from server.job import JobDetail, JobState
from server.tree import ChildFailed

KEPT_BYTES = 256 * 1024  # of results that were handed over, for each attempt
GOES_ON = object()  # in the place of a result


class Ends:
    """Owns the ends an attempt was told, and the results it has read.

    Duties in call order: `note`, `result`, `failure`.
    """

    def __init__(self, gathering: Gathering, parent: Parent) -> None:
        self._gathering = gathering
        self._parent = parent
        self.told: dict[str, str] = {}  # ids to states
        self._handed: dict[str, int] = {}  # ids to hashes of packed results
        self._kept: dict[str, bytes] = {}  # those results themselves, as far as there is room
        self._room = KEPT_BYTES

    def note(self, job_id: str, state: str) -> None:
        """A child has ended. What is told first stands."""
        self.told.setdefault(job_id, state)

    async def result(self, child: NewJob) -> Any:
        """The result of one that has ended, or a `ChildFailed`; or `GOES_ON`, if the store has lost its end."""
        if child.id in self._kept:
            return MSGPACK.decode(self._kept[child.id])
        if self.told.get(child.id, JobState.SUCCEEDED) != JobState.SUCCEEDED:
            return await self.failure(child)
        detail = await self._read(child.id)
        if detail is not None and detail.job.state is JobState.SUCCEEDED:
            return self._hand(child, detail.result)
        if self.told.get(child.id) == GONE:
            return _failed(child, GONE)
        self.told.pop(child.id, None)
        await self._gathering.look(self._parent, [child])
        return GOES_ON

    async def failure(self, child: NewJob) -> ChildFailed:
        """Why there is no result of one that was told to have ended without."""
        if self.told[child.id] == JobState.FAILED:
            detail = await self._read(child.id, JobState.FAILED)
            if detail is not None:
                return _failed(child, JobState.FAILED.value, detail.error)
        return _failed(child, self.told[child.id])

    async def _read(self, job_id: str, state: JobState | None = None) -> JobDetail | None:
        """A child, in this state if one is given.

        None where it was deleted, and where nobody has told it to the store again within `lost_s`.
        """
        lost_s, time = self._gathering.settings.lost_s, asyncio.get_running_loop().time
        until = time() + lost_s
        while True:
            try:
                detail = await self._gathering.detail(job_id)
                if state in (None, detail.job.state):
                    return detail
            except NotFound:
                if await self._gathering.dropped(self._parent, [job_id]):
                    self.told[job_id] = GONE
                    return None
            if time() > until:
                return None
            await asyncio.sleep(lost_s / 10)

    def _hand(self, child: NewJob, result: Any) -> Any:
        """The result, unless another one was handed over before: then that one is gone."""
        packed = MSGPACK.encode(result)
        if self._handed.setdefault(child.id, hash(packed)) != hash(packed):
            return _failed(child, GONE)
        if len(packed) <= self._room and child.id not in self._kept:
            self._room -= len(packed)
            self._kept[child.id] = packed
        return result


def _failed(child: NewJob, state: str, error: Any = None) -> ChildFailed:
    return ChildFailed(child.id, child.task, state, error)
