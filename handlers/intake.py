"""How much body a request may have: counted while it comes, refused as soon as it is too much.

Left to itself Tornado answers a body over its limit with a bare 400 and a reset connection, which many clients never
get to read.
"""

import asyncio
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.web import Application

from handlers.problem import MEDIA_TYPE, problem
from server.codec import JSON
from server.errors import TooLarge

LINGER_S = 2.0  # a client that is still sending gets this long to notice the refusal
UNBOUNDED = 2**62  # bytes; the measure is taken here


class MeasuredApplication(Application):
    """An application that reads at most `body_bytes` of a request's body."""

    def __init__(self, *arguments: Any, body_bytes: int, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._body_bytes = body_bytes

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        """A request begins: stand between it and its handler."""
        return _Intake(super().start_request(server_conn, request_conn), request_conn, self._body_bytes)


class _Intake(HTTPMessageDelegate):
    """Passes a request on, unless its body is too large: then it answers itself and throws the rest away.

    The connection is closed only when the client has sent all or `LINGER_S` have passed: closing while bytes are on
    their way would reset it, and take the answer with it.
    """

    def __init__(self, inner: HTTPMessageDelegate, connection: HTTP1Connection, most: int) -> None:
        self._inner = inner
        self._connection = connection
        self._bodyless = False  # the answer to HEAD has headers only
        self._most = most
        self._taken = 0
        self._closing: asyncio.TimerHandle | None = None  # set once the request is refused

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Any:
        """Refuse at once what says itself that it is too long."""
        assert isinstance(start_line, RequestStartLine)
        self._connection.set_max_body_size(UNBOUNDED)
        self._bodyless = start_line.method == "HEAD"
        declared = headers.get("Content-Length", "")
        if declared.isascii() and declared.isdigit() and (len(declared) > 15 or int(declared) > self._most):
            headers.pop("Expect", None)  # the answer is given: nobody asks for the body any more
            self._refuse()
            return None
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Any:
        """A piece of the body."""
        if self._closing is not None:
            return None
        self._taken += len(chunk)
        if self._taken > self._most:
            self._inner.on_connection_close()
            self._refuse()
            return None
        return self._inner.data_received(chunk)

    def _refuse(self) -> None:
        body = JSON.encode(problem(TooLarge(f"a body may have {self._most} bytes")))
        headers = HTTPHeaders(
            {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), "Cache-Control": "no-store"}
        )
        first = ResponseStartLine("HTTP/1.1", TooLarge.status, "Content Too Large")
        self._connection.write_headers(first, headers, None if self._bodyless else body)
        self._closing = asyncio.get_running_loop().call_later(LINGER_S, self._connection.finish)

    def finish(self) -> None:
        """The whole request has come."""
        if self._closing is None:
            self._inner.finish()
        else:
            self._closing.cancel()
            self._connection.finish()

    def on_connection_close(self) -> None:
        """The client is gone."""
        if self._closing is None:
            self._inner.on_connection_close()
        else:
            self._closing.cancel()
