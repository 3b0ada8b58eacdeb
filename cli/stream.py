"""The socket side of watching: connect, say hello, hand on frames, and come back when it is lost."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any, Protocol

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketError, websocket_connect

from cli.api import CONNECT_TIMEOUT_S, USER_AGENT, no_answer, refusal
from cli.backoff import STEADY_S, Backoff, is_busy, is_final
from cli.exits import Refused
from cli.safe import wire_json
from cli.watched import Frame, Watch, Watched

SUBPROTOCOL = "windsock.v1.json"
WELCOME_TIMEOUT_S = 10.0
GOODBYE_TIMEOUT_S = 1.0
DEFAULT_HEARTBEAT_S = 15.0


class Screen(Protocol):
    """Who shows what the stream brings."""

    def show(self, watched: Watched | None, frame: Frame) -> None:
        """Something new: of a job, or (None) of the server: `stale`, `fresh`."""

    def lost(self, why: str, delay_s: float) -> None:
        """The connection is gone; the next try comes in `delay_s`."""

    def back(self) -> None:
        """The connection stands again."""


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

    def __init__(self, url: str, watch: Watch, screen: Screen, *, known: bool = False, backoff: Backoff) -> None:
        self._url = url
        self._watch = watch
        self._screen = screen
        self._known = known  # a Windsock server has answered there before
        self._backoff = backoff
        self._since = 0.0  # when the present connection was welcomed; 0 before
        self._told_lost = False

    async def follow(self) -> None:
        """Watch until every job has ended or was refused.

        Raises:
            Unreachable: no server answered the first time.
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
            raise Refused(f"{self._url} ended the connection: {lost.why}")
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
            await socket.write_message(wire_json([self._watch.hello()]))
            await self._read(socket)
        except (WebSocketError, StreamClosedError):
            raise _closed(socket) from None
        finally:
            await _hang_up(socket)

    async def _open(self) -> WebSocketClientConnection:
        request = HTTPRequest(
            "ws" + self._url.removeprefix("http") + "/api/stream",
            connect_timeout=CONNECT_TIMEOUT_S,
            request_timeout=WELCOME_TIMEOUT_S,
            user_agent=USER_AGENT,
        )
        try:
            return await websocket_connect(request, subprotocols=[SUBPROTOCOL])
        except HTTPClientError as error:
            raise self._unopened(error) from None
        except (OSError, WebSocketError, StreamClosedError) as error:
            if not self._known:
                raise no_answer(self._url, error) from None
            raise Lost("no answer") from None

    def _unopened(self, error: HTTPClientError) -> Exception:
        if self._known and (error.code == 429 or error.code >= 500):
            return Lost("no answer" if error.code == 599 else f"the server answers {error.code}")
        if error.code == 599:
            return no_answer(self._url, error)
        return refusal(self._url, error.code, _problem(error))

    async def _read(self, socket: WebSocketClientConnection) -> None:
        clock = time.monotonic
        silence_s, leave_at = WELCOME_TIMEOUT_S, float("inf")
        while not self._watch.done:
            try:
                message = await asyncio.wait_for(socket.read_message(), min(silence_s, leave_at - clock()))
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
                self._take(frame)

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
            raise Refused(f"{self._url} sent a {frame['type']} this client cannot read: upgrade it") from None
        if frame["type"] == "error":
            self._judge(frame)
        if new is not None:
            self._screen.show(self._watch.jobs.get(frame.get("sub", 0)), new)

    def _judge(self, frame: Frame) -> None:
        said = str(frame.get("message") or frame.get("code"))
        if frame.get("retryable"):
            raise Lost(said, at_least_s=float(frame.get("after_s") or 0.0))
        if frame.get("sub") not in self._watch.jobs:
            raise Refused(f"{self._url} refused: {said}")


async def _hang_up(socket: WebSocketClientConnection) -> None:
    """Say goodbye and let go of the descriptor, at the latest after a second: the server may be gone."""
    stream = socket.protocol.stream if socket.protocol is not None else None
    socket.close()
    if stream is None:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GOODBYE_TIMEOUT_S):
            while not stream.closed() and await socket.read_message() is not None:
                pass
    stream.close()


def _closed(socket: WebSocketClientConnection) -> Lost:
    code, reason = socket.close_code, socket.close_reason
    return Lost(reason or ("connection lost" if code is None else f"connection closed ({code})"), code=code)


def _frames(message: str | bytes) -> Iterator[Frame]:
    try:
        frames = json.loads(message)
    except ValueError:
        raise Refused("the server sent something that is not JSON: check --url") from None
    for frame in frames if isinstance(frames, list) else ():
        if isinstance(frame, dict) and isinstance(frame.get("type"), str):
            yield frame


def _problem(error: HTTPClientError) -> Any:
    try:
        return json.loads(error.response.body) if error.response is not None else None
    except ValueError:
        return None
