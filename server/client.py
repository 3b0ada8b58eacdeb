"""One connected browser or program, as the hub knows it: an outbox, and a pump that empties it batch by batch."""

import asyncio
import logging
import time
from functools import partial
from typing import Any, Protocol

from server.board import Board
from server.codec import Codec
from server.feed_subscription import FeedSubscription
from server.hub import Hub
from server.outbox import Outbox
from server.pace import Phase, nobody
from server.protocol import DEFAULT_RATE, CloseCode, FrameType
from server.settings import Settings
from server.stats import StatsSubscription, Subscription
from server.subscription import JobSubscription
from server.topic import Topic
from server.window import Match

log = logging.getLogger("windsock.client")
MAX_OWED = 1000  # replies; a client that asks and does not read is ended


class Transport(Protocol):
    """How bytes leave. `handlers.websocket` has one, `handlers.events` another."""

    def send(self, message: bytes) -> bool:
        """Begin to send; True when the kernel has all of it. False: `Client.writable` follows, or the end."""

    def end(self, code: CloseCode, reason: str) -> None:
        """Say the last words and close the connection."""


class _Gone:
    """The transport of a client that was closed."""

    def send(self, message: bytes) -> bool:
        """Nobody is there."""
        return False

    def end(self, code: CloseCode, reason: str) -> None:
        """It has ended."""


_GONE = _Gone()


class Client:
    """Owns the outbox of a connection and what it watches.

    Duties in call order: subscribe (`watch`, `follow`, `observe`), speak (`reply`, `announce`), `pump`, `unsubscribe`,
    `close`.
    """

    def __init__(self, client_id: str, hub: Hub, transport: Transport, codec: Codec, settings: Settings) -> None:
        self.id = client_id
        self._hub = hub
        self._traffic = hub.traffic
        self._transport: Transport = transport
        self._codec = codec
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self.outbox = Outbox(codec.encode, settings.batch_bytes, settings.hidden_s)
        self._scheduled = False  # the pump runs at the end of this turn of the loop
        self.in_flight = False  # the kernel has not taken the whole last batch
        self._timer: asyncio.TimerHandle | None = None
        self._reads: dict[JobSubscription, asyncio.Task[None]] = {}  # pieces of logs on their way
        self.closed = False
        self.greeted = False  # it was welcomed: before that nothing may be said
        self.last_sent = self._loop.time()  # monotonic seconds

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
        subscription = JobSubscription(number, topic, after=after, log=log, rate=rate, traffic=self._traffic)
        subscription.notify = partial(self._touch, subscription)
        subscription.share(self._codec.name, self._codec.encode)
        self._traffic.subscriptions[subscription.kind] += 1
        self._hub.watch(topic, subscription, unborn=unborn)
        self.outbox.add(subscription, held=unborn)
        self.pump()

    def release(self, number: int) -> None:
        """The job was stored and the reply that names it is on its way: its subscription may speak."""
        self.outbox.release(number)
        self.pump()

    def follow(self, number: int, match: Match, limit: int, rate: float) -> None:
        """Tell of a feed from now on."""
        window = self._hub.feeds.window(match, limit)
        subscription = FeedSubscription(number, window, rate=rate, traffic=self._traffic)
        subscription.notify = partial(self._touch, subscription)
        self._traffic.subscriptions[subscription.kind] += 1
        self._hub.feeds.follow(window, subscription)
        self.outbox.add(subscription)
        self.pump()

    def observe(self, number: int, board: Board) -> None:
        """Tell how it goes, once a second, from now on."""
        subscription = StatsSubscription(number, board.stats)
        subscription.notify = partial(self._touch, subscription)
        subscription.leave = partial(board.unwatch, subscription)
        self._traffic.subscriptions[subscription.kind] += 1
        board.watch(subscription)
        self.outbox.add(subscription)
        self.pump()

    def unsubscribe(self, number: int) -> bool:
        """Tell of it no more; False when there was nothing."""
        subscription = self.outbox.pop(number)
        if subscription is None:
            return False
        self._forget(subscription)
        return True

    def _touch(self, subscription: Subscription) -> None:
        self.outbox.touch(subscription)
        self.pump()

    def _forget(self, subscription: Subscription) -> None:
        self._traffic.subscriptions[subscription.kind] -= 1
        subscription.notify = nobody  # it holds this client: without a circle both are freed at once
        if isinstance(subscription, StatsSubscription):
            subscription.leave()
            return
        if isinstance(subscription, FeedSubscription):
            self._hub.feeds.unfollow(subscription.window, subscription)
            return
        self._hub.unwatch(subscription.topic, subscription)
        read = self._reads.pop(subscription, None)
        if read is not None:
            read.cancel()

    # frames

    def reply(self, kind: FrameType, **fields: Any) -> None:
        """Send a frame that belongs to no subscription's course."""
        self.announce({"type": kind.value, **fields})

    def announce(self, frame: dict[str, Any]) -> None:
        """The same with the frame as a value: the hub speaks to all its clients by it."""
        if self.closed:
            return
        self.outbox.reply(frame)
        if self.outbox.owed > MAX_OWED:
            self.end(CloseCode.TOO_SLOW, "too many answers were not read")
        else:
            self.pump()

    def heartbeat(self) -> None:
        """Nothing else was said for a while. To a client that is slow to take a batch there is nothing to say."""
        if not self.in_flight:
            self.reply(FrameType.HEARTBEAT, now=time.time_ns() // 1_000_000)

    def last_words(self, frame: dict[str, Any]) -> bytes:
        """The last message: what is owed, as far as it fits into a batch, and this frame."""
        batch, attention = self.outbox.take(self._loop.time())
        for subscription in attention:
            if subscription.phase is Phase.ENDED:  # the outbox has let go of it: `close` will not find it there
                self._forget(subscription)
        return self._codec.join([*batch, self._codec.encode(frame)])

    def look(self, *, hidden: bool) -> None:
        """Whether anybody looks: to a hidden page updates come rarely, ends at once."""
        self.outbox.hidden = hidden
        self.outbox.touch_all()
        self.pump()

    # the pump: at most one batch in flight

    def pump(self) -> None:
        """Send what is owed at the end of this turn of the loop; behind a batch in flight, when that one is gone."""
        if not self._scheduled and not self.in_flight and not self.closed:
            self._scheduled = True
            self._loop.call_soon(self._pump)

    def writable(self) -> None:
        """The kernel has taken what was in flight."""
        self.in_flight = False
        self.last_sent = self._loop.time()
        self.pump()

    def _pump(self) -> None:
        self._scheduled = False
        if self.closed or self.in_flight:
            return
        try:
            self._send_batch()
        except Exception as error:
            self._fault("what it is owed cannot be sent", error)

    def _send_batch(self) -> None:
        """One batch; the next one in the next turn, so that a long log does not keep the loop from the others."""
        batch, attention = self.outbox.take(self._loop.time())
        for subscription in attention:
            self._attend(subscription)
        if self.outbox.due_s is not None:
            self._wake_in(self.outbox.due_s)
        if batch:
            self.in_flight = True
            message = self._codec.join(batch)
            traffic = self._traffic
            traffic.frames_out += len(batch)
            traffic.bytes_out += len(message)
            if self._transport.send(message):
                self.writable()

    def _fault(self, what: str, error: Exception) -> None:
        """A mistake of ours: the log has it, and the client comes back instead of waiting for ever."""
        log.error("%s: %s", self.id, what, exc_info=error)
        self.end(CloseCode.OVERLOADED, "our fault; the log says more")

    def _attend(self, subscription: Subscription) -> None:
        if subscription.phase is Phase.ENDED:
            self._forget(subscription)
        elif isinstance(subscription, JobSubscription) and subscription not in self._reads:
            self._reads[subscription] = self._loop.create_task(self._read(subscription), name=f"read {self.id}")

    async def _read(self, subscription: JobSubscription) -> None:
        """Fetch what a subscription asks of the store: the job, or a piece of its log."""
        try:
            if subscription.ahead:
                await self._hub.catch_up(subscription.topic)
                subscription.catch_up()
            else:
                await self._read_log(subscription)
        except Exception as error:
            self._fault("the store cannot be read", error)
            return
        finally:
            self._reads.pop(subscription, None)
        self._touch(subscription)

    async def _read_log(self, subscription: JobSubscription) -> None:
        found = await self._hub.read_log(subscription.topic, subscription.offset, self._settings.batch_bytes)
        if found is not None:
            subscription.take(found)

    def _wake_in(self, delay_s: float) -> None:
        when = self._loop.time() + delay_s
        if self._timer is not None and not self._timer.cancelled():
            if self._loop.time() < self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._due)

    def _due(self) -> None:
        self._timer = None
        self.outbox.touch_all()
        self.pump()

    def close(self) -> None:
        """The connection is gone, or about to go: leave the hub, end what is under way."""
        if self.closed:
            return
        self.closed = True
        self._transport = _GONE  # as above
        self._hub.leave(self)
        for subscription in self.outbox:
            self._forget(subscription)
        if self._timer is not None:
            self._timer.cancel()

    def end(self, code: CloseCode, reason: str) -> None:
        """End the connection from this side."""
        self._transport.end(code, reason)
