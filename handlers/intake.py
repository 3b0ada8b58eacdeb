"""How much body a request may have: counted while it comes, refused as soon as it is too much.

Left to itself Tornado answers a body over its limit with a bare 400 and a reset connection, which many clients never
get to read.
"""

import asyncio
import logging
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.web import Application

from handlers.origins import Origins
from handlers.plain import BLANKS, CODECS, PATH, PlainSubmit, PlainSubmits
from handlers.problem import MEDIA_TYPE, problem
from server.arrays import is_array
from server.codec import JSON, Codec
from server.errors import TooLarge
from server.settings import Settings

log = logging.getLogger("windsock.http")
NDJSON = "application/x-ndjson"
LINGER_S = 2.0  # a client that is still sending gets this long to notice the refusal
UNBOUNDED = 2**62  # bytes; the measure is taken here


def media_type_of(headers: HTTPHeaders) -> str:
    """What the sender says that its body is, in small letters and without parameters."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


class MeasuredApplication(Application):
    """An application that reads so much of a request, and waits so long for it, as the settings say."""

    def __init__(
        self, *arguments: Any, limits: Settings, plain: PlainSubmits, origins: Origins, **settings: Any
    ) -> None:
        super().__init__(*arguments, **settings)
        self._origins = origins
        self._plain = plain
        self._limits = limits

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        """A request begins: stand between it and its handler."""
        inner = super().start_request(server_conn, request_conn)
        return _Intake(inner, request_conn, self._origins, self._plain, self._limits)


class _Intake(HTTPMessageDelegate):
    """Passes a request on, unless its body is too large: then it answers itself and throws the rest away.

    The connection is closed only when the client has sent all or `LINGER_S` have passed: closing while bytes are on
    their way would reset it, and take the answer with it.
    """

    def __init__(
        self,
        inner: HTTPMessageDelegate,
        connection: HTTP1Connection,
        origins: Origins,
        plain: PlainSubmits,
        limits: Settings,
    ) -> None:
        self._inner = inner
        self._plain = plain
        self._connection = connection
        self._origins = origins
        self._shared: dict[str, str] = {}  # headers that let the page of another origin read a refusal
        self._bodyless = False  # the answer to HEAD has headers only
        self._most = limits.body_bytes
        self._most_of_batch = max(limits.body_bytes, limits.batch_body_bytes)
        self._body_s = limits.body_s
        self._late = asyncio.get_running_loop().call_later(limits.header_s, self._give_up)
        connection.stream.set_close_callback(self._hush)  # of one that goes before its headers nobody is told
        self._codec: Codec | None = None  # of a body that is a batch if it begins as an array of this codec
        self._declared = 0
        self._taken = 0
        self._closing: asyncio.TimerHandle | None = None  # set once the request is refused

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Any:
        """Refuse at once what says itself that it is too long."""
        assert isinstance(start_line, RequestStartLine)
        self._late.cancel()
        if "Content-Length" in headers or "Transfer-Encoding" in headers:
            self._late = asyncio.get_running_loop().call_later(self._body_s, self._give_up)
        self._connection.set_max_body_size(UNBOUNDED)
        self._bodyless = start_line.method == "HEAD"
        self._shared = self._origins.headers(headers)
        if start_line.method == "POST" and start_line.path.partition("?")[0] == PATH:
            self._expect_batch(media_type_of(headers))
            if start_line.path == PATH and self._plain.takes(start_line, headers):
                self._inner = PlainSubmit(self._inner, self._connection, self._plain)
        declared = headers.get("Content-Length", "")
        if declared.isascii() and declared.isdigit():
            self._declared = int(declared) if len(declared) <= 15 else UNBOUNDED
        most = self._most if self._codec is None else self._most_of_batch
        if self._declared > most:
            headers.pop("Expect", None)  # the answer is given: nobody asks for the body any more
            self._refuse(most)
            return None
        return self._inner.headers_received(start_line, headers)

    def _expect_batch(self, media_type: str) -> None:
        """Whether it is a batch is known from its type, or else from its first byte."""
        if media_type == NDJSON:
            self._most = self._most_of_batch
        else:
            self._codec = CODECS.get(media_type)

    def data_received(self, chunk: bytes) -> Any:
        """A piece of the body."""
        if self._closing is not None:
            return None
        if self._codec is not None:
            self._look_at(chunk, self._codec)
        self._taken += len(chunk)
        if max(self._taken, 0 if self._codec else self._declared) > self._most:
            self._inner.on_connection_close()
            self._refuse(self._most)
            return None
        return self._inner.data_received(chunk)

    def _look_at(self, chunk: bytes, codec: Codec) -> None:
        begin = chunk if codec.binary else chunk.lstrip(BLANKS)
        if begin:
            self._codec = None
            if is_array(codec, begin[0]):
                self._most = self._most_of_batch

    def _refuse(self, most: int) -> None:
        body = JSON.encode(problem(TooLarge(f"a body may have {most} bytes")))
        headers = HTTPHeaders(
            {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), "Cache-Control": "no-store"}
        )
        headers.update(self._shared)
        first = ResponseStartLine("HTTP/1.1", TooLarge.status, "Content Too Large")
        self._connection.write_headers(first, headers, None if self._bodyless else body)
        self._closing = asyncio.get_running_loop().call_later(LINGER_S, self._connection.finish)

    def _give_up(self) -> None:
        """It takes too long. Tornado can wait for both itself, at the price of a task and three turns of the loop."""
        log.debug("no request came in time: the connection is closed")  # mostly one that a browser keeps for later
        self._connection.close()

    def _hush(self) -> None:
        self._late.cancel()

    def finish(self) -> None:
        """The whole request has come."""
        self._late.cancel()
        if self._closing is None:
            self._inner.finish()
        else:
            self._closing.cancel()
            self._connection.finish()

    def on_connection_close(self) -> None:
        """The client is gone."""
        self._late.cancel()
        if self._closing is None:
            self._inner.on_connection_close()
        else:
            self._closing.cancel()
