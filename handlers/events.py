"""GET /api/jobs/{id}/events: a job's frames over plain HTTP, as Server-Sent Events or as NDJSON.

The same client, outbox and cursor as over WebSocket; only the way a frame is written differs.
"""

import asyncio
import logging

from tornado.iostream import StreamClosedError

from handlers.base import Door, Handler
from handlers.sockets import Sockets
from server.client import Client
from server.codec import JSON, Codec
from server.cursor import Cursor
from server.errors import Invalid, NotFound
from server.job import JobDetail
from server.node import Node
from server.protocol import CloseCode
from server.subscription import Frame

log = logging.getLogger("windsock.events")
SSE_TYPE, NDJSON_TYPE = "text/event-stream", "application/x-ndjson"
RETRY_MS = 1000  # what EventSource waits before it comes again


def _bare(frame: Frame) -> Frame:
    return {name: value for name, value in frame.items() if name != "sub"}


def sse(frame: Frame) -> bytes:
    """A frame as an event (HTML standard, section 9.2): its type, its cursor as id, itself as data."""
    lines = [b"event: " + frame["type"].encode()]
    if "cursor" in frame:
        lines.append(b"id: " + frame["cursor"].encode())
    lines.append(b"data: " + JSON.encode(_bare(frame)))
    return b"\n".join(lines) + b"\n\n"


def ndjson(frame: Frame) -> bytes:
    """A frame as one line."""
    return JSON.encode(_bare(frame)) + b"\n"


SSE = Codec("SSE", SSE_TYPE, False, sse, JSON.decode, b"".join)
NDJSON = Codec("NDJSON", NDJSON_TYPE, False, ndjson, JSON.decode, b"".join)


class EventsHandler(Handler):
    """Streams one job until its end."""

    def initialize(self, node: Node, door: Door, sockets: Sockets) -> None:  # type: ignore[override]
        """Take what the application was wired with."""
        super().initialize(node, door)
        self._sockets = sockets

    async def get(self, job_id: str) -> None:
        """Frames of protocol.md section 3 without `sub`; 204 when the cursor given is the end's."""
        after = self.request.headers.get("Last-Event-ID") or self.get_query_argument("after", None)
        wish = self._log_wish()
        detail = await self._known(job_id, after)  # an unknown job is a 404, not a stream
        if detail.job.ended and after is not None and Cursor.parse(after) == detail.job.cursor:
            self.set_status(204)
            self.finish()
            return
        with self._sockets.stream(self.request.remote_ip or ""):
            await self._stream(job_id, after, wish)

    async def _known(self, job_id: str, after: str | None) -> JobDetail:
        """The job. One that the reader has seen is looked for again: an EventSource never comes back from a 404."""
        try:
            return await self.node.queue.get(job_id)
        except NotFound:
            found = await self.node.hub.find(job_id, seen=Cursor.parse(after) is not None)
            if found is None:
                raise
            return found

    def _log_wish(self) -> str | int:
        text = self.get_query_argument("log", "all")
        if text in ("all", "none"):
            return text
        if not text.isdecimal() or len(text) > 9:
            raise Invalid.field("log", "all, none or a number")
        return int(text)

    async def _stream(self, job_id: str, after: str | None, wish: str | int) -> None:
        codec = NDJSON if NDJSON_TYPE in self.request.headers.get("Accept", "") else SSE
        self.set_header("Content-Type", codec.media_type)
        self.set_header("X-Accel-Buffering", "no")  # nginx would hold the frames back
        self._over = asyncio.Event()
        if codec is SSE:
            self.write(b"retry: %d\n\n" % RETRY_MS)
        try:
            await self.flush()
        except StreamClosedError:
            return  # gone before the first byte
        self._client = Client(f"e{id(self):x}", self.node.hub, self, self, codec)
        try:
            self._client.watch(1, self.node.hub.topic(job_id), after=after, log=wish)
            self.node.hub.join(self._client)
            await self._until_over()
        finally:
            self._client.close()
        if not self.request.connection.stream.closed():  # type: ignore[union-attr]
            self.finish()

    async def _until_over(self) -> None:
        """Heartbeats until the end was told or the reader is gone."""
        settings = self.node.settings
        while not self._over.is_set():
            try:
                async with asyncio.timeout(settings.heartbeat_s / 4):
                    await self._over.wait()
            except TimeoutError:
                if asyncio.get_running_loop().time() - self._client.last_sent >= settings.heartbeat_s:
                    self._client.heartbeat()

    # as the client's transport and wire

    def send(self, message: bytes, /) -> bool:
        """Begin to write frames; the stream is over after the one that ended the subscription."""
        if not self._over.is_set():  # what is left to say in the turn of the end would come behind it
            self.write(message)
            self._flushing = asyncio.ensure_future(self._flush(last=not self._client.subscriptions))
        return False

    async def _flush(self, *, last: bool) -> None:
        if self._over.is_set():
            return  # `finish` flushes; behind that, Tornado breaks
        try:
            async with asyncio.timeout(self.node.settings.write_s):
                await self.flush()
        except (StreamClosedError, TimeoutError):
            self._over.set()
        else:
            self._client.writable()
        if last:
            self._over.set()

    def end(self, code: CloseCode, reason: str) -> None:
        """End the stream from this side."""
        log.info("%s: closed with %d: %s", self._client.id, code, reason)
        self._over.set()

    def on_connection_close(self) -> None:
        """The reader is gone."""
        super().on_connection_close()
        if hasattr(self, "_over"):
            self._over.set()
