"""Watching as a program does it: events, one after the other, over as many connections as it takes."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from windsock.backoff import Backoff
from windsock.calls import job_path
from windsock.events import Connection, Event, events
from windsock.feed import WatchedFeed, WatchedStats
from windsock.stream import Stream
from windsock.target import Target
from windsock.watch import Subscription, Watch
from windsock.watched import Frame, LogWish, Watched

HELD = 1000  # events that wait to be taken; then the server waits, and tells the newest state when there is room
CLOSED = "this stream is closed: make another one"


class EventStream:
    """Several jobs, feeds and the stats on one connection, which is made anew when it is lost.

    Duties in call order: `watch`, `feed`, `stats`, also later; iterate, until every job has ended; `close`.
    """

    def __init__(self, target: Target, backoff: Backoff | None = None) -> None:
        self._watch = Watch()
        self._screen = _Events()
        self._stream = Stream(target, self._watch, self._screen, backoff=backoff or Backoff())
        self._following: asyncio.Task[None] | None = None
        self._closed = False

    def watch(self, job_id: str, *, log: LogWish = "all", after: str | None = None) -> int:
        """A job, to its end; the number of the subscription.

        Args:
            log: "all" that is kept, "none", or so many of the last entries.
            after: the cursor of an event of an earlier watch: go on behind it.

        Raises:
            ValueError: that cannot be the id of a job.
        """
        job_path(job_id)
        return self._add(Watched(job_id, self._watch.free(), log, cursor=after, shown=after))

    def feed(self, chosen: Mapping[str, str | Sequence[str]], limit: int = 100, rate: float | None = None) -> int:
        """The newest jobs that match; the number of the subscription.

        Args:
            chosen: of `state`, `task`, `queue`, `tag`, `parent`; several values mean any of them.
            limit: most jobs of the list, up to 500.
            rate: updates a second, at most 20; None: ten.
        """
        return self._add(WatchedFeed(self._watch.free(), chosen, limit, rate))

    def stats(self) -> int:
        """How the whole store goes; the number of the subscription."""
        return self._add(WatchedStats(self._watch.free()))

    def drop(self, sub: int) -> None:
        """Watch this no more."""
        self._stream.send(self._watch.drop(sub))

    def _add(self, one: Subscription) -> int:
        if self._closed:
            raise RuntimeError(CLOSED)
        self._watch.add(one)
        self._stream.send(one.subscribe())
        return one.sub

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            StopAsyncIteration: every job has ended, and there are no feeds and no stats; or it was closed.
            Unreachable, Refused: the server never answered; it will not have us.
        """
        if self._closed:
            raise StopAsyncIteration
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
        event = await self._screen.queue.get()
        self._screen.taken()
        if event is not None:
            return event
        done, self._following = self._following, None
        if done is not None:  # else it was closed meanwhile
            await done
        raise StopAsyncIteration

    async def _follow(self) -> None:
        try:
            await self._stream.follow()
        finally:
            self._screen.queue.put_nowait(None)

    async def close(self) -> None:
        """End the connection; whoever waits for an event is told that there are no more."""
        self._closed = True
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            self._screen.queue.put_nowait(None)  # one that was cancelled before it began has told nobody

    async def __aenter__(self) -> "EventStream":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()


class _Events:
    """A screen that keeps what is shown until somebody takes it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()

    def show(self, one: Subscription | None, frame: Frame) -> None:
        for event in events(one, frame):
            self.queue.put_nowait(event)
        if self.queue.qsize() >= HELD:
            self._room.clear()

    def taken(self) -> None:
        """One fewer waits."""
        if self.queue.qsize() < HELD:
            self._room.set()

    def lost(self, why: str, delay_s: float) -> None:
        self.queue.put_nowait(Connection("lost", why, delay_s))

    def back(self) -> None:
        self.queue.put_nowait(Connection("back", ""))

    async def room(self) -> None:
        await self._room.wait()
