"""The one doorway for jobs: submit, get, list, cancel, rerun. HTTP, WebSocket and programs all come through here."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from ulid import LaxMonotonicPolicy, ULIDGenerator

from server.broker import Broker, NewJob, Page
from server.codec import MAX_DEPTH, MSGPACK, check_value
from server.cursor import Cursor
from server.errors import Conflict, Invalid, NotFound, TooLarge, Unavailable, WindsockError
from server.hub import Hub
from server.job import Job, JobDetail, JobState
from server.metrics import Metrics
from server.protocol import Submission
from server.reading import list_wish, piece_runs
from server.registry import Registry
from server.settings import Settings
from server.topic import Run, Topic
from server.window import Match


class Queue:
    """Takes jobs in and answers for them.

    Duties in call order: `submit`, `get`, `list`, `log`, `wait`, `cancel`, `rerun`, `delete`.
    """

    def __init__(self, broker: Broker, hub: Hub, registry: Registry, settings: Settings, metrics: Metrics) -> None:
        self._broker = broker
        self._hub = hub
        self._registry = registry
        self._settings = settings
        self._metrics = metrics
        self._new_id = ULIDGenerator(policy=LaxMonotonicPolicy())
        self._turned_away: tuple[Unavailable, float] | None = None  # the last submit, and when (monotonic)
        self.refusing: Callable[[], Unavailable | None] = lambda: None  # why nothing is accepted now

    async def submit(self, submission: Submission, *, born: Callable[[Topic], None] | None = None) -> Job:
        """Check, store and announce a job.

        Args:
            born: called with the job's topic before it is stored, so that whoever watches from there on misses nothing.

        Raises:
            Invalid, TooLarge: it can never run as it is.
            Unavailable, QueueFull: not now. Nothing was accepted.
        """
        try:
            refusal = self.refusing()
            if refusal is not None:
                raise refusal
            return await self._store(self._check(submission), born)
        except WindsockError as error:
            self._metrics.submits[error.code.value] += 1
            raise

    def _check(self, submission: Submission, rerun_of: str | None = None) -> NewJob:
        task = self._registry.get(submission.task)
        try:
            check_value(submission.args, MAX_DEPTH)
        except ValueError as error:
            raise Invalid.field("args", str(error)) from None
        task.check(submission.args)
        args = MSGPACK.encode(submission.args)
        if len(args) > self._settings.args_bytes:
            raise TooLarge(f"arguments of {len(args)} bytes; the limit is {self._settings.args_bytes} (args_bytes)")
        return NewJob(
            id=str(self._new_id.generate()),
            task=task.name,
            queue=submission.queue or task.options.queue,
            args=args,
            priority=submission.priority,
            max_attempts=submission.max_attempts or task.options.max_attempts,
            tags=tuple(dict.fromkeys(submission.tags)),
            timeout_s=submission.timeout_s or task.options.timeout_s,
            delay_s=submission.delay_s,
            at=submission.at,
            rerun_of=rerun_of,
        )

    async def _store(self, new: NewJob, born: Callable[[Topic], None] | None) -> Job:
        topic = self._hub.topic(new.id)
        if born is not None:
            born(topic)
        try:
            (answer,) = await self._broker.submit([new])
        except Unavailable as error:
            self._turned_away = (error, time.monotonic())
            raise
        self._turned_away = None
        if isinstance(answer, WindsockError):
            raise answer
        self._metrics.submits["accepted"] += 1
        self._hub.seed(topic, answer)
        return answer

    def turned_away(self, within_s: float) -> Unavailable | None:
        """Why the store refused the last submit, if that is not longer ago: near a full memory a beat may still fit."""
        if self._turned_away is None or time.monotonic() - self._turned_away[1] > within_s:
            return None
        return self._turned_away[0]

    async def get(self, job_id: str) -> JobDetail:
        """A job with everything.

        Raises:
            NotFound: there is none.
        """
        return await self._broker.detail(job_id)

    async def page(self, match: Match, limit: int, before: str | None = None) -> Page:
        """One page of a list, newest first."""
        return await self._broker.page(list_wish(match), limit, before, counts=match.countable)

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

    async def submit_and_wait(self, submission: Submission, wait_s: float) -> tuple[Job, JobDetail | None]:
        """Submit, and wait for the end; the job as it was stored, and its end if that came in time.

        Raises:
            As `submit`.
        """
        async with contextlib.AsyncExitStack() as stack:
            entered: list[Watching] = []

            def born(topic: Topic) -> None:
                watching = Watching(self._hub, topic)
                self._hub.watch(topic, watching, unborn=True)
                stack.callback(self._hub.unwatch, topic, watching)
                entered.append(watching)

            job = await self.submit(submission, born=born)
            ended = await entered[0].until(
                lambda topic: topic.missing or (topic.job is not None and topic.job.ended), wait_s
            )
        return job, await self._end(job.id) if ended else None

    async def _end(self, job_id: str) -> JobDetail | None:
        """The end of a job just submitted; None when it cannot be read: the job was accepted all the same."""
        try:
            return await self._broker.detail(job_id)
        except (NotFound, Unavailable):
            return None

    async def cancel(self, job_id: str) -> Job:
        """Ask a job to end; it is `cancelled` at once when it had not started, else `cancelling`.

        Raises:
            NotFound, Conflict: no such job; it has ended.
        """
        job = await self._broker.cancel(job_id)
        if job.state is JobState.CANCELLED:  # before it had started: no worker will tell its end
            self._metrics.job(job.task, job.queue).end(job.state.value, None)
        return job

    async def rerun(self, job_id: str) -> Job:
        """Run an ended job anew: a new job with the same task and arguments.

        Raises:
            NotFound, Conflict: no such job; it has not ended.
            Invalid: the task is gone or takes other arguments by now.
        """
        refusal = self.refusing()
        if refusal is not None:
            raise refusal
        detail = await self._broker.detail(job_id)
        job = detail.job
        if not job.ended:
            raise Conflict(f"job {job_id} has not ended; cancel it first")
        again = Submission(
            task=job.task,
            args=detail.args,
            queue=job.queue,
            priority=job.priority,
            max_attempts=job.max_attempts,
            tags=list(job.tags),
            timeout_s=detail.timeout_s,
        )
        return await self._store(self._check(again, rerun_of=job.id), None)

    async def delete(self, job_id: str) -> None:
        """Forget an ended job.

        Raises:
            NotFound, Conflict: no such job; it has not ended.
        """
        await self._broker.delete(job_id)

    async def nodes(self) -> Sequence[dict[str, Any]]:
        """The processes alive."""
        return list((await self._broker.nodes()).values())


class Watching:
    """Watches one topic inside an `async with`, for those who wait instead of listening."""

    def __init__(self, hub: Hub, topic: Topic) -> None:
        self._hub = hub
        self._news = asyncio.Event()
        self.topic = topic

    def notify(self) -> None:
        """There is news."""
        self._news.set()

    async def __aenter__(self) -> "Watching":
        self._hub.watch(self.topic, self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._hub.unwatch(self.topic, self)

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


def _news(job: Job, seen: Cursor) -> bool:
    here = job.cursor
    return (here.store, here.attempt) != (seen.store, seen.attempt) or (here.version, here.offset) != (
        seen.version,
        seen.offset,
    )


def _told(topic: Topic, seen: Cursor) -> bool:
    return topic.missing or (topic.job is not None and _news(topic.job, seen))
