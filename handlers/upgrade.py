"""From an HTTP request to a WebSocket connection of our own: the server's handshake (RFC 6455, section 4.2)."""

import asyncio
import base64
import binascii
import hashlib
import re
import socket
from collections.abc import Container

from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream, SSLIOStream
from tornado.web import HTTPError, RequestHandler

from handlers.connection import Connection
from handlers.frames import Parser, Status
from handlers.secure import SecureConnection, StreamWire

VERSION = "13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


def tokens(request: HTTPServerRequest, header: str) -> list[str]:
    """The words of a header that is a list, in order."""
    return [word.strip() for word in request.headers.get(header, "").split(",") if word.strip()]


def check_request(request: HTTPServerRequest) -> str:
    """Make sure that this is the client's half of the handshake; the client's key (section 4.2.1).

    Raises:
        HTTPError: 400 and what is wrong. The answer has to name the version spoken here, as `UpgradeHandler` sees to.
    """
    headers = request.headers
    if request.method != "GET" or request.version == "HTTP/1.0" or not headers.get("Host"):
        raise HTTPError(400, "a WebSocket begins with GET, HTTP/1.1 and a Host")
    if "websocket" not in [word.lower() for word in tokens(request, "Upgrade")]:
        raise HTTPError(400, "only a WebSocket is spoken here: no Upgrade to it was asked for")
    if "upgrade" not in [word.lower() for word in tokens(request, "Connection")]:
        raise HTTPError(400, "the Connection header does not say Upgrade")
    if headers.get("Sec-WebSocket-Version", "").strip() != VERSION:
        raise HTTPError(400, "only version 13 of the WebSocket protocol is spoken here")
    key = headers.get("Sec-WebSocket-Key", "").strip()
    if not _is_key(key):
        raise HTTPError(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    return key


def _is_key(key: str) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def choose_subprotocol(request: HTTPServerRequest, spoken: Container[str] | None) -> str | None:
    """The first that the client offers and that is spoken here; None where there is none. `spoken=None` speaks any."""
    for name in tokens(request, "Sec-WebSocket-Protocol"):
        if name in spoken if spoken is not None else _TOKEN.fullmatch(name):
            return name
    return None


def accept_value(key: str) -> str:
    """What proves that the key was read by somebody who knows the protocol (section 4.2.2, step 5)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def response(key: str, subprotocol: str | None) -> bytes:
    """The server's half of the handshake. No extension is ever accepted."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_value(key)}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def take_early(stream: IOStream) -> bytes:
    """What came right behind the request and is in the stream's hands, not in the kernel's any more."""
    try:
        read = asyncio.ensure_future(stream.read_bytes(stream.max_buffer_size, partial=True))  # done, if there is any
    except OSError:
        return b""
    return read.result() if read.done() and not read.exception() else b""


def take_socket(stream: IOStream) -> socket.socket:
    """The socket of a plain stream, which has none from now on: whoever still closes it closes nothing."""
    stream.io_loop.remove_handler(stream.socket)
    old = stream.socket
    sock = socket.socket(old.family, old.type, old.proto, fileno=old.detach())
    sock.setblocking(False)
    return sock


class UpgradeHandler(RequestHandler):
    """A request that becomes a connection: `prepare` says who may ask, `get` calls `upgrade` and starts what comes."""

    subprotocol: str | None = None  # the one chosen

    def set_default_headers(self) -> None:
        """Every refusal names the version spoken here (section 4.2.2, step 4)."""
        super().set_default_headers()
        self.set_header("Sec-WebSocket-Version", VERSION)

    def upgrade(
        self,
        max_message_bytes: int,
        *,
        spoken: Container[str] | None = None,
        too_big: int = Status.TOO_BIG,
        close_s: float = 5.0,
    ) -> Connection | None:
        """Take the connection from Tornado. The answer goes out with `Connection.start`, to be called in the same step.

        Tornado's `finish` does not write the answer: it closes the stream where the request, or the server, does not
        keep connections alive.

        Args:
            max_message_bytes: of a message from the client; `Connection.max_message_bytes` changes it.
            spoken: subprotocols; None takes the first one offered.
            too_big: the close code for a message over the limit.
            close_s: seconds that a close handshake may take.

        Returns:
            None: the client has gone meanwhile.

        Raises:
            HTTPError: 400, this is no WebSocket handshake.
        """
        key = check_request(self.request)
        self.subprotocol = choose_subprotocol(self.request, spoken)
        self.set_status(101)
        stream = self.detach()
        self.ui.clear()  # it refers to the handler: a circle that only the collector would find
        self.application.log_request(self)
        parser = Parser(max_message_bytes, too_big)
        return adopt(stream, parser, response(key, self.subprotocol), close_s)


def adopt(stream: IOStream, parser: Parser, first: bytes, close_s: float) -> Connection | None:
    """A connection on a stream that was detached; None where it is closed."""
    if stream.closed() or stream.writing():
        stream.close()
        return None
    if stream.socket.family != getattr(socket, "AF_UNIX", None):
        stream.set_nodelay(True)
    if isinstance(stream, SSLIOStream):
        return SecureConnection(StreamWire(stream), parser, first=first, close_s=close_s)
    parser.feed(take_early(stream))
    if stream.closed():
        return None
    return Connection(take_socket(stream), parser, first=first, close_s=close_s)
