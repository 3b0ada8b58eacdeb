"""What is read from the store for topics: jobs that somebody has begun to watch, and older pieces of their logs."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from server.broker import Broker, LogPiece
from server.errors import NotFound
from server.fanout import Fanout
from server.job import JobDetail
from server.job_subscription import JobSubscription
from server.reading import piece_runs
from server.reads import RETRY_S, Reads
from server.settings import Settings
from server.subscription import Subscription
from server.topic import Gap, Run, Topic

READ_ENTRIES = 2000  # of a log, by one read


class TopicReads:
    """Reads the topics of a table, for all who watch them; what nobody watches any more is not read to its end."""

    def __init__(
        self,
        broker: Broker,
        reads: Reads,
        topics: Mapping[str, Topic],
        fanout: Fanout,
        settings: Settings,
        patience: Callable[[bool], float],
    ) -> None:
        self._broker = broker
        self._reads = reads
        self._topics = topics
        self._fanout = fanout
        self._settings = settings
        self._patience = patience  # until when an unknown job may come back; whether somebody has seen it

    # a topic

    def load(self, topic: Topic) -> None:
        """Read a job, and tell its watchers."""
        self._reads.begin(self._load(topic))

    async def _load(self, topic: Topic) -> None:
        topic.loading = True
        try:
            detail = await self._read(topic)
        finally:
            topic.loading = False
        if self._reads.was_outdated(topic):
            self.load(topic)
            return
        self._take(topic, detail)
        if topic.id in self._topics and not topic.complete:  # it ended while it was read
            self.load(topic)

    async def _read(self, topic: Topic) -> JobDetail | None:
        return await self._reads.until(lambda: self._detail(topic), lambda: topic.id in self._topics)

    def _take(self, topic: Topic, detail: JobDetail | None) -> None:
        if detail is None:
            topic.lose()
        else:
            topic.apply(detail.job)
            topic.waiting, topic.waiting_at = detail.waiting(), time.monotonic()
            topic.ring.skip(detail.job.offset)
            if detail.job.ended:
                topic.outcome = detail.outcome(self._settings.frame_result_bytes)
        topic.tell()

    async def _detail(self, topic: Topic) -> JobDetail | None:
        """The job. One that may come back is looked for again: its runner tells it to a store that has lost it."""
        with suppress(NotFound):
            return await self._broker.detail(topic.id)
        until = self._patience(topic.expected)
        if topic.job is not None and not topic.job.ended:  # it ran, and of nothing that happened to the store we know
            until = max(until, time.monotonic() + self._settings.lost_s)
        return await self.find(topic.id, until)

    async def find(self, job_id: str, until: float) -> JobDetail | None:
        """A job that the store may be told again until this monotonic time; None when it is gone for good."""
        while time.monotonic() < until:
            await asyncio.sleep(self._settings.beat_s)
            with suppress(NotFound):
                return await self._broker.detail(job_id)
        return None

    # what a subscription lacks

    def supply(self, subscription: Subscription) -> None:
        """Read what a subscription is `behind`, or the job of one that is `ahead`; then it goes on."""
        if isinstance(subscription, JobSubscription):
            subscription.reading = True
            self._reads.begin(self._supply(subscription))

    async def _supply(self, subscription: JobSubscription) -> None:
        try:
            if subscription.ahead:
                self._take(subscription.topic, await self._read(subscription.topic))
                subscription.catch_up()
            else:
                found = await self._read_log(subscription.topic, subscription.offset)
                if found is not None:
                    subscription.take(found)
        except Exception as error:
            self._fanout.fail(subscription, error)
        finally:
            subscription.reading = False
        self._fanout.touch(subscription)

    async def _read_log(self, topic: Topic, after: int) -> list[Run | Gap] | None:
        """The log from `after` + 1 on as far as one read goes; None when nobody watches the topic any more."""
        enough = time.monotonic() + 2 * self._settings.lease_s
        while True:
            epoch = topic.epoch
            piece = await self._reads.until(lambda: self._log(topic, after), lambda: topic.id in self._topics)
            if piece is None or piece.entries or not topic.has(after + 1) or time.monotonic() > enough:
                return None if piece is None else self._shared(topic, epoch, piece_runs(piece, after))
            await asyncio.sleep(RETRY_S)  # the store has lost its tail: the runner sends it again, if it lives

    @staticmethod
    def _shared(topic: Topic, epoch: tuple[str, int] | None, found: list[Run | Gap]) -> list[Run | Gap]:
        """What was read for one is kept for all: after a restart everybody comes back with about the same cursor."""
        for piece in reversed(found):
            if isinstance(piece, Run) and topic.epoch == epoch:
                topic.ring.backfill(piece)
        return found

    async def _log(self, topic: Topic, after: int) -> LogPiece:
        try:
            return await self._broker.log(topic.id, after, READ_ENTRIES, self._settings.batch_bytes)
        except NotFound:
            if not topic.loading:
                self.load(topic)
            return LogPiece(1, 0, [])
