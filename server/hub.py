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

from server.broker import Broker, Change
from server.fanout import Fanout
from server.feeds import Feeds
from server.job import Job, JobDetail, JobState
from server.metrics import Traffic
from server.reading import entry_of, outcome_of
from server.reads import Reads
from server.settings import Settings
from server.subscription import Subscription
from server.topic import Topic
from server.topic_reads import TopicReads
from server.vigil import BATCH, Vigil
from server.watcher import Watcher

log = logging.getLogger("windsock.hub")


class Audience(Protocol):
    """Who is told how it stands with the link; must not wait."""

    def announce(self, frame: dict[str, Any]) -> None:
        """Pass a frame on to the client."""


class Hub:
    """Owns the topics and windows of a node."""

    def __init__(self, broker: Broker, settings: Settings, traffic: Traffic) -> None:
        self._broker = broker
        self._settings = settings
        self.traffic = traffic
        self._topics: dict[str, Topic] = {}
        self.fanout = Fanout(settings, traffic, self._supply)
        self._reads = Reads()
        self._store = TopicReads(broker, self._reads, self._topics, self.fanout, settings, self._patience)
        self.feeds = Feeds(broker, self._reads)
        self._vigil = Vigil(broker, lambda: self._topics, self.reread, settings.reread_s)
        self._audience: set[Audience] = set()
        self._seq: int | None = None  # number of the last message; None: whatever comes next is right
        self._up = False  # the link
        self._settled_at = 0.0  # monotonic seconds: until then the store may be told again what it lost
        self._disturbed = False  # Redis was away or lost data, and it was not this node that has just started
        self.stale: str | None = None  # why what is shown may be old

    def start(self) -> None:
        """Begin to look after what is watched."""
        self._vigil.start()

    async def stop(self) -> None:
        """End all reads; nothing more is sent."""
        await self._vigil.stop()
        await self._reads.stop()
        self.fanout.stop()

    # who watches

    def topic(self, job_id: str) -> Topic:
        """The topic of a job, shared where somebody watches it already."""
        return self._topics.get(job_id) or Topic(job_id)

    def watch(self, topic: Topic, watcher: Watcher, *, unborn: bool = False) -> None:
        """Be told of a job. `unborn`: it is about to be submitted, so there is nothing to read yet."""
        if topic.id not in self._topics:
            self._topics[topic.id] = topic
            topic.keeper = self
            self._vigil.mark([topic.id])
        topic.watchers[watcher] = None
        if not topic.loaded and not topic.loading and not unborn:
            self._store.load(topic)

    def _supply(self, subscription: Subscription) -> None:
        self._store.supply(subscription)

    def seed(self, topic: Topic, job: Job) -> None:
        """A job that was unborn has been stored; its first message may still be on its way, or lost with the link."""
        if topic.job is None:
            topic.apply(job)
            topic.tell()

    def idle(self, watched: Topic) -> None:
        """A topic goes with its last watcher."""
        if self._topics.get(watched.id) is watched:
            del self._topics[watched.id]

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
        seq, changes = self._broker.changes(data, None if self.feeds else self._topics)
        self._follow_seq(seq)
        for change in changes:
            topic = self._topics.get(change.id)
            if topic is not None:
                self._apply(topic, change)
            self.feeds.apply(seq, change)

    def _follow_seq(self, seq: int) -> None:
        """Messages are numbered: a jump means that some were missed, a step back that the store lost data."""
        expected, self._seq = self._seq, seq
        if expected is not None and seq != expected + 1:
            log.info("message %d came after %d: all that is watched is read anew", seq, expected)
            self._settle(disturbed=True)
            self.resync()

    def _apply(self, topic: Topic, change: Change) -> None:
        if change.gone:
            topic.lose()
            topic.tell()
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
                self._store.load(topic)
        topic.tell()

    def on_up(self) -> None:
        """The link is there (again): what was missed is read from the store."""
        self._seq = None
        self._up = True
        self._settle(disturbed=self.stale is not None)
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
        self._reads.outdated.update(topic for topic in self._topics.values() if topic.loading)
        for topic in self._topics.values():
            if not topic.loading:
                self._store.load(topic)
        self.feeds.resync()

    async def reread(self) -> None:
        """Compare what is watched with the store: a message may have been lost without a sign."""
        self.feeds.reread()
        ids = [topic.id for topic in self._topics.values() if topic.job is not None and not topic.loading]
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            _, jobs = await self._broker.fetch(batch)
            self._compare(batch, jobs)

    def _compare(self, job_ids: Sequence[str], jobs: Sequence[Job | None]) -> None:
        for job_id, job in zip(job_ids, jobs, strict=True):
            topic = self._topics.get(job_id)
            if topic is None or topic.loading:
                continue
            if job is None or (job.ended and topic.outcome is None):
                self._store.load(topic)
            elif topic.apply(job):
                topic.ring.skip(job.offset)
                topic.tell()

    def _settle(self, *, disturbed: bool) -> None:
        self._disturbed = disturbed or (self._disturbed and time.monotonic() < self._settled_at)
        self._settled_at = time.monotonic() + self._settings.lost_s

    def _patience(self, seen: bool) -> float:
        """Until when (monotonic) a job that Redis does not know may be told to it again.

        After a disturbance any job may, for it may have been lost before anybody was told of it; else one that a
        client has seen.
        """
        if not self._up:
            return time.monotonic() + self._settings.lost_s
        return self._settled_at if seen or self._disturbed else 0.0

    async def find(self, job_id: str, *, seen: bool) -> JobDetail | None:
        """A job that Redis does not know, as soon as it is told it again; None when it is gone for good."""
        return await self._store.find(job_id, self._patience(seen))

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
