"""The short way of a plain submit: `POST /api/jobs` of one job by a program, without a key and without waiting.

Of no other request there are so many, and a `RequestHandler` with its headers costs as much as all the rest of one. So
this does without: whatever is not plain, or is refused before it reaches the store, goes to the handler, whole, as if
nobody had looked at it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from email.utils import formatdate
from http.client import responses
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine

from handlers.problem import MEDIA_TYPE, problem, retry_after
from server.arrays import is_array
from server.broker import How, NewJob
from server.codec import JSON, MSGPACK, Codec
from server.errors import InternalError, WindsockError
from server.node import Node

log = logging.getLogger("windsock.http")
PATH = "/api/jobs"
HANDLER = "JobsHandler"  # by this name it is counted: to a client there is no difference
STRANGE = frozenset({"Idempotency-Key", "Prefer", "Origin", "Sec-Fetch-Site", "Expect", "Transfer-Encoding"})
CODECS = {codec.media_type: codec for codec in (JSON, MSGPACK)}
BLANKS = b" \t\r\n"  # of JSON
HEAD = (
    "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nDate: {}\r\nVary: Accept\r\n"
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "{}\r\n"
)


class PlainSubmits:
    """Owns the plain submits under way, and what they have in common."""

    def __init__(self, node: Node, admits: Callable[[str], bool], *, shared: bool) -> None:
        """None is under way.

        Args:
            admits: whether a Host header names this server.
            shared: pages of other origins are let in, so that every answer says something of that.
        """
        self._node = node
        self._admits = admits
        self._shared = shared
        self._under_way: set[asyncio.Task[None]] = set()
        self._date = (0, "")

    def takes(self, line: RequestStartLine, headers: HTTPHeaders) -> bool:
        """Whether a POST to `PATH` may go the short way."""
        return (
            not self._shared
            and line.version == "HTTP/1.1"
            and STRANGE.isdisjoint(headers)
            and headers.get("Connection", "keep-alive").lower() == "keep-alive"
            and headers.get("Content-Type", "") in CODECS
            and self._admits(headers.get("Host", ""))
        )

    def prepare(self, body: bytes, codec: Codec) -> NewJob | None:
        """The job in a body; None where the handler has to say what is wrong with it."""
        try:
            return self._node.queue.submitting.prepare_plain(codec.decode(body))
        except WindsockError:
            return None

    def submit(self, new: NewJob, connection: HTTP1Connection, codec: Codec) -> None:
        """Hand it to the store, and answer."""
        task = asyncio.create_task(self._submit(new, connection, codec), name="plain submit")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _submit(self, new: NewJob, connection: HTTP1Connection, codec: Codec) -> None:
        try:
            submitted = await self._node.queue.submitting.store(new)
        except WindsockError as error:
            log.info("POST %s refused: %s", PATH, error)
            self._refuse(error, connection)
        except Exception:
            log.exception("POST %s failed", PATH)
            self._refuse(InternalError("this server made a mistake; its log says more"), connection)
        else:
            status = 202 if submitted.how is How.ACCEPTED else 200
            location = f"Location: {PATH}/{submitted.job.id}\r\n"
            self._answer(connection, status, codec.media_type, codec.encode(submitted.job.summary()), location)

    def _refuse(self, error: WindsockError, connection: HTTP1Connection) -> None:
        more = "" if error.after_s is None else f"Retry-After: {retry_after(error)}\r\n"
        self._answer(connection, error.status, MEDIA_TYPE, JSON.encode(problem(error)), more)

    def _answer(self, connection: HTTP1Connection, status: int, kind: str, body: bytes, more: str) -> None:
        self._node.metrics.requests[HANDLER, str(status)] += 1
        log.debug("%d POST %s", status, PATH)
        if connection.stream is None or connection.stream.closed():
            return
        head = HEAD.format(status, responses[status], kind, len(body), self._now(), more)
        connection.write(head.encode("ascii") + body)
        connection.finish()

    def _now(self) -> str:
        """The date as answers say it."""
        second = int(time.time())
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]


class PlainSubmit(HTTPMessageDelegate):
    """Gathers the body of one, in front of the handler that gets it if it is not plain after all."""

    def __init__(self, inner: HTTPMessageDelegate, connection: HTTP1Connection, plain: PlainSubmits) -> None:
        self._inner = inner
        self._connection = connection
        self._plain = plain
        self._chunks: list[bytes] = []
        self._handed = False  # to the handler

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:
        """Keep them, for the handler."""
        self._line, self._headers = start_line, headers
        self._codec = CODECS[headers["Content-Type"]]

    def data_received(self, chunk: bytes) -> Any:
        """A piece of the body. An array is a batch, and goes on as it comes."""
        if self._handed:
            return self._inner.data_received(chunk)
        self._chunks.append(chunk)
        begin = chunk if self._codec.binary or len(self._chunks) > 1 else chunk.lstrip(BLANKS)
        if len(self._chunks) == 1 and begin and is_array(self._codec, begin[0]):
            return self._hand_on()
        return None

    def _hand_on(self) -> Any:
        """To the handler, with what has come."""
        self._handed = True
        self._inner.headers_received(self._line, self._headers)
        return self._inner.data_received(b"".join(self._chunks))

    def finish(self) -> None:
        """All is there."""
        new = None if self._handed else self._plain.prepare(b"".join(self._chunks), self._codec)
        if new is not None:
            msgpack = MSGPACK.media_type in self._headers.get("Accept", "")
            self._plain.submit(new, self._connection, MSGPACK if msgpack else JSON)
            return
        if not self._handed:
            self._hand_on()
        self._inner.finish()

    def on_connection_close(self) -> None:
        """The client has gone before it had sent everything."""
        if self._handed:
            self._inner.on_connection_close()
