"""The node's table of who listens to what.

`on_message` is a plain function and never waits: it applies a change to its topic and to every window and tells those
who watch. What has to be read from the store (a job somebody has begun to watch, an older piece of a log, the end of a
big result, everything after the link was away) is read by tasks of the hub's own.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar

from server.broker import Broker, Change, LogPiece
from server.errors import NotFound, Unavailable
from server.job import Job, JobDetail, JobState
from server.reading import entry_of, list_wish, outcome_of, piece_runs
from server.settings import Settings
from server.topic import Gap, Run, Topic
from server.window import Match, Window

log = logging.getLogger("windsock.hub")
Answer = TypeVar("Answer")
READ_ENTRIES = 2000  # of a log, by one read for one client
RETRY_S = 0.25


class Watcher(Protocol):
    """Who is told that a topic or a window has news; must not wait."""

    def notify(self) -> None:
        """There is news."""


class Audience(Protocol):
    """Who is told how it stands with the link; must not wait."""

    def announce(self, frame: dict[str, Any]) -> None:
        """Pass a frame on to the client."""


class Hub:
    """Owns the topics and windows of a node, and who watches them."""

    def __init__(self, broker: Broker, settings: Settings) -> None:
        self._broker = broker
        self._settings = settings
        self._topics: dict[str, tuple[Topic, dict[Watcher, None]]] = {}
        self._windows: dict[tuple[Match, int], tuple[Window, dict[Watcher, None]]] = {}
        self._reads: set[asyncio.Future[None]] = set()
        self._audience: set[Audience] = set()
        self._outdated: set[Topic | Window] = set()  # being read; to be read again, for something was missed meanwhile
        self._seq: int | None = None  # number of the last message; None: whatever comes next is right
        self._up = False  # the link
        self.stale: str | None = None  # why what is shown may be old

    async def stop(self) -> None:
        """End all reads."""
        for read in self._reads:
            read.cancel()
        await asyncio.gather(*self._reads, return_exceptions=True)

    # who watches

    def topic(self, job_id: str) -> Topic:
        """The topic of a job, shared where somebody watches it already."""
        held = self._topics.get(job_id)
        return held[0] if held is not None else Topic(job_id)

    def watch(self, topic: Topic, watcher: Watcher, *, unborn: bool = False) -> None:
        """Be told of a job. `unborn`: it is about to be submitted, so there is nothing to read yet."""
        _, watchers = self._topics.setdefault(topic.id, (topic, {}))
        watchers[watcher] = None
        if not topic.loaded and not topic.loading and not unborn:
            self._read(self._load_topic(topic))

    def seed(self, topic: Topic, job: Job) -> None:
        """A job that was unborn has been stored; its first message may still be on its way, or lost with the link."""
        held = self._topics.get(topic.id)
        if held is not None and held[0].job is None:
            held[0].apply(job)
            self._tell(held[1])

    def unwatch(self, topic: Topic, watcher: Watcher) -> None:
        """Be told no more; the topic goes with its last watcher."""
        held = self._topics.get(topic.id)
        if held is not None and held[0] is topic:
            held[1].pop(watcher, None)
            if not held[1]:
                del self._topics[topic.id]

    def window(self, match: Match, limit: int) -> Window:
        """The window of a feed; equal feeds share one, whatever the number of dashboards."""
        held = self._windows.get((match, limit))
        return held[0] if held is not None else Window(match, limit)

    def follow(self, window: Window, watcher: Watcher) -> None:
        """Be told of a feed."""
        _, watchers = self._windows.setdefault((window.match, window.limit), (window, {}))
        watchers[watcher] = None
        if not window.loaded and not window.loading:
            self._load_window(window)

    def unfollow(self, window: Window, watcher: Watcher) -> None:
        """Be told no more; the window goes with its last watcher."""
        held = self._windows.get((window.match, window.limit))
        if held is not None and held[0] is window:
            held[1].pop(watcher, None)
            if not held[1]:
                del self._windows[window.match, window.limit]

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
        if not self._topics and not self._windows:
            self._seq = None
            return
        seq, changes = self._broker.changes(data)
        self._follow_seq(seq)
        for change in changes:
            held = self._topics.get(change.id)
            if held is not None:
                self._apply(*held, change)
            for window, watchers in self._windows.values():
                if window.apply(seq, change.job, change.was, change.gone):
                    self._tell(watchers)
                if window.hungry and not window.loading:
                    self._fill_window(window)

    def _follow_seq(self, seq: int) -> None:
        """Messages are numbered: a jump means that some were missed, a step back that the store lost data."""
        expected, self._seq = self._seq, seq
        if expected is not None and seq != expected + 1:
            log.info("message %d came after %d: all that is watched is read anew", seq, expected)
            self.resync()

    def _apply(self, topic: Topic, watchers: dict[Watcher, None], change: Change) -> None:
        if change.gone:
            topic.job, topic.missing = None, True
            self._tell(watchers)
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
                self._read(self._load_topic(topic))
        self._tell(watchers)

    def on_up(self) -> None:
        """The link is there (again): what was missed is read from the store."""
        self._seq = None
        self._up = True
        if self.stale is not None:
            self.resync()
            self._read(self._freshen(list(self._reads)))

    async def _freshen(self, reads: "list[asyncio.Future[None]]") -> None:
        """What was missed has been read, unless the link went again meanwhile: then the next time says so."""
        await asyncio.gather(*reads, return_exceptions=True)
        if self._up and self.stale is not None:
            self._set_stale(None)

    def resync(self) -> None:
        """Read all that is watched anew; what is being read already, once more."""
        self._outdated.update(topic for topic, _ in self._topics.values() if topic.loading)
        self._outdated.update(window for window, _ in self._windows.values() if window.loading)
        for topic, _ in self._topics.values():
            if not topic.loading:
                self._read(self._load_topic(topic))
        for window, _ in self._windows.values():
            if not window.loading:
                self._load_window(window)

    def on_down(self, why: str) -> None:
        """The link is away: what is shown may be old."""
        self._up = False
        self._set_stale(why)

    def _set_stale(self, why: str | None) -> None:
        self.stale = why
        frame = {"type": "fresh", "why": "Redis is back"} if why is None else {"type": "stale", "why": why}
        for audience in list(self._audience):
            audience.announce(frame)

    @staticmethod
    def _tell(watchers: Iterable[Watcher]) -> None:
        for watcher in list(watchers):
            watcher.notify()

    # what is read from the store

    def _read(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._reads.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: "asyncio.Future[None]") -> None:
        self._reads.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a read failed", exc_info=task.exception())

    async def _until_read(self, read: Callable[[], Awaitable[Answer]], wanted: Callable[[], bool]) -> Answer | None:
        """What `read` answers, tried again while Redis is away and the answer is still wanted."""
        while wanted():
            try:
                return await read()
            except Unavailable as error:
                log.info("a read has to wait: %s", error)
                await asyncio.sleep(RETRY_S)
        return None

    async def _load_topic(self, topic: Topic) -> None:
        topic.loading = True
        try:
            detail = await self._until_read(lambda: self._detail(topic), lambda: topic.id in self._topics)
        finally:
            topic.loading = False
        if self._was_outdated(topic):
            self._read(self._load_topic(topic))
            return
        if detail is None:
            topic.job, topic.missing = None, True
        else:
            topic.apply(detail.job)
            topic.ring.skip(detail.job.offset)
            if detail.job.ended:
                topic.outcome = detail.outcome(self._settings.frame_result_bytes)
        held = self._topics.get(topic.id)
        if held is not None:
            self._tell(held[1])
            if not topic.complete:  # it ended while it was read
                self._read(self._load_topic(topic))

    def _was_outdated(self, read: Topic | Window) -> bool:
        """Whether something was missed while this was being read."""
        outdated = read in self._outdated
        self._outdated.discard(read)
        return outdated

    async def _detail(self, topic: Topic) -> JobDetail | None:
        try:
            return await self._broker.detail(topic.id)
        except NotFound:
            return None

    def _load_window(self, window: Window) -> None:
        window.start_page()
        self._read(self._page_window(window, refill=False))

    def _fill_window(self, window: Window) -> None:
        window.start_page()
        self._read(self._page_window(window, refill=True))

    async def _page_window(self, window: Window, *, refill: bool) -> None:
        key = (window.match, window.limit)
        before = window.oldest if refill else None
        wish = list_wish(window.match)
        page = await self._until_read(
            lambda: self._broker.page(wish, window.limit, before, counts=not refill and window.match.countable),
            lambda: key in self._windows,
        )
        outdated = self._was_outdated(window)
        if page is None:
            return
        if outdated:
            self._load_window(window)
            return
        if refill:
            window.fill(page.seq, page.jobs, page.next is not None)
        elif not window.load(page.seq, page.jobs, page.counts, page.next is not None):
            self._load_window(window)
            return
        if key in self._windows:
            self._tell(self._windows[key][1])
            if window.hungry:
                self._fill_window(window)

    async def read_log(self, topic: Topic, after: int, max_bytes: int) -> list[Run | Gap] | None:
        """The log from `after` + 1 on as far as one read goes; None when nobody watches the topic any more."""
        piece = await self._until_read(lambda: self._log(topic, after, max_bytes), lambda: topic.id in self._topics)
        return None if piece is None else piece_runs(piece, after)

    async def _log(self, topic: Topic, after: int, max_bytes: int) -> LogPiece:
        try:
            return await self._broker.log(topic.id, after, READ_ENTRIES, max_bytes)
        except NotFound:
            topic.job, topic.missing = None, True
            return LogPiece(1, 0, [])
