"""What a client says over its socket: frames in, one method each."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from server.broker import NewJob
from server.client import Client
from server.errors import BadRequest, Conflict, Invalid, TooMany, WindsockError
from server.node import Node
from server.protocol import (
    VERSION,
    CloseCode,
    FrameType,
    Hello,
    JobCommand,
    Ping,
    Submission,
    Submit,
    Subscribe,
    Unsubscribe,
    Visibility,
    parse,
)
from server.topic import Topic
from server.window import Match

log = logging.getLogger("windsock.session")
_SUBMIT_FRAME = frozenset({"type", "id", "sub", "log", "idempotency_key"})
MAX_UNDER_WAY = 64  # commands of one client that wait for the store


class Violation(Exception):
    """The client does not keep to the protocol; it is closed with this code."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Allowance:
    """How many commands may come: so many per second, so many at once. Pure."""

    def __init__(self, per_s: float, burst: int, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = float(burst)
        self._at = now
        self.refused = 0

    def take(self, now: float) -> float:
        """0 when a command may come, else the seconds to wait."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        self.refused += 1
        return (1 - self._left) / self._per_s


Errand = Callable[[], Coroutine[Any, Any, None]]  # what has to wait for the store


class Session:
    """One connection's conversation. `receive` takes a message and never waits; what waits is a task of the session.

    Most clients say hello and then listen: what only commands need is made with the first of them.
    """

    __slots__ = ("_allowance", "_client", "_loop", "_node", "_tasks")

    def __init__(self, node: Node, client: Client) -> None:
        self._node = node
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._allowance: Allowance | None = None
        self._tasks: set[asyncio.Task[None]] | None = None  # commands that wait for the store

    def receive(self, message: Any) -> None:
        """Act on one decoded message.

        Raises:
            Violation: it is no array of frames, or its first frame is no hello, or it says hello again.
        """
        if not isinstance(message, list):
            raise Violation(CloseCode.PROTOCOL_VIOLATION, "a message is an array of frames")
        for frame in message:
            if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
                raise Violation(CloseCode.PROTOCOL_VIOLATION, "a frame is a map with a type")
            self._frame(frame)
            if self._client.closed:  # by what came before it in this message
                return

    def _frame(self, frame: dict[str, Any]) -> None:
        if not self._client.greeted:
            if frame["type"] != FrameType.HELLO:
                raise Violation(CloseCode.PROTOCOL_VIOLATION, "the first frame is hello")
            self._hello(frame)
            return
        if frame["type"] == FrameType.HELLO:
            raise Violation(CloseCode.PROTOCOL_VIOLATION, "hello was said already")
        if self._allowed(frame):
            self._command(frame)

    def _allowed(self, frame: dict[str, Any]) -> bool:
        settings, now = self._node.settings, self._loop.time()
        if self._allowance is None:
            self._allowance = Allowance(settings.commands_per_s, settings.commands_burst, now)
        wait_s = self._allowance.take(now)
        if wait_s == 0 and len(self._tasks or ()) < MAX_UNDER_WAY:
            return True
        if self._allowance.refused > settings.commands_refused:
            raise Violation(CloseCode.RATE_LIMITED, "too many commands")
        self._refuse(frame, TooMany("too many commands", after_s=round(max(wait_s, 0.05), 3)))
        return False

    def _command(self, frame: dict[str, Any]) -> None:
        errand = _ERRANDS.get(frame["type"])
        if errand is not None:
            self._begin(frame, partial(errand, self, frame))
            return
        try:
            command = _COMMANDS.get(frame["type"])
            if command is None:
                raise BadRequest(f"unknown frame type {frame['type'][:40]!r}")
            command(self, frame)
        except WindsockError as error:
            self._refuse(frame, error)

    def _begin(self, frame: dict[str, Any], errand: Errand) -> None:
        if self._tasks is None:
            self._tasks = set()
        task = self._loop.create_task(self._run(frame, errand), name=f"command {self._client.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, frame: dict[str, Any], errand: Errand) -> None:
        try:
            await errand()
        except WindsockError as error:
            self._refuse(frame, error)
        except Exception:
            log.exception("%s: a %s failed", self._client.id, frame["type"])
            self._client.reply(FrameType.ERROR, **_address(frame), code="internal", message="our fault", retryable=True)

    def _refuse(self, frame: dict[str, Any], error: WindsockError) -> None:
        log.info("%s: %.40r refused: %s", self._client.id, frame["type"], error)
        self._node.metrics.refused[error.code.value] += 1
        fields: dict[str, Any] = {
            "code": error.code.value,
            "message": error.message,
            "retryable": error.retryable,
        }
        if error.after_s is not None:
            fields["after_s"] = error.after_s
        if isinstance(error, Invalid):
            fields["errors"] = [{"field": one.field, "message": one.message} for one in error.errors]
        self._client.reply(FrameType.ERROR, **_address(frame), **fields)

    # hello

    def _hello(self, frame: dict[str, Any]) -> None:
        try:
            hello = parse(Hello, frame)
        except Invalid as error:
            raise Violation(CloseCode.PROTOCOL_VIOLATION, f"hello: {error}"[:120]) from None
        if hello.token is not None:
            raise Violation(CloseCode.UNAUTHENTICATED, "tokens are not built yet: leave it out")
        self._client.greeted = True
        settings = self._node.settings
        self._client.reply(
            FrameType.WELCOME,
            version=VERSION,
            node=settings.name,
            heartbeat_s=settings.heartbeat_s,
            now=_now_ms(),
            limits={
                "message_bytes": settings.message_bytes,
                "subscriptions": settings.subscriptions,
                "commands_per_s": settings.commands_per_s,
                "commands_burst": settings.commands_burst,
                "feed_limit": settings.feed_limit,
            },
        )
        self._node.hub.join(self._client)
        for wish in hello.subscribe:
            self._command(
                {**wish, "type": "subscribe"} if isinstance(wish, dict) else {"type": "subscribe", "sub": None}
            )

    # commands

    def _subscribe(self, frame: dict[str, Any]) -> None:
        wish = parse(Subscribe, frame)
        self._room_for(wish.sub)
        if wish.job is not None:
            topic = self._node.hub.topic(wish.job)
            self._client.watch(wish.sub, topic, after=wish.after, log=wish.log, rate=wish.rate)
        elif wish.stats:
            self._client.observe(wish.sub, self._node.board)
        elif wish.feed is not None:
            limit = min(wish.limit, self._node.settings.feed_limit)
            self._client.follow(wish.sub, Match.of(wish.feed), limit, wish.rate)

    def _room_for(self, number: int) -> None:
        if number in self._client.subscriptions:
            raise Conflict(f"sub {number} is in use")
        if len(self._client.subscriptions) >= self._node.settings.subscriptions:
            raise TooMany(f"{self._node.settings.subscriptions} subscriptions are open; close one first")

    def _unsubscribe(self, frame: dict[str, Any]) -> None:
        wish = parse(Unsubscribe, frame)
        self._client.unsubscribe(wish.sub)
        self._client.reply(FrameType.OK, id=wish.id)

    def _submit(self, frame: dict[str, Any]) -> None:
        """The subscription stands when this frame was read: what comes behind it in the same message finds it."""
        wish = parse(Submit, frame)
        submission = parse(Submission, {name: value for name, value in frame.items() if name not in _SUBMIT_FRAME})
        new = self._node.queue.submitting.prepare(submission, wish.key)
        topic = self._node.hub.topic(new.id)
        if wish.sub is not None:
            self._room_for(wish.sub)
            self._client.watch(wish.sub, topic, log=wish.log, unborn=True)
        self._begin(frame, partial(self._store, wish, new, topic))

    async def _store(self, wish: Submit, new: NewJob, topic: Topic) -> None:
        """The frames of the subscription follow the ok; they are of the job that the ok names."""
        try:
            job = (await self._node.queue.submitting.store(new, topic)).job
        except BaseException:
            if wish.sub is not None and self._stands(wish.sub, topic):
                self._client.unsubscribe(wish.sub)
            raise
        self._client.reply(FrameType.OK, id=wish.id, job=job.summary())
        if wish.sub is None or not self._stands(wish.sub, topic):
            return
        if job.id == new.id:
            self._client.release(wish.sub)
        else:
            self._client.unsubscribe(wish.sub)
            self._client.watch(wish.sub, self._node.hub.topic(job.id), log=wish.log)

    def _stands(self, number: int, topic: Topic) -> bool:
        """Whether the subscription of a submit is still there: it may have been unsubscribed meanwhile."""
        subscription = self._client.subscriptions.get(number)
        return subscription is not None and subscription.source is topic

    async def _cancel(self, frame: dict[str, Any]) -> None:
        wish = parse(JobCommand, frame)
        job = await self._node.queue.cancel(wish.job)
        self._client.reply(FrameType.OK, id=wish.id, job=job.summary())

    async def _rerun(self, frame: dict[str, Any]) -> None:
        wish = parse(JobCommand, frame)
        job = await self._node.queue.rerun(wish.job)
        self._client.reply(FrameType.OK, id=wish.id, job=job.summary())

    def _visibility(self, frame: dict[str, Any]) -> None:
        self._client.look(hidden=parse(Visibility, frame).hidden)

    def _ping(self, frame: dict[str, Any]) -> None:
        self._client.reply(FrameType.PONG, n=parse(Ping, frame).n)

    def close(self) -> None:
        """The connection is gone."""
        for task in self._tasks or ():
            task.cancel()
        self._client.close()


_COMMANDS: dict[str, Callable[[Session, dict[str, Any]], None]] = {
    FrameType.SUBSCRIBE: Session._subscribe,
    FrameType.SUBMIT: Session._submit,
    FrameType.UNSUBSCRIBE: Session._unsubscribe,
    FrameType.VISIBILITY: Session._visibility,
    FrameType.PING: Session._ping,
}
_ERRANDS: dict[str, Callable[[Session, dict[str, Any]], Coroutine[Any, Any, None]]] = {
    FrameType.CANCEL: Session._cancel,
    FrameType.RERUN: Session._rerun,
}


def _address(frame: dict[str, Any]) -> dict[str, Any]:
    """By what a refused command is known to its sender: its id, or its subscription."""
    for name in ("id", "sub"):
        value = frame.get(name)
        if isinstance(value, (int, str)) and not isinstance(value, bool) and len(str(value)) <= 64:
            return {name: value}
    return {}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
