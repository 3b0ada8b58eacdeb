"""The socket side of watching: connect, say hello, hand on frames, and come back when it is lost."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any, Protocol

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.simple_httpclient import HTTPTimeoutError
from tornado.websocket import WebSocketClientConnection, WebSocketError, websocket_connect

from windsock.backoff import STEADY_S, Backoff, is_busy, is_final, retry_after_s
from windsock.calls import encode, foreign
from windsock.errors import Refused, Unreachable, refusal
from windsock.target import AGENT, CONNECT_S, Target
from windsock.watch import Subscription, Watch
from windsock.watched import Frame, Watched

SUBPROTOCOL = "windsock.v1.json"
WELCOME_TIMEOUT_S = 10.0
GOODBYE_TIMEOUT_S = 1.0
DEFAULT_HEARTBEAT_S = 15.0
_CODES: dict[object, str] = {4000: "bad_request", 4001: "unauthenticated", 4003: "forbidden", 4004: "too_large"}


class Screen(Protocol):
    """Who shows what the stream brings."""

    def show(self, one: Subscription | None, frame: Frame) -> None:
        """Something new: of a subscription, or (None) of the server: `stale`, `fresh`."""

    def lost(self, why: str, delay_s: float) -> None:
        """The connection is gone; the next try comes in `delay_s`."""

    def back(self) -> None:
        """The connection stands again."""

    async def room(self) -> None:
        """Wait until more can be shown."""


class Lost(Exception):
    """A connection that ended before the watch did."""

    def __init__(self, why: str, *, code: int | None = None, at_least_s: float = 0.0, leave: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.code = code  # the server's close code
        self.at_least_s = at_least_s  # the server asked to stay away this long
        self.leave = leave  # we left because of a drain, in the window given: come back at once


class Stream:
    """One watch over as many connections as it takes.

    Duties in call order: `follow` until every job is done; each connection: open, greet, read; then wait.
    """

    def __init__(self, target: Target, watch: Watch, screen: Screen, *, known: bool = False, backoff: Backoff) -> None:
        self._target = target
        self._url = target.address.url
        self._watch = watch
        self._screen = screen
        self._known = known  # a Windsock server has answered there before
        self._backoff = backoff
        self._since = 0.0  # when the present connection was welcomed; 0 before
        self._told_lost = False
        self._socket: WebSocketClientConnection | None = None  # while greeted

    async def follow(self) -> None:
        """Watch until every job has ended or was refused.

        Raises:
            Unreachable: no server answered the first time, or it could not serve and did not say for how long.
            Refused: the server will not have us, now or later.
        """
        while not self._watch.done:
            self._since = 0.0
            try:
                await self._connection()
            except Lost as lost:
                await self._wait(lost)

    async def _wait(self, lost: Lost) -> None:
        if is_final(lost.code):
            raise _ended(self._url, lost.why, lost.code)
        lasted_s = time.monotonic() - self._since if self._since else 0.0
        if lost.leave and lasted_s >= STEADY_S:
            return
        delay_s = self._backoff.delay_s(lasted_s, busy=is_busy(lost.code), at_least_s=lost.at_least_s)
        self._told_lost = True
        self._screen.lost(lost.why, delay_s)
        await asyncio.sleep(delay_s)

    async def _connection(self) -> None:
        socket = await self._open()
        try:
            greeting = socket.write_message(encode([self._watch.hello()]).decode())
            self._socket = socket  # what is added to the watch from here on follows the hello
            await _sent(greeting)
            await self._read(socket)
        except TimeoutError:
            raise Lost("the server is silent") from None
        except (WebSocketError, StreamClosedError):
            raise _closed(socket) from None
        finally:
            self._socket = None
            await _hang_up(socket)

    def send(self, frame: Frame) -> None:
        """Tell the server now what has changed in the watch; without a connection the next hello does."""
        if self._socket is not None:
            with contextlib.suppress(WebSocketError, StreamClosedError):
                self._socket.write_message(encode([frame]).decode())

    async def _open(self) -> WebSocketClientConnection:
        request = HTTPRequest(
            "ws" + self._url.removeprefix("http") + "/api/stream",
            connect_timeout=CONNECT_S,
            request_timeout=WELCOME_TIMEOUT_S,
            headers=dict(self._target.headers),
            user_agent=AGENT,
            ssl_options=self._target.context,
        )
        connecting = asyncio.ensure_future(websocket_connect(request, subprotocols=[SUBPROTOCOL]))
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_close_late)
            raise
        except HTTPClientError as error:
            raise self._unopened(error) from None
        except (OSError, WebSocketError, StreamClosedError) as error:
            if self._known:
                raise Lost("no answer") from None
            if isinstance(error, WebSocketError):  # an answer, such as a page, in place of a WebSocket
                raise foreign(self._url) from None
            raise self._target.unreachable(error, sent=False) from None

    def _unopened(self, error: HTTPClientError) -> Exception:
        if error.code == 599:
            if self._known:
                return Lost("no answer")
            return self._target.unreachable(TimeoutError() if _is_timeout(error) else error, sent=False)
        problem, after_s = _problem(error), _retry_after_s(error)
        is_ours = isinstance(problem, dict) and "code" in problem
        # A Windsock server that says when to come back is worth waiting for, also at first.
        self._known = self._known or (is_ours and after_s is not None)
        if self._known and (error.code == 429 or error.code >= 500):
            why = str(problem.get("detail") or problem["code"]) if is_ours else f"the server answers {error.code}"
            return Lost(why, at_least_s=after_s or 0.0)
        return _refused(self._url, error.code, problem, after_s)

    async def _read(self, socket: WebSocketClientConnection) -> None:
        clock = time.monotonic
        silence_s, leave_at = WELCOME_TIMEOUT_S, float("inf")
        while not self._watch.done:
            await self._screen.room()
            try:
                async with asyncio.timeout(min(silence_s, leave_at - clock())):
                    message = await socket.read_message()
            except TimeoutError:
                leave = clock() >= leave_at
                raise Lost("the server restarts" if leave else "the server is silent", leave=leave) from None
            if message is None:
                raise _closed(socket)
            for frame in _frames(message):
                if frame["type"] == "welcome":
                    silence_s = 2 * float(frame.get("heartbeat_s", DEFAULT_HEARTBEAT_S))
                    self._welcomed()
                elif frame["type"] == "drain":
                    leave_at = clock() + self._backoff.moment_s(frame.get("within_s"))
                elif frame["type"] == "bye":
                    raise self._dismissed(frame)
                self._take(frame)

    def _dismissed(self, bye: Frame) -> Exception:
        """What a bye means; the close code behind it may be lost with the connection."""
        code, why = bye.get("code"), str(bye.get("reason") or "the server says goodbye")
        if bye.get("retry") is False:
            return _ended(self._url, why, code)
        return Lost(why, code=code if isinstance(code, int) else None)

    def _welcomed(self) -> None:
        self._since = time.monotonic()
        self._known = True
        if self._told_lost:
            self._told_lost = False
            self._screen.back()

    def _take(self, frame: Frame) -> None:
        try:
            new = self._watch.apply(frame)
        except (KeyError, TypeError, ValueError, AttributeError):
            told = f"{self._url} sent a {frame['type']} this client cannot read: upgrade it"
            raise Unreachable(told, reason="unreadable") from None
        if frame["type"] == "error":
            self._judge(frame)
        one = self._watch.told.get(frame.get("sub", 0))
        if new is not None:
            self._screen.show(one, new)
        if isinstance(one, Watched):
            one.shown = one.cursor

    def _judge(self, frame: Frame) -> None:
        said = str(frame.get("message") or frame.get("code"))
        if frame.get("retryable"):
            raise Lost(said, at_least_s=float(frame.get("after_s") or 0.0))
        if "sub" not in frame and "id" not in frame:
            raise Refused(f"{self._url} refused: {said}", code=str(frame.get("code")), status=0)


async def _sent(greeting: "asyncio.Future[None]") -> None:
    """A long hello may go to a server that has vanished; a write that is cancelled is more than Tornado can bear.

    Raises:
        TimeoutError: it is not taken.
        WebSocketError, StreamClosedError: the connection is gone.
    """
    greeting.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait([greeting], timeout=WELCOME_TIMEOUT_S)
    if not greeting.done():
        raise TimeoutError
    greeting.result()


async def _hang_up(socket: WebSocketClientConnection) -> None:
    """Say goodbye and let go of the descriptor, at the latest after a second: the server may be gone."""
    stream = socket.protocol.stream if socket.protocol is not None else None
    socket.close()
    if stream is None:
        return
    try:
        async with asyncio.timeout(GOODBYE_TIMEOUT_S):
            while not stream.closed() and await socket.read_message() is not None:
                pass
    except TimeoutError:
        pass
    finally:  # also when who watched has left
        stream.close()


def _close_late(connecting: "asyncio.Future[WebSocketClientConnection]") -> None:
    """Nobody waits for this connection any more, and Tornado makes it all the same."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()


def _closed(socket: WebSocketClientConnection) -> Lost:
    code, reason = socket.close_code, socket.close_reason
    return Lost(reason or ("connection lost" if code is None else f"connection closed ({code})"), code=code)


def _frames(message: str | bytes) -> Iterator[Frame]:
    try:
        frames = json.loads(message)
    except ValueError:
        raise Unreachable("the server sent something that is not JSON", reason="foreign") from None
    for frame in frames if isinstance(frames, list) else ():
        if isinstance(frame, dict) and isinstance(frame.get("type"), str):
            yield frame


def _ended(url: str, why: str, code: object) -> Refused:
    """A close of 40xx, or a bye that asks not to come back."""
    return Refused(f"{url} ended the connection: {why}", code=_CODES.get(code, "refused"), status=0)


def _refused(url: str, status: int, problem: Any, after_s: float | None) -> Exception:
    return refusal(problem, status, after_s) or foreign(url, status)


def _is_timeout(error: HTTPClientError) -> bool:
    return isinstance(error, HTTPTimeoutError)


def _retry_after_s(error: HTTPClientError) -> float | None:
    return None if error.response is None else retry_after_s(error.response.headers.get("Retry-After"), time.time())


def _problem(error: HTTPClientError) -> Any:
    try:
        return json.loads(error.response.body) if error.response is not None else None
    except ValueError:
        return None
