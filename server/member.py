"""One client, as those know it who share out what it is told. Pure."""

from collections import deque
from typing import Any, Protocol

from server.codec import Codec
from server.protocol import CloseCode


class Wire(Protocol):
    """How bytes leave: a WebSocket connection, or `handlers.events`."""

    def send(self, message: bytes, /) -> bool:
        """Begin to send; True when the kernel has all of it. False: `Client.writable` follows, or the end."""


class Transport(Protocol):
    """The connection's end. `handlers.websocket` has one, `handlers.events` another."""

    def end(self, code: CloseCode, reason: str) -> None:
        """Say the last words and close the connection."""


class Member(Protocol):
    """One of those who share a subscription."""

    id: str
    codec: Codec
    transport: Transport
    wire: Wire
    closed: bool
    last_sent: float  # monotonic seconds
    replies: deque[bytes] | None  # encoded frames that belong to no subscription's course
    subscriptions: dict[int, Any]  # by number; kept true by the subscriptions themselves
