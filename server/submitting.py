"""Taking jobs in: checked, given an id, and handed to the store; one, or thousands in one go."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ulid import LaxMonotonicPolicy, ULIDGenerator

from server.broker import Broker, How, Kin, NewJob, Submitted
from server.codec import MAX_DEPTH, MSGPACK, check_value
from server.errors import BadRequest, Invalid, TooLarge, Unavailable, WindsockError
from server.hub import Hub
from server.metrics import Metrics
from server.protocol import IdempotencyKey, Submission, parse
from server.registry import Registry
from server.sameness import digest
from server.settings import Settings
from server.topic import Topic
from server.tree import child_id

PART = 128  # jobs of a batch that go to the store in one call …
PART_BYTES = 256 * 1024  # … or as many as have arguments of this length
PART_S = 0.005  # … or as take this long to check: then the loop has a turn
ENVELOPE = 4  # levels of a submission around its arguments, and to spare
PARTS_UNDER_WAY = 4  # while the store takes in some, the next ones are checked

Outcome = Submitted | WindsockError


class Submitting:
    """Owns the way of new jobs into the store.

    Duties in call order: `prepare` and `store` for one, `store_all` for a batch; `turned_away` says how the last went.
    """

    def __init__(self, broker: Broker, hub: Hub, registry: Registry, settings: Settings, metrics: Metrics) -> None:
        self._broker = broker
        self._hub = hub
        self._registry = registry
        self._settings = settings
        self._metrics = metrics
        self._ids = ULIDGenerator(policy=LaxMonotonicPolicy())
        self._turned_away: tuple[Unavailable, float] | None = None  # the last submit, and when (monotonic)
        self.refusing: Callable[[], Unavailable | None] = lambda: None  # why nothing is accepted now
        self.expecting: Callable[[NewJob], Callable[[], None] | None] = _nobody_does  # how to claim it at once

    def prepare(self, submission: Submission, key: IdempotencyKey | None = None, rerun_of: str | None = None) -> NewJob:
        """Check a job, and give it its id. Nothing is accepted yet.

        Raises:
            Invalid, TooLarge: it can never run as it is.
            Unavailable: not now.
        """
        with self._counted():
            self._admit()
            return self._check(submission, key, rerun_of)

    def prepare_plain(self, value: Any) -> NewJob:
        """As `prepare`, of what was decoded. A refusal is not counted: whoever gets it asks for the same by `prepare`.

        Raises:
            Invalid, TooLarge, Unavailable: as `prepare`.
        """
        self._admit()
        return self._check(parse(Submission, value), None, None)

    def _admit(self) -> None:
        refusal = self.refusing()
        if refusal is not None:
            raise refusal

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except WindsockError as error:
            self._count(error)
            raise

    def _count(self, outcome: Outcome) -> None:
        self._metrics.submits[outcome.how.value if isinstance(outcome, Submitted) else outcome.code.value] += 1

    def new_id(self) -> str:
        """An id that sorts behind all before it."""
        return str(self._ids.generate())

    def _check(self, submission: Submission, key: IdempotencyKey | None, rerun_of: str | None) -> NewJob:
        task = self._registry.get(submission.task)
        try:
            check_value(submission.args, MAX_DEPTH)
        except ValueError as error:
            raise Invalid.field("args", str(error)) from None
        task.check(submission.args)
        args = MSGPACK.encode(submission.args)
        if len(args) > self._settings.args_bytes:
            raise TooLarge(f"arguments of {len(args)} bytes; the limit is {self._settings.args_bytes} (args_bytes)")
        options = task.options
        return NewJob(
            id=self.new_id(),
            task=task.name,
            queue=submission.queue or options.queue,
            args=args,
            priority=options.priority if submission.priority is None else submission.priority,
            max_attempts=submission.max_attempts or options.max_attempts,
            tags=tuple(dict.fromkeys(submission.tags)),
            timeout_s=submission.timeout_s or options.timeout_s,
            delay_s=submission.delay_s,
            at=submission.at,
            rerun_of=rerun_of,
            same=None if task.sameness is None else task.sameness.of(submission.args),
            key=key,
            body="" if key is None else digest(submission.model_dump(exclude_unset=True)),
            limit=task.limit_of(submission.args),
            profile=submission.profile,
        )

    def child(self, submission: Submission, job_id: str, kin: Kin) -> NewJob:
        """Check a child, also on a node that takes in no more. It is a job of its own: no other one stands for it.

        A limit of trees is not for what is in one: who holds the places could wait for who wants one.

        Raises:
            Invalid, TooLarge: it can never run as it is.
        """
        new = replace(self._check(submission, None, None), id=job_id, kin=kin, same=None)
        limit = self._registry.get(submission.task).limit
        return replace(new, limit=None) if limit is not None and limit.trees else new

    async def store(self, new: NewJob, topic: Topic | None = None) -> Submitted:
        """Store and announce a prepared job, or find the one that stands for it.

        Args:
            topic: of the new job; whoever watches it misses nothing.

        Raises:
            Unavailable, QueueFull: not now. Nothing was accepted.
            Invalid, Conflict: its idempotency key was used for another submit; for a job that is gone.
        """
        (outcome,) = await self._hand_over([new])
        self._count(outcome)
        if isinstance(outcome, WindsockError):
            raise outcome
        if topic is not None and outcome.how is How.ACCEPTED:
            self._hub.seed(topic, outcome.job)
        return outcome

    async def _hand_over(self, jobs: Sequence[NewJob]) -> Sequence[Outcome]:
        """What the store says to each; where it says nothing at all, that it does not."""
        claim = self.expecting(jobs[0]) if len(jobs) == 1 else None
        try:
            under_way = self._broker.submit(jobs, claimed=claim is not None)
            if claim is not None:
                claim()
            answers = await under_way
        except Unavailable as error:
            self._turned_away = (error, time.monotonic())
            return [error] * len(jobs)
        self._turned_away = None
        return answers

    def turned_away(self, within_s: float) -> Unavailable | None:
        """Why the store refused the last submit, if that is not longer ago: near a full memory a beat may still fit."""
        if self._turned_away is None or time.monotonic() - self._turned_away[1] > within_s:
            return None
        return self._turned_away[0]

    async def store_all(self, values: Sequence[Any], group: str | None = None) -> AsyncIterator[Sequence[Outcome]]:
        """Take in a batch, each of its submissions for itself: what became of them, in order, some at a time.

        The loop has a turn after each part. Once the store has failed, what was not handed to it yet is not.

        Args:
            values: decoded submissions; a refusal stands for one that could not be decoded.
            group: id of the group whose jobs they are.

        Raises:
            Unavailable: before anything was taken in: not now.
        """
        self._admit()
        under_way: deque[asyncio.Task[Sequence[Outcome]]] = deque()
        failed: Unavailable | None = None
        start = 0
        try:
            while start < len(values) or under_way:
                if start < len(values) and len(under_way) < PARTS_UNDER_WAY:
                    part = self._prepare_part(values, start, failed, group)
                    start += len(part)
                    under_way.append(asyncio.create_task(self._store_part(part), name="part of a batch"))
                    await asyncio.sleep(0)
                    if not under_way[0].done():
                        continue
                outcomes = await under_way.popleft()
                failed = failed or next((one for one in outcomes if isinstance(one, Unavailable)), None)
                for outcome in outcomes:
                    self._count(outcome)
                yield outcomes
        finally:
            for task in under_way:
                task.cancel()

    def _prepare_part(
        self, values: Sequence[Any], start: int, failed: Unavailable | None, group: str | None
    ) -> Sequence[NewJob | WindsockError]:
        """The next submissions of a batch, checked; as many as are good for one call."""
        until = time.perf_counter() + PART_S
        part: list[NewJob | WindsockError] = []
        size = 0
        for number, value in enumerate(values[start : start + PART], start + 1):
            one = failed or self._prepare_one(value)
            if group is not None and isinstance(one, NewJob):
                kin = Kin(group, 1.0, 1, "")
                one = replace(one, id=child_id(group, number), kin=kin, same=None)
            part.append(one)
            size += len(one.args) if isinstance(one, NewJob) else 0
            if size >= PART_BYTES or time.perf_counter() > until:
                break
        return part

    def _prepare_one(self, value: Any) -> NewJob | WindsockError:
        try:
            if isinstance(value, WindsockError):
                return value
            self._admit()
            check_value(value, MAX_DEPTH + ENVELOPE)
            return self._check(parse(Submission, value), None, None)
        except ValueError as error:
            return BadRequest(f"not readable: {error}")
        except WindsockError as error:
            return error

    async def _store_part(self, part: Sequence[NewJob | WindsockError]) -> Sequence[Outcome]:
        jobs = [one for one in part if isinstance(one, NewJob)]
        answers = iter(await self._hand_over(jobs) if jobs else ())
        return [next(answers) if isinstance(one, NewJob) else one for one in part]


def _nobody_does(_: NewJob) -> None:
    """No worker is here."""
