"""The one doorway for jobs: submit, get, list, cancel, rerun. HTTP, WebSocket and programs all come through here."""

import asyncio
from collections.abc import Callable
from typing import Any

from server.broker import Broker, Page
from server.cursor import Cursor
from server.errors import Conflict, NotFound, Unavailable
from server.groups import Groups
from server.hub import Hub
from server.job import Job, JobDetail, JobState
from server.metrics import Metrics
from server.protocol import IdempotencyKey, Submission
from server.reading import list_wish, piece_runs
from server.registry import Registry
from server.settings import Settings
from server.submitting import Submitting
from server.topic import Run, Topic
from server.window import Match


class Queue:
    """Takes jobs in and answers for them.

    Duties in call order: `submit`, `submit_and_wait`, `get`, `page`, `log`, `poll`, `cancel`, `rerun`, `delete`; what
    new jobs and batches go through is in `submitting`.
    """

    def __init__(
        self, broker: Broker, hub: Hub, registry: Registry, settings: Settings, metrics: Metrics, process: str
    ) -> None:
        self._broker = broker
        self._hub = hub
        self._settings = settings
        self.submitting = Submitting(broker, hub, registry, settings, metrics)
        self.groups = Groups(process, broker, self.submitting, settings)

    async def submit(self, submission: Submission, key: IdempotencyKey | None = None) -> Job:
        """Check, store and announce a job; it, or the one that stands for it.

        Raises:
            Invalid, TooLarge: it can never run as it is.
            Unavailable, QueueFull: not now. Nothing was accepted.
            Invalid, Conflict: its idempotency key was used for another submit; for a job that is gone.
        """
        return (await self.submitting.store(self.submitting.prepare(submission, key))).job

    async def submit_and_wait(
        self, submission: Submission, wait_s: float, key: IdempotencyKey | None = None
    ) -> tuple[Job, JobDetail | None]:
        """Submit, and wait for the end; the job as it was stored, and its end if that came in time.

        Raises:
            As `submit`.
        """
        new = self.submitting.prepare(submission, key)
        async with Watching(self._hub, self._hub.topic(new.id), unborn=True) as watching:
            job = (await self.submitting.store(new, watching.topic)).job
            ended = job.id == new.id and await watching.until(_over, wait_s)
        if job.id != new.id:
            ended = job.ended or await self._ends(job.id, wait_s)
        return job, await self._end(job.id) if ended else None

    async def _ends(self, job_id: str, wait_s: float) -> bool:
        async with Watching(self._hub, self._hub.topic(job_id)) as watching:
            return await watching.until(_over, wait_s)

    async def _end(self, job_id: str) -> JobDetail | None:
        """The end of a job just submitted; None when it cannot be read: the job was accepted all the same."""
        try:
            return await self._broker.detail(job_id)
        except (NotFound, Unavailable):
            return None

    async def get(self, job_id: str) -> JobDetail:
        """A job with everything.

        Raises:
            NotFound: there is none.
        """
        return await self._broker.detail(job_id)

    async def page(self, match: Match, limit: int, before: str | None = None) -> Page:
        """One page of a list, newest first."""
        return await self._broker.page(list_wish(match), limit, before, counts=match.countable)

    async def children(
        self, parent: str, states: frozenset[JobState] | None, limit: int, before: str | None = None
    ) -> Page:
        """One page of a job's children, newest first.

        Raises:
            NotFound: there are none, and no such job.
        """
        page = await self.page(Match(states, parents=frozenset([parent])), limit, before)
        if not page.jobs:
            await self._broker.detail(parent)
        return page

    async def log(self, job_id: str, after: int, limit: int) -> dict[str, Any]:
        """A piece of a job's log from offset `after` + 1 on: entries with offsets, first kept, last, next.

        Raises:
            NotFound: no such job.
        """
        piece = await self._broker.log(job_id, after, limit, self._settings.log_keep_bytes)
        entries = [
            {"offset": run.first + i, **entry.value}
            for run in piece_runs(piece, after)
            if isinstance(run, Run)
            for i, entry in enumerate(run.entries)
        ]
        end = piece.entries[-1][0] if piece.entries else piece.last
        return {
            "entries": entries,
            "first": piece.first,
            "last": piece.last,
            "next": end if end < piece.last else None,
        }

    async def ended(self, job_id: str, wait_s: float) -> JobDetail | None:
        """The job as soon as it has ended, None when `wait_s` pass before.

        Raises:
            NotFound: no such job.
        """
        async with Watching(self._hub, self._hub.topic(job_id)) as watching:
            detail = await self._broker.detail(job_id)
            if detail.job.ended:
                return detail
            if not await watching.until(_over, wait_s):
                return None
        return await self._broker.detail(job_id)

    async def poll(self, job_id: str, cursor: str | None, wait_s: float) -> JobDetail | None:
        """The job as soon as it is further than `cursor` (log growth counts), None when `wait_s` pass without news.

        Raises:
            NotFound: no such job.
        """
        topic = self._hub.topic(job_id)
        async with Watching(self._hub, topic) as watching:
            detail = await self._broker.detail(job_id)
            seen = Cursor.parse(cursor)
            if seen is None or _news(detail.job, seen):
                return detail
            if detail.job.ended or not await watching.until(lambda topic: _told(topic, seen), wait_s):
                return None
        return await self._broker.detail(job_id)

    async def cancel(self, job_id: str) -> Job:
        """Ask a job to end; it is `cancelled` at once when it had not started, else `cancelling`.

        Raises:
            NotFound, Conflict: no such job; it has ended.
        """
        return await self._broker.cancel(job_id)

    async def rerun(self, job_id: str) -> Job:
        """Run an ended job anew: a new job with the same task and arguments, or the one it joins.

        Raises:
            NotFound, Conflict: no such job; it has not ended.
            Invalid: the task is gone or takes other arguments by now.
        """
        refusal = self.submitting.refusing()
        if refusal is not None:
            raise refusal
        detail = await self._broker.detail(job_id)
        job = detail.job
        if not job.ended:
            raise Conflict(f"job {job_id} has not ended; cancel it first")
        if job.children is not None and job.children.group:
            raise Conflict(f"job {job_id} is a group: rerun its jobs, or submit them as a new one")
        again = Submission(
            task=job.task,
            args=detail.args,
            queue=job.queue,
            priority=job.priority,
            max_attempts=job.max_attempts,
            tags=list(job.tags),
            timeout_s=detail.timeout_s,
            profile=detail.profile,
        )
        return (await self.submitting.store(self.submitting.prepare(again, rerun_of=job.id))).job

    async def delete(self, job_id: str) -> None:
        """Forget an ended job.

        Raises:
            NotFound, Conflict: no such job; it has not ended.
        """
        await self._broker.delete(job_id)


class Watching:
    """Watches one topic inside an `async with`, for those who wait instead of listening."""

    def __init__(self, hub: Hub, topic: Topic, *, unborn: bool = False) -> None:
        self._hub = hub
        self._unborn = unborn  # the job is about to be submitted
        self._news = asyncio.Event()
        self.topic = topic

    def notify(self) -> None:
        """There is news."""
        self._news.set()

    async def __aenter__(self) -> "Watching":
        self._hub.watch(self.topic, self, unborn=self._unborn)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.topic.unwatch(self)

    async def until(self, wanted: Callable[[Topic], bool], timeout_s: float) -> bool:
        """Wait until `wanted(topic)` holds; False when the time is over first."""
        try:
            async with asyncio.timeout(timeout_s):
                while not wanted(self.topic):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True


def _over(topic: Topic) -> bool:
    return topic.missing or (topic.job is not None and topic.job.ended)


def _news(job: Job, seen: Cursor) -> bool:
    here = job.cursor
    return (here.store, here.attempt) != (seen.store, seen.attempt) or (here.version, here.offset) != (
        seen.version,
        seen.offset,
    )


def _told(topic: Topic, seen: Cursor) -> bool:
    return topic.missing or (topic.job is not None and _news(topic.job, seen))
