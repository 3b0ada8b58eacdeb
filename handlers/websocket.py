"""GET /api/stream: how bytes come in and leave. What they mean is `session`'s, what is owed is `server.client`'s.

Tornado routes, admits and answers 101; from there on the connection is ours (`connection`).
"""

import asyncio
import logging
from dataclasses import replace
from typing import Any

from handlers.base import Answering, Door, refuse_foreign
from handlers.connection import Connection
from handlers.frames import Opcode, build
from handlers.session import Session, Violation
from handlers.sockets import Sockets
from handlers.upgrade import UpgradeHandler, check_request, tokens
from server.client import Client
from server.codec import JSON, MSGPACK, Codec
from server.errors import BadRequest
from server.node import Node
from server.protocol import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, CloseCode

log = logging.getLogger("windsock.websocket")
COUNTED_CODES = frozenset(CloseCode) | frozenset(range(1000, 1016))  # a client may close with any


def framed(codec: Codec) -> Codec:
    """A codec whose messages are ready for the socket: what is joined is one WebSocket frame, built once for all."""
    opcode, join = Opcode.BINARY if codec.binary else Opcode.TEXT, codec.join
    return replace(codec, join=lambda items: build(opcode, join(items)))


FRAMED_JSON = framed(JSON)
CODECS = {SUBPROTOCOL_MSGPACK: framed(MSGPACK), SUBPROTOCOL_JSON: FRAMED_JSON}


class StreamHandler(UpgradeHandler, Answering):
    """Admits a WebSocket, or refuses it while it is still HTTP."""

    def initialize(self, node: Node, door: Door, sockets: Sockets) -> None:
        """Take what the application was wired with."""
        self._node = node
        self.door = door
        self._sockets = sockets

    def prepare(self) -> None:
        """Refuse before the upgrade: strangers, too many, subprotocols nobody here speaks."""
        refuse_foreign(self.request, self.door, unsafe=True)
        if self.request.method == "GET":
            check_request(self.request)
        self._sockets.admit(self.request.remote_ip or "")
        offered = tokens(self.request, "Sec-WebSocket-Protocol")
        if offered and not any(name in CODECS for name in offered):
            raise BadRequest(f"subprotocols spoken here: {', '.join(CODECS)}")

    def get(self) -> None:
        """The upgrade: a client joins, and has to say hello."""
        settings = self._node.settings
        connection = self.upgrade(settings.hello_bytes, spoken=CODECS, too_big=CloseCode.FRAME_TOO_LARGE)
        if connection is not None:
            codec = CODECS[self.subprotocol] if self.subprotocol else FRAMED_JSON
            StreamSocket(self._node, self._sockets, connection, codec, self.request.remote_ip or "")


class StreamSocket:
    """One client's socket: between the connection, the session and the client. All three end in the same step."""

    __slots__ = (
        "_binary",
        "_codec",
        "_connection",
        "_node",
        "_pinged",
        "_session",
        "_sockets",
        "address",
        "client",
    )

    def __init__(self, node: Node, sockets: Sockets, connection: Connection, codec: Codec, address: str) -> None:
        self.address = address
        self._node = node
        self._sockets = sockets
        self._connection = connection
        self._codec = codec
        self.client = Client(sockets.number(), node.hub, self, connection, codec)
        self._session: Session | None = Session(node, self.client)
        self._pinged = asyncio.get_running_loop().time()  # or opened, before the first ping
        sockets.add(self)
        connection.start(self)

    # as the connection's owner

    def on_message(self, data: bytes | bytearray, binary: bool) -> None:
        """A whole message; what the session has to wait for is its own task."""
        session = self._session
        if session is None:
            return
        try:
            session.receive(self._decode(bytes(data), binary=binary))
        except Violation as violation:
            self.end(violation.code, violation.reason)
        except Exception:
            log.exception("%s: a message could not be handled", self.client.id)
            self.end(CloseCode.OVERLOADED, "our fault; the log says more")
        if self.client.greeted:
            self._connection.max_message_bytes = self._node.settings.message_bytes

    def _decode(self, data: bytes, *, binary: bool) -> Any:
        if binary is not self._codec.binary:
            kind = "binary" if self._codec.binary else "text"
            raise Violation(CloseCode.PROTOCOL_VIOLATION, f"messages are {kind} here")
        try:
            return self._codec.decode(data)
        except BadRequest as error:
            raise Violation(CloseCode.PROTOCOL_VIOLATION, error.message) from None

    def on_writable(self) -> None:
        """The kernel has taken all."""
        self.client.writable()

    def on_close(self, code: int) -> None:
        """The socket is gone."""
        self._node.metrics.closes[str(int(code)) if code in COUNTED_CODES else "other"] += 1
        self._leave()
        self._sockets.discard(self)

    def _leave(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    # as the client's transport

    def end(self, code: CloseCode, reason: str) -> None:
        """Say bye as far as it can be said, and close."""
        if self._session is None:
            return
        log.info("%s: closed with %d: %s", self.client.id, code, reason)
        bye = {"type": "bye", "code": int(code), "reason": reason[:120], "retry": code >= CloseCode.TOO_SLOW}
        message = self.client.last_words(bye)
        self._leave()
        self._connection.close(int(code), reason, farewell=message)

    # as one of the sockets

    def sweep(self, now: float) -> None:
        """Heartbeat and ping when due; the end for one that is silent, takes nothing, or has not said hello."""
        settings, connection = self._node.settings, self._connection
        if now - connection.last_read > settings.ping_timeout_s:
            log.info("%s: silent for %g s", self.client.id, settings.ping_timeout_s)
            connection.abort()
        elif connection.pending and now - connection.last_write_progress > settings.write_s:
            log.info("%s: takes nothing for %g s", self.client.id, settings.write_s)
            connection.abort()
        elif self._session is None:
            return
        elif not self.client.greeted:
            if now - self._pinged >= settings.hello_s:
                self.end(CloseCode.NO_HELLO, "no hello in time")
        else:
            if now - self.client.last_sent >= settings.heartbeat_s:
                self.client.heartbeat()
            if now - self._pinged >= settings.ping_s:
                self._pinged = now
                connection.ping()
