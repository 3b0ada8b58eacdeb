"""The node's table of who listens to what.

`on_message` is a plain function and never waits: it applies a change to its topic and to every window and tells those
who watch. What has to be read from the store (a job somebody has begun to watch, an older piece of a log, the end of a
big result, everything after the link was away) is read by tasks of the hub's own.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, Protocol

from server.broker import Broker, Change, LogPiece
from server.errors import NotFound
from server.feeds import Feeds
from server.job import Job, JobDetail, JobState
from server.metrics import Traffic
from server.reading import entry_of, outcome_of, piece_runs
from server.reads import RETRY_S, Reads
from server.settings import Settings
from server.topic import Gap, Run, Topic
from server.vigil import BATCH, Vigil
from server.watcher import Watcher, tell

log = logging.getLogger("windsock.hub")
LOST_BEATS = 3  # a job that ran is missed so long before its watchers are told that it is gone
READ_ENTRIES = 2000  # of a log, by one read for one client


class Audience(Protocol):
    """Who is told how it stands with the link; must not wait."""

    def announce(self, frame: dict[str, Any]) -> None:
        """Pass a frame on to the client."""


class Hub:
    """Owns the topics and windows of a node, and who watches them."""

    def __init__(self, broker: Broker, settings: Settings, traffic: Traffic) -> None:
        self._broker = broker
        self._settings = settings
        self.traffic = traffic
        self._topics: dict[str, tuple[Topic, dict[Watcher, None]]] = {}
        self._reads = Reads()
        self.feeds = Feeds(broker, self._reads)
        self._vigil = Vigil(broker, lambda: self._topics, self.reread, settings.reread_s)
        self._audience: set[Audience] = set()
        self._seq: int | None = None  # number of the last message; None: whatever comes next is right
        self._up = False  # the link
        self.stale: str | None = None  # why what is shown may be old

    def start(self) -> None:
        """Begin to look after what is watched."""
        self._vigil.start()

    async def stop(self) -> None:
        """End all reads."""
        await self._vigil.stop()
        await self._reads.stop()

    # who watches

    def topic(self, job_id: str) -> Topic:
        """The topic of a job, shared where somebody watches it already."""
        held = self._topics.get(job_id)
        return held[0] if held is not None else Topic(job_id)

    def watch(self, topic: Topic, watcher: Watcher, *, unborn: bool = False) -> None:
        """Be told of a job. `unborn`: it is about to be submitted, so there is nothing to read yet."""
        _, watchers = self._topics.setdefault(topic.id, (topic, {}))
        if not watchers:
            self._vigil.mark([topic.id])
        watchers[watcher] = None
        if not topic.loaded and not topic.loading and not unborn:
            self._reads.begin(self._load_topic(topic))

    def seed(self, topic: Topic, job: Job) -> None:
        """A job that was unborn has been stored; its first message may still be on its way, or lost with the link."""
        held = self._topics.get(topic.id)
        if held is not None and held[0].job is None:
            held[0].apply(job)
            tell(held[1])

    def unwatch(self, topic: Topic, watcher: Watcher) -> None:
        """Be told no more; the topic goes with its last watcher."""
        held = self._topics.get(topic.id)
        if held is not None and held[0] is topic:
            held[1].pop(watcher, None)
            if not held[1]:
                del self._topics[topic.id]

    def join(self, audience: Audience) -> None:
        """Be told `stale` and `fresh`."""
        self._audience.add(audience)
        if self.stale is not None:
            audience.announce({"type": "stale", "why": self.stale})

    def leave(self, audience: Audience) -> None:
        """Be told no more."""
        self._audience.discard(audience)

    # what comes from the link

    def on_message(self, data: bytes) -> None:
        """A message of the events channel."""
        if not self._topics and not self.feeds:
            self._seq = None
            return
        seq, changes = self._broker.changes(data)
        self._follow_seq(seq)
        for change in changes:
            held = self._topics.get(change.id)
            if held is not None:
                self._apply(*held, change)
            self.feeds.apply(seq, change)

    def _follow_seq(self, seq: int) -> None:
        """Messages are numbered: a jump means that some were missed, a step back that the store lost data."""
        expected, self._seq = self._seq, seq
        if expected is not None and seq != expected + 1:
            log.info("message %d came after %d: all that is watched is read anew", seq, expected)
            self.resync()

    def _apply(self, topic: Topic, watchers: dict[Watcher, None], change: Change) -> None:
        if change.gone:
            topic.job, topic.missing = None, True
            tell(watchers)
            return
        topic.apply(change.job)
        if change.first is not None:
            topic.ring.extend(change.first, [entry_of(packed) for packed in change.entries])
        else:
            topic.ring.skip(change.offset)
        if change.job.ended and topic.outcome is None:
            if change.outcome is not None or change.job.state is JobState.CANCELLED:
                topic.outcome = outcome_of(change)
            elif not topic.loading:
                self._reads.begin(self._load_topic(topic))
        tell(watchers)

    def on_up(self) -> None:
        """The link is there (again): what was missed is read from the store."""
        self._seq = None
        self._up = True
        if self.stale is not None:
            self.resync()
            self._reads.begin(self._freshen(list(self._reads.under_way)))

    async def _freshen(self, reads: "list[asyncio.Future[None]]") -> None:
        """What was missed has been read, unless the link went again meanwhile: then the next time says so."""
        await asyncio.gather(*reads, return_exceptions=True)
        if self._up and self.stale is not None:
            self._set_stale(None)

    def resync(self) -> None:
        """Read all that is watched anew; what is being read already, once more."""
        self.traffic.resyncs += 1
        self._vigil.mark(self._topics)
        self._reads.outdated.update(topic for topic, _ in self._topics.values() if topic.loading)
        for topic, _ in self._topics.values():
            if not topic.loading:
                self._reads.begin(self._load_topic(topic))
        self.feeds.resync()

    async def reread(self) -> None:
        """Compare what is watched with the store: a message may have been lost without a sign."""
        self.feeds.reread()
        ids = [topic.id for topic, _ in self._topics.values() if topic.job is not None and not topic.loading]
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            _, jobs = await self._broker.fetch(batch)
            self._compare(batch, jobs)

    def _compare(self, job_ids: Sequence[str], jobs: Sequence[Job | None]) -> None:
        for job_id, job in zip(job_ids, jobs, strict=True):
            topic, watchers = self._topics.get(job_id, (None, {}))
            if topic is None or topic.loading:
                continue
            if job is None or (job.ended and topic.outcome is None):
                self._reads.begin(self._load_topic(topic))
            elif topic.apply(job):
                topic.ring.skip(job.offset)
                tell(watchers)

    def on_down(self, why: str) -> None:
        """The link is away: what is shown may be old."""
        self._up = False
        self._set_stale(why)

    def _set_stale(self, why: str | None) -> None:
        if why is not None and self.stale is not None:
            return  # they have been told
        self.stale = why
        frame = {"type": "fresh", "why": "Redis is back"} if why is None else {"type": "stale", "why": why}
        for audience in list(self._audience):
            audience.announce(frame)

    # what is read from the store

    async def _load_topic(self, topic: Topic) -> None:
        topic.loading = True
        try:
            detail = await self._reads.until(lambda: self._detail(topic), lambda: topic.id in self._topics)
        finally:
            topic.loading = False
        if self._reads.was_outdated(topic):
            self._reads.begin(self._load_topic(topic))
            return
        self._take(topic, detail)
        if topic.id in self._topics and not topic.complete:  # it ended while it was read
            self._reads.begin(self._load_topic(topic))

    async def catch_up(self, topic: Topic) -> None:
        """Read a job because a client has seen more of it at another node than this one knows."""
        self._take(topic, await self._reads.until(lambda: self._detail(topic), lambda: topic.id in self._topics))

    def _take(self, topic: Topic, detail: JobDetail | None) -> None:
        if detail is None:
            topic.job, topic.missing = None, True
        else:
            topic.apply(detail.job)
            topic.ring.skip(detail.job.offset)
            if detail.job.ended:
                topic.outcome = detail.outcome(self._settings.frame_result_bytes)
        held = self._topics.get(topic.id)
        if held is not None:
            tell(held[1])

    async def _detail(self, topic: Topic) -> JobDetail | None:
        """The job; one that ran and is unknown is looked for once more: its runner may make it known again."""
        try:
            return await self._broker.detail(topic.id)
        except NotFound:
            if topic.job is None or topic.job.ended:
                return None
        await asyncio.sleep(LOST_BEATS * self._settings.beat_s)
        try:
            return await self._broker.detail(topic.id)
        except NotFound:
            return None

    async def read_log(self, topic: Topic, after: int, max_bytes: int) -> list[Run | Gap] | None:
        """The log from `after` + 1 on as far as one read goes; None when nobody watches the topic any more."""
        enough = time.monotonic() + 2 * self._settings.lease_s
        while True:
            piece = await self._reads.until(
                lambda: self._log(topic, after, max_bytes), lambda: topic.id in self._topics
            )
            if piece is None or piece.entries or not topic.has(after + 1) or time.monotonic() > enough:
                return None if piece is None else piece_runs(piece, after)
            await asyncio.sleep(RETRY_S)  # the store has lost its tail: the runner sends it again, if it lives

    async def _log(self, topic: Topic, after: int, max_bytes: int) -> LogPiece:
        try:
            return await self._broker.log(topic.id, after, READ_ENTRIES, max_bytes)
        except NotFound:
            if not topic.loading:
                self._reads.begin(self._load_topic(topic))
            return LogPiece(1, 0, [])
