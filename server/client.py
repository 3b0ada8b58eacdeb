"""One connected browser or program, as the hub knows it: what it watches, and the replies it is owed."""

import time
from collections import deque
from typing import Any

from server.board import Board
from server.codec import Codec
from server.cursor import Cursor
from server.feed_subscription import FeedSubscription
from server.hub import Hub
from server.job_subscription import JobSubscription
from server.member import Transport, Wire
from server.protocol import DEFAULT_RATE, CloseCode, FrameType
from server.stats import StatsSubscription
from server.subscription import Subscription
from server.topic import Topic
from server.window import Match

MAX_OWED = 1000  # replies; a client that asks and does not read is ended


class _Gone:
    """Transport and wire of a client that was closed."""

    def send(self, message: bytes, /) -> bool:
        """Nobody is there."""
        return False

    def end(self, code: CloseCode, reason: str) -> None:
        """It has ended."""


_GONE = _Gone()


class Client:
    """Owns what a connection watches, and what it was answered and has not been sent.

    Duties in call order: subscribe (`watch`, `follow`, `observe`), speak (`reply`, `announce`), `writable`,
    `unsubscribe`, `close`. What leaves, and when, is the fanout's.
    """

    __slots__ = (
        "_hub",
        "closed",
        "codec",
        "greeted",
        "hidden",
        "id",
        "last_sent",
        "replies",
        "subscriptions",
        "transport",
        "wire",
    )

    def __init__(self, client_id: str, hub: Hub, transport: Transport, wire: Wire, codec: Codec) -> None:
        self.id = client_id
        self._hub = hub
        self.transport: Transport = transport
        self.wire: Wire = wire
        self.codec = codec
        self.subscriptions: dict[int, Subscription] = {}  # by number
        self.replies: deque[bytes] | None = None  # encoded; None while nothing was ever said
        self.hidden = False  # nobody looks
        self.closed = False
        self.greeted = False  # it was welcomed: before that nothing may be said
        self.last_sent = time.monotonic()

    # subscriptions

    def watch(
        self,
        number: int,
        topic: Topic,
        *,
        after: str | None = None,
        log: str | int = "none",
        rate: float = DEFAULT_RATE,
        unborn: bool = False,
    ) -> None:
        """Tell of a job from now on. Of an `unborn` one, about to be submitted, only after `release`."""
        hub = self._hub
        topic.expected = topic.expected or Cursor.parse(after) is not None
        subscription = JobSubscription(
            number, topic, after=after, log=log, rate=rate, traffic=hub.traffic, codec=self.codec, due=hub.fanout
        )
        subscription.held = unborn
        hub.watch(topic, subscription, unborn=unborn)
        self._begin(subscription)

    def release(self, number: int) -> None:
        """The job was stored and the reply that names it is on its way: its subscription may speak."""
        subscription = self.subscriptions.get(number)
        if subscription is not None:
            subscription.held = False
            self._hub.fanout.touch(subscription)

    def follow(self, number: int, match: Match, limit: int, rate: float) -> None:
        """Tell of a feed from now on."""
        hub = self._hub
        window = hub.feeds.window(match, limit)
        subscription = FeedSubscription(
            number, window, rate=rate, traffic=hub.traffic, codec=self.codec, due=hub.fanout
        )
        hub.feeds.follow(window, subscription)
        self._begin(subscription)

    def observe(self, number: int, board: Board) -> None:
        """Tell how it goes, once a second, from now on."""
        hub = self._hub
        subscription = StatsSubscription(number, board.stats, traffic=hub.traffic, codec=self.codec, due=hub.fanout)
        board.watch(subscription)
        self._begin(subscription)

    def _begin(self, subscription: Subscription) -> None:
        subscription.hidden = self.hidden
        subscription.join(self)
        subscription.merge()
        self._hub.fanout.touch(self.subscriptions[subscription.number])

    def unsubscribe(self, number: int) -> bool:
        """Tell of it no more; False when there was nothing."""
        subscription = self.subscriptions.get(number)
        if subscription is None:
            return False
        subscription.leave(self)
        return True

    # frames

    def reply(self, kind: FrameType, **fields: Any) -> None:
        """Send a frame that belongs to no subscription's course."""
        self.announce({"type": kind.value, **fields})

    def announce(self, frame: dict[str, Any]) -> None:
        """The same with the frame as a value: the hub speaks to all its clients by it."""
        if self.closed:
            return
        if self.replies is None:
            self.replies = deque()
        self.replies.append(self.codec.encode(frame))
        if len(self.replies) > MAX_OWED:
            self.end(CloseCode.TOO_SLOW, "too many answers were not read")
        else:
            self._hub.fanout.call(self)

    def heartbeat(self) -> None:
        """Nothing else was said for a while. To a client that is slow to take a batch there is nothing to say."""
        if not self.in_flight:
            self.reply(FrameType.HEARTBEAT, now=time.time_ns() // 1_000_000)

    def last_words(self, frame: dict[str, Any]) -> bytes:
        """The last message: what is owed, as far as it fits into a batch, and this frame."""
        return self.codec.join([*self._hub.fanout.last(self), self.codec.encode(frame)])

    def look(self, *, hidden: bool) -> None:
        """Whether anybody looks: to a hidden page updates come rarely, ends at once."""
        self.hidden = hidden
        for subscription in list(self.subscriptions.values()):
            if subscription.hidden is not hidden:
                self._hub.fanout.touch(subscription.look(self, hidden=hidden))

    @property
    def in_flight(self) -> bool:
        """Whether the kernel has not taken the whole of the last batch."""
        return self._hub.fanout.is_slow(self)

    def writable(self) -> None:
        """The kernel has taken what was in flight."""
        self._hub.fanout.writable(self)

    def close(self) -> None:
        """The connection is gone, or about to go: leave the hub."""
        if self.closed:
            return
        self.closed = True
        self.transport = self.wire = _GONE  # they hold this client: without a circle all are freed at once
        self.replies = None
        self._hub.leave(self)
        self._hub.fanout.forget(self)
        for number in list(self.subscriptions):
            self.unsubscribe(number)

    def end(self, code: CloseCode, reason: str) -> None:
        """End the connection from this side."""
        self.transport.end(code, reason)
