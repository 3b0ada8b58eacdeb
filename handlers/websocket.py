"""GET /api/stream: how bytes come in and leave. What they mean is `session`'s, what is owed is `server.client`'s.

This first version stands on Tornado's WebSocketHandler.
"""

import asyncio
import itertools
import logging
from contextlib import suppress
from typing import Any

from tornado.ioloop import PeriodicCallback
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler, WebSocketProtocol13

from handlers.base import Answering, Door, refuse_foreign
from handlers.framing import StreamProtocol
from handlers.session import Session, Violation
from server.client import Client
from server.codec import JSON, MSGPACK, Codec
from server.errors import BadRequest, TooMany
from server.node import Node
from server.protocol import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, CloseCode, FrameType

log = logging.getLogger("windsock.websocket")
CODECS = {SUBPROTOCOL_MSGPACK: MSGPACK, SUBPROTOCOL_JSON: JSON}


class Sockets:
    """All open connections of a node: counted by address, swept once a second for silence and slowness."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._open: set[StreamHandler] = set()
        self._by_address: dict[str, int] = {}
        self._emptied = asyncio.Event()  # none is open any more
        self._numbers = itertools.count(1)
        self._sweeper = PeriodicCallback(self._sweep, 1000 * min(1.0, node.settings.heartbeat_s / 4))
        node.clients = lambda: len(self._open)

    def start(self) -> None:
        """Begin to sweep."""
        self._sweeper.start()

    def admit(self, address: str) -> None:
        """Make room for one more.

        Raises:
            TooMany: this address has as many as it may.
        """
        if self._by_address.get(address, 0) >= self._node.settings.connections_per_address:
            raise TooMany("too many connections from this address", after_s=5.0)

    def add(self, socket: "StreamHandler") -> str:
        """Take in an open connection; its id."""
        self._open.add(socket)
        self._by_address[socket.address] = self._by_address.get(socket.address, 0) + 1
        return f"c{next(self._numbers)}"

    def discard(self, socket: "StreamHandler") -> None:
        """It is closed."""
        if socket in self._open:
            self._open.discard(socket)
            if not self._open:
                self._emptied.set()
            left = self._by_address[socket.address] - 1
            if left:
                self._by_address[socket.address] = left
            else:
                del self._by_address[socket.address]

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for socket in list(self._open):
            socket.sweep(now)

    async def drain(self) -> None:
        """Tell all to come back at a random moment, and end them within the window."""
        window_s = self._node.settings.drain_window_s
        for socket in list(self._open):
            socket.client.reply(FrameType.DRAIN, within_s=[0, window_s])

    async def stop(self) -> None:
        """End all that are left."""
        self._sweeper.stop()
        for socket in list(self._open):
            socket.end(CloseCode.DRAINING, "this node stops")
        if self._open:
            self._emptied.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), 1.0)


class StreamHandler(Answering, WebSocketHandler):
    """One connection. Owns its session and its client; both end in the same step as the socket."""

    def initialize(self, node: Node, door: Door, sockets: Sockets) -> None:
        """Take what the application was wired with."""
        self._node = node
        self._door = door
        self._sockets = sockets
        self._session: Session | None = None
        self._hello_timer: asyncio.TimerHandle | None = None

    async def prepare(self) -> None:
        """Refuse before the upgrade: strangers, too many, subprotocols nobody here speaks."""
        refuse_foreign(self.request, self._door, unsafe=True)
        if self.request.method == "GET" and not self._is_handshake():
            raise BadRequest("this is a WebSocket: connect with RFC 6455, version 13")
        self.address = self.request.remote_ip or ""
        self._sockets.admit(self.address)
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        if offered and not any(name.strip() in CODECS for name in offered.split(",")):
            raise BadRequest(f"subprotocols spoken here: {', '.join(CODECS)}")

    def _is_handshake(self) -> bool:
        headers = self.request.headers
        connection = {word.strip().lower() for word in headers.get("Connection", "").split(",")}
        return (
            headers.get("Upgrade", "").lower() == "websocket"
            and "upgrade" in connection
            and headers.get("Sec-WebSocket-Version") in ("7", "8", "13")
            and "Sec-WebSocket-Key" in headers
        )

    def check_origin(self, origin: str) -> bool:
        """`prepare` has looked already."""
        return True

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """The first that we speak."""
        return next((name for name in subprotocols if name in CODECS), None)

    def get_websocket_protocol(self) -> StreamProtocol | None:
        """Ours, where the request is one Tornado would take."""
        protocol = super().get_websocket_protocol()
        return StreamProtocol(self, protocol.params) if isinstance(protocol, WebSocketProtocol13) else None

    def open(self, *args: str, **kwargs: str) -> None:
        """The upgrade is done: a client joins, and has to say hello."""
        loop = asyncio.get_running_loop()
        self._codec: Codec = CODECS[self.selected_subprotocol] if self.selected_subprotocol else JSON
        self.client = Client(self._sockets.add(self), self._node.hub, self, self._codec, self._node.settings)
        self._session = Session(self._node, self.client)
        self._heard = self._pinged = loop.time()
        self._hello_timer = loop.call_later(self._node.settings.hello_s, self._no_hello)
        self._limit(self._node.settings.hello_bytes)
        self.set_nodelay(True)

    def _limit(self, max_bytes: int) -> None:
        if isinstance(self.ws_connection, StreamProtocol):
            self.ws_connection.limit(max_bytes)

    def _no_hello(self) -> None:
        if self._session is not None and not self._session.greeted:
            self.end(CloseCode.NO_HELLO, "no hello in time")

    def on_text(self, data: bytes) -> None:
        """A text message."""
        self._take(data, binary=False)

    def on_message(self, message: str | bytes) -> None:
        """A binary message: text comes by `on_text`, before Tornado decodes it."""
        self._take(message if isinstance(message, bytes) else message.encode(), binary=True)

    def _take(self, data: bytes, *, binary: bool) -> None:
        """A whole message; what the session has to wait for is its own task."""
        session = self._session
        if session is None:
            return
        self._heard = asyncio.get_running_loop().time()
        greeted = session.greeted
        try:
            session.receive(self._decode(data, binary=binary))
        except Violation as violation:
            self.end(violation.code, violation.reason)
        except Exception:
            log.exception("%s: a message could not be handled", self.client.id)
            self.end(CloseCode.OVERLOADED, "our fault; the log says more")
        if session.greeted and not greeted:
            self._limit(self._node.settings.message_bytes)

    def _decode(self, data: bytes, *, binary: bool) -> Any:
        if binary is not self._codec.binary:
            kind = "binary" if self._codec.binary else "text"
            raise Violation(CloseCode.PROTOCOL_VIOLATION, f"messages are {kind} here")
        try:
            return self._codec.decode(data)
        except BadRequest as error:
            raise Violation(CloseCode.PROTOCOL_VIOLATION, error.message) from None

    def on_pong(self, data: bytes) -> None:
        """Alive."""
        self._heard = asyncio.get_running_loop().time()

    on_ping = on_pong

    def sweep(self, now: float) -> None:
        """Heartbeat and ping when due; the end for one that is silent."""
        settings = self._node.settings
        if now - self._heard > settings.ping_timeout_s:
            log.info("%s: silent for %g s", self.client.id, settings.ping_timeout_s)
            self._abort()
            return
        if now - self.client.last_sent >= settings.heartbeat_s:
            self.client.heartbeat()
        if now - self._pinged >= settings.ping_s:
            self._pinged = now
            try:
                self.ping(b"")
            except (WebSocketClosedError, StreamClosedError):
                self._abort()

    # as the client's transport

    async def send(self, message: bytes) -> bool:
        """Write one message; returns when the kernel has all of it."""
        written = self._write(message)
        while written is not None and not written.done():
            before = self._unwritten()
            await asyncio.wait([written], timeout=self._node.settings.write_s)
            if not written.done() and self._unwritten() >= before:
                log.info("%s: takes nothing for %g s", self.client.id, self._node.settings.write_s)
                self._abort()
                return False
        return written is not None and written.exception() is None

    def _write(self, message: bytes) -> "asyncio.Future[None] | None":
        """Begin to write; None when the client is gone. Nobody has to look at what becomes of it."""
        try:
            written = asyncio.ensure_future(self.write_message(message, binary=self._codec.binary))
        except WebSocketClosedError:
            return None
        written.add_done_callback(lambda done: done.cancelled() or done.exception())
        return written

    def _unwritten(self) -> int:
        stream = self.ws_connection.stream if self.ws_connection is not None else None
        return 0 if stream is None or stream.closed() else len(stream._write_buffer)

    def end(self, code: CloseCode, reason: str) -> None:
        """Say bye as far as it can be said, and close."""
        if self._session is None:
            return
        log.info("%s: closed with %d: %s", self.client.id, code, reason)
        reason = reason.encode()[:120].decode("utf-8", "ignore")
        bye = {"type": "bye", "code": int(code), "reason": reason, "retry": code >= CloseCode.TOO_SLOW}
        message = self.client.last_words(bye)
        self._leave()
        if self._write(message) is not None:
            self.close(int(code), reason)

    def _abort(self) -> None:
        self._leave()
        if self.ws_connection is not None:
            self.ws_connection._abort()

    def on_close(self) -> None:
        """The socket is gone."""
        self._leave()

    def on_connection_close(self) -> None:
        """The socket is gone, perhaps before the upgrade was done."""
        super().on_connection_close()
        self._leave()

    def _leave(self) -> None:
        """Session, client and place in the count go in one step."""
        session, self._session = self._session, None
        if session is not None:
            if self._hello_timer is not None:
                self._hello_timer.cancel()
            session.close()
            self._sockets.discard(self)

    def data_received(self, chunk: bytes) -> None:
        """No bodies here."""
