"""What all handlers share: who may ask, in which format, and how a refusal is answered."""

import asyncio
import ipaddress
import logging
import re
from collections.abc import Awaitable, Coroutine, Iterable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest
from tornado.web import Finish, HTTPError, RequestHandler

from handlers.intake import media_type_of
from handlers.origins import SHARED_METHODS, Origins
from handlers.plain import CODECS
from handlers.problem import MEDIA_TYPE, problem, retry_after
from server.codec import JSON, MSGPACK, Codec
from server.errors import (
    BadRequest,
    Forbidden,
    InternalError,
    Invalid,
    MethodNotAllowed,
    NotFound,
    Unavailable,
    UnsupportedMedia,
    WindsockError,
)
from server.metrics import Metrics
from server.node import Node

log = logging.getLogger("windsock.http")
Result = TypeVar("Result")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::\d{1,5})?")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SHARED_PATHS = ("/api/", "/static/")  # what pages of other origins may read, if they are let in
METHODS = ("GET", "HEAD", "POST", "DELETE")  # those that any resource here knows
# Everything the page needs comes from this server; nothing is inline.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' {sockets};"
    " frame-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Door:
    """Knows which Host names are ours and which pages may ask."""

    def __init__(self, host: str, allowed: Iterable[str], origins: Iterable[str] = ()) -> None:
        self.origins = Origins(origins)
        self._names = {"localhost", host.lower(), *(name.lower() for name in allowed)}
        self._any_address = host in ("0.0.0.0", "::", "")

    def admits(self, host: str) -> bool:
        """Whether a Host header (without port) names this server.

        Loopback addresses always do. Other names have to be allowed: a page that makes its own name resolve to this
        machine (DNS rebinding) is same-origin with itself, and only its Host header gives it away.
        """
        name = host.lower().strip("[]")
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or self._any_address


def host_name(header: str) -> str:
    """The name in a Host header, without its port; nothing where it is no Host header."""
    match = _HOST.fullmatch(header)
    return match[1] if match else ""


def refuse_foreign(request: HTTPServerRequest, door: Door, *, unsafe: bool) -> None:
    """Make sure that the request is for this server, and does not come from a page of another origin.

    A page that is let in (`--allow-origin`) may do what `SHARED_METHODS` do.

    Raises:
        Forbidden: with what is wrong.
    """
    if not door.admits(host_name(request.headers.get("Host", ""))):
        raise Forbidden("this Host name is not served; name it with --allow-host if it is yours")
    origin = request.headers.get("Origin")
    if not unsafe or (request.method in SHARED_METHODS and door.origins.admits(origin)):
        return
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if site not in ("same-origin", "none"):
        raise Forbidden("a page of another origin may not do this")
    if origin is not None and _authority(origin) != request.headers.get("Host", "").lower():
        raise Forbidden(f"origin {origin[:100]} may not do this")


def _authority(origin: str) -> str:
    """Host and port of an origin. Not its scheme: a proxy that speaks TLS for us is no stranger."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


class Answering(RequestHandler):
    """What every answer has in common, those of the files and of the socket too: headers, refusals, log lines."""

    door: Door

    def set_default_headers(self) -> None:
        """Headers of every answer, errors included."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Every refusal and every fault as a problem."""
        error = refusal_of(status_code, kwargs.get("exc_info", (None, None, None))[1])
        self.share()  # all headers are new
        self.set_status(error.status)
        self.set_header("Content-Type", MEDIA_TYPE)
        if error.after_s is not None:
            self.set_header("Retry-After", retry_after(error))
        if isinstance(error, MethodNotAllowed):
            self.set_header("Allow", ", ".join(self._methods()))
        self.finish(JSON.encode(problem(error)))

    def share(self) -> None:
        """Let pages of the origins that are let in read this answer, if it is one of the API or a file."""
        if self.request.path.startswith(SHARED_PATHS):
            for name, value in self.door.origins.headers(self.request.headers).items():
                self.set_header(name, value)

    def _methods(self) -> list[str]:
        """Those that this handler has made its own; HEAD stands on GET."""
        own = [
            name for name in METHODS if getattr(type(self), name.lower()) is not getattr(RequestHandler, name.lower())
        ]
        return own if "GET" in own else [name for name in own if name != "HEAD"]

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Success is quiet, refusals are info, our faults are loud."""
        if isinstance(value, WindsockError | HTTPError):
            log.info("%s %s refused: %s", self.request.method, self.request.path, value)
        else:
            log.error("%s %s failed", self.request.method, self.request.path, exc_info=(typ, value, tb))


class Handler(Answering):
    """A handler of the API: `self.node` is what it calls, `answer` is how it writes."""

    node: Node

    def initialize(self, node: Node, door: Door) -> None:
        """Take what the application was wired with."""
        self.node = node
        self.door = door
        self._waiting: asyncio.Task[Any] | None = None

    def prepare(self) -> None:
        """Refuse strangers before anything is read."""
        refuse_foreign(self.request, self.door, unsafe=self.request.method not in SAFE_METHODS)
        self.share()

    def options(self, *arguments: str) -> None:
        """What a browser asks before it sends a request of another origin's page.

        Raises:
            MethodNotAllowed: it is not asked for a page that is let in.
        """
        said = self.door.origins.preflight(self.request.headers)
        if said is None or not self.request.path.startswith(SHARED_PATHS):
            raise MethodNotAllowed("this method is not known here")
        for name, value in said.items():
            self.set_header(name, value)
        self.set_status(204)
        self.finish()

    def head(self, *arguments: str) -> Awaitable[None] | None:
        """As GET; Tornado leaves the body out."""
        return self.get(*arguments)

    def compute_etag(self) -> None:
        """No hash of every body; the one ETag there is, a job's cursor, is set where it is known."""

    @property
    def codec(self) -> Codec:
        """What the client wants to read."""
        return MSGPACK if MSGPACK.media_type in self.request.headers.get("Accept", "") else JSON

    def answer(self, value: Any, status: int = 200) -> None:
        """Write a value in the client's format."""
        self.answer_encoded(self.codec.encode(value), status)

    def answer_encoded(self, value: bytes, status: int) -> None:
        """The same with a value that was encoded in the client's format."""
        self.set_status(status)
        self.set_header("Content-Type", self.codec.media_type)
        self.add_header("Vary", "Accept")
        self.finish(value)

    def body(self) -> Any:
        """The decoded body.

        Raises:
            UnsupportedMedia, BadRequest: it cannot be read.
        """
        return self.body_codec().decode(self.request.body)

    def body_codec(self) -> Codec:
        """How the body is written.

        Raises:
            UnsupportedMedia: in no way that is read here.
        """
        media_type = media_type_of(self.request.headers)
        if media_type not in CODECS:
            raise UnsupportedMedia(f"send application/json or application/msgpack, not {media_type[:60] or 'nothing'}")
        return CODECS[media_type]

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """An integer of the query.

        Raises:
            Invalid: it is not one, or out of range.
        """
        text = self.get_query_argument(name, None)
        if text is None:
            return default
        try:
            value = int(text) if len(text) < 20 else most + 1
        except ValueError:
            raise Invalid.field(name, "not a whole number") from None
        if not least <= value <= most:
            raise Invalid.field(name, f"from {least} to {most}")
        return value

    async def while_connected(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What `work` gives, which may take long; given up when the client goes away.

        Raises:
            Finish: the client is gone.
        """
        self._waiting = task = asyncio.ensure_future(work)
        try:
            return await task
        except asyncio.CancelledError:
            raise Finish from None

    def on_connection_close(self) -> None:
        """Nobody waits for the answer any more."""
        super().on_connection_close()
        if self._waiting is not None:
            self._waiting.cancel()


def refusal_of(status: int, error: BaseException | None) -> WindsockError:
    """Any exception as one of our refusals."""
    if isinstance(error, WindsockError):
        return error
    known: dict[int, WindsockError] = {
        403: Forbidden("not allowed"),
        404: NotFound("no such page"),
        405: MethodNotAllowed("this method is not known here"),
        503: Unavailable("not now"),
    }
    if status in known:
        return known[status]
    if 400 <= status < 500:
        return BadRequest("the request cannot be understood")
    return InternalError("this server made a mistake; its log says more")


class NotFoundHandler(Handler):
    """Every path nobody knows."""

    def prepare(self) -> None:
        """Say so, whatever the method."""
        super().prepare()
        raise NotFound("no such page")


def log_request(metrics: Metrics, handler: RequestHandler) -> None:
    """Count each request. Its line is at debug: under load a line per request costs more than the request."""
    metrics.requests[type(handler).__name__, str(handler.get_status())] += 1
    log.debug("%d %s %s", handler.get_status(), handler.request.method, handler.request.path)
