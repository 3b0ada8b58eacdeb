"""Groups: the jobs of one batch as one thing to watch.

A group is a job that no worker holds. It takes its jobs in, in several calls, is sealed, and ends in the script that
ends the last of them. A process that goes meanwhile leaves it to be sealed by whoever takes back what it held.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from server.broker import Broker, NewJob
from server.errors import Invalid, Unavailable, WindsockError
from server.job import Job
from server.options import DEFAULT_QUEUE
from server.protocol import IdempotencyKey
from server.sameness import digest
from server.settings import Settings
from server.submitting import Outcome, Submitting

log = logging.getLogger("windsock.trees")
EMPTY = b"\x80"  # packed arguments: a group has none
SEAL_S, MAX_SEAL_S = 0.25, 5.0  # while Redis is away


class Groups:
    """Owns the groups that this process takes jobs in for. Duties in call order: `store`, `stop`."""

    def __init__(self, process: str, broker: Broker, submitting: Submitting, settings: Settings) -> None:
        self._process = process
        self._broker = broker
        self._submitting = submitting
        self._settings = settings
        self._sealing: set[asyncio.Task[None]] = set()  # of groups whose seal has to wait for Redis

    async def store(self, name: str, values: Sequence[Any], key: IdempotencyKey | None) -> tuple[Job, list[Outcome]]:
        """Take in a batch as a group: the group, and what became of each of its submissions.

        The same key and submissions give the same group again, and take in those of its jobs that are not there yet.

        Raises:
            Invalid: too many; the key was used for another submit.
            Unavailable, QueueFull: not now. Nothing was accepted.
            Conflict: the key was used for a group that is gone.
        """
        if len(values) > self._settings.tree_children:
            raise Invalid.field("body", f"a group may have {self._settings.tree_children} jobs (tree_children)")
        refusal = self._submitting.refusing()
        if refusal is not None:
            raise refusal
        group = await self._open(name, values, key)
        outcomes: list[Outcome] = []
        try:
            async for part in self._submitting.store_all(values, group.id):
                outcomes += part
        finally:
            sealed = await self._seal(group.id)
        return sealed or group, outcomes

    async def _open(self, name: str, values: Sequence[Any], key: IdempotencyKey | None) -> Job:
        new = NewJob(
            id=self._submitting.new_id(),
            task=name,
            queue=DEFAULT_QUEUE,
            args=EMPTY,
            priority=0,
            max_attempts=1,
            tags=(),
            timeout_s=None,
            delay_s=None,
            at=None,
            key=key,
            body="" if key is None else digest([name, [_stable(value) for value in values]]),
            group=self._process,
        )
        return (await self._submitting.store(new)).job

    async def _seal(self, group: str) -> Job | None:
        """The group as it is then; None where that has to wait."""
        try:
            return await self._broker.seal(group, self._process)
        except Unavailable as error:
            log.warning("group %s is sealed when Redis is back: %s", group, error)
            task = asyncio.get_running_loop().create_task(self._seal_later(group), name="seal")
            self._sealing.add(task)
            task.add_done_callback(self._sealing.discard)
            return None

    async def _seal_later(self, group: str) -> None:
        wait_s = SEAL_S
        while True:
            await asyncio.sleep(wait_s)
            with contextlib.suppress(Unavailable):
                await self._broker.seal(group, self._process)
                return
            wait_s = min(2 * wait_s, MAX_SEAL_S)

    async def stop(self) -> None:
        """Wait for nothing: the farewell of this process seals them."""
        for task in self._sealing:
            task.cancel()
        await asyncio.gather(*self._sealing, return_exceptions=True)


def _stable(value: Any) -> Any:
    """What a submission is known by; that of one which could not be read is its refusal."""
    return value.message if isinstance(value, WindsockError) else value
