"""When what clients are owed leaves: at once while the node has time, else in windows, and never in one long turn.

The first news after a pause leave in the same turn of the loop. After a flush that took a while the next one begins
when twice that while is over, at most `MAX_WINDOW_S`. So the busier a node is, the more is joined in one message, and a
node flushes for more than half of its time only if half is not enough. `docs/design/fanout.md` has the alternatives and
the figures.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from server.member import Member
from server.metrics import Traffic
from server.outbox import Outbox
from server.protocol import CloseCode
from server.settings import Settings
from server.subscription import Subscription

log = logging.getLogger("windsock.hub")
MAX_WINDOW_S = 0.05  # from the beginning of one flush to that of the next
FREE_S = 0.001  # a flush so short costs nobody anything: no window after it
CHUNK = 250  # batches sent before the loop gets a turn
NEVER = float("inf")


class Fanout:
    """Owns the moments at which batches are composed and sent.

    Args:
        settings: `batch_bytes` and `hidden_s` are of interest.
        traffic: where it is counted.
        attend: called with a subscription that needs a read.
    """

    def __init__(self, settings: Settings, traffic: Traffic, attend: Callable[[Subscription], None]) -> None:
        self._outbox: Outbox = Outbox(settings.batch_bytes, settings.hidden_s, attend, self.fail)
        self._traffic = traffic
        self._handle: asyncio.Handle | None = None  # the next flush, or the rest of one
        self._at = NEVER  # monotonic seconds: when it comes; 0: it is under way, or comes in this turn
        self._began = 0.0  # monotonic seconds: this flush
        self._busy_s = 0.0  # spent on it so far
        self._free_at = 0.0  # no flush before

    def touch(self, subscription: Subscription) -> None:
        """There may be news of this one."""
        self._outbox.touch(subscription)
        self._schedule()

    def call(self, client: Member) -> None:
        """It has been replied to."""
        self._outbox.call(client)
        self._schedule()

    def writable(self, client: Member) -> None:
        """The kernel has taken the whole of its last batch."""
        if self._outbox.slow.pop(client, self) is None:
            client.last_sent = time.monotonic()
            self._outbox.owe(client)
            self._schedule()

    def is_slow(self, client: Member) -> bool:
        """Whether the kernel has not taken the whole of its last batch."""
        return client in self._outbox.slow

    def last(self, client: Member) -> list[bytes]:
        """The last frames for a client, encoded; nothing follows."""
        return self._outbox.last(client, time.monotonic())

    def forget(self, client: Member) -> None:
        """It is gone."""
        self._outbox.forget(client)

    def stop(self) -> None:
        """Send nothing more."""
        if self._handle is not None:
            self._handle.cancel()
        self._at = 0.0

    # when

    def _schedule(self) -> None:
        if self._at == 0.0:
            return
        now = time.monotonic()
        if self._outbox:
            when = self._free_at if self._free_at > now else 0.0
        elif self._outbox.alarm is not None:
            when = max(self._outbox.alarm, self._free_at, now)
        else:
            return
        if self._at <= when:
            return
        if self._handle is not None:
            self._handle.cancel()
        loop = asyncio.get_running_loop()
        self._at = when
        self._handle = loop.call_at(when, self._flush) if when else loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._at = 0.0
        self._began = time.monotonic()
        self._outbox.compose(self._began)
        self._busy_s = time.monotonic() - self._began
        self._send()

    def _send(self) -> None:
        """Some of the batches; the loop gets a turn before the others."""
        began = time.monotonic()
        self._send_some(began)
        ended = time.monotonic()
        self._busy_s += ended - began
        if self._outbox.batches:
            self._handle = asyncio.get_running_loop().call_soon(self._send)
            return
        if self._busy_s > FREE_S:
            self._free_at = self._began + min(2 * self._busy_s, MAX_WINDOW_S)
        self._handle, self._at = None, NEVER
        for client in self._outbox.take_full():
            self._outbox.owe(client)
        self._schedule()

    def _send_some(self, now: float) -> None:
        batches, slow = self._outbox.batches, self._outbox.slow
        frames = size = 0
        for _ in range(min(CHUNK, len(batches))):
            client, batch = batches.popitem()
            message = batch.message(client.codec)
            frames += batch.count
            size += len(message)
            client.last_sent = now
            try:
                if not client.wire.send(message) and not client.closed:
                    slow[client] = None
            except Exception as error:
                self._end(client, error)
            if not batches:  # one that ends takes others with it
                break
        self._traffic.frames_out += frames
        self._traffic.bytes_out += size

    # what should not happen

    def fail(self, subscription: Subscription, error: Exception) -> None:
        """Its clients come back instead of waiting for ever."""
        for client in list(subscription.members):
            self._end(client, error)

    def _end(self, client: Member, error: Exception) -> None:
        log.error("%s: what it is owed cannot be sent", client.id, exc_info=error)
        client.transport.end(CloseCode.OVERLOADED, "our fault; the log says more")
