"""One connection that carries all script calls of a loop turn together.

While one batch is on its way the next one gathers: under load batches grow by themselves, on an idle node a call leaves
at once. Scripts may be sent twice, so a batch whose connection broke is sent once more on a new one.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.broker.connection import Connector, end, refusal
from server.broker.script import Script
from server.broker.wire import Argument, ReplyError, Wire
from server.errors import Unavailable

log = logging.getLogger("windsock.pipeline")
_LOST = OSError  # ConnectionError and TimeoutError among it


@dataclass(slots=True)
class _Call:
    """One script call and who waits for its answer."""

    script: Script
    arguments: tuple[Argument, ...]
    answer: "asyncio.Future[Any]"
    durable: bool  # wait for a replica, where settings say so
    whole: bool = False  # send the source: Redis does not know the script
    moved: bool = False  # a replica refused it, so it is tried once more on a new connection

    def command(self, tag: str) -> tuple[Argument, ...]:
        if self.whole:
            return ("EVAL", self.script.source, 1, tag, *self.arguments)
        return ("EVALSHA", self.script.sha, 1, tag, *self.arguments)


class Pipeline:
    """Sends script calls in batches, in the order they were made."""

    def __init__(self, connector: Connector, tag: str, *, wait_ms: int | None = None, max_batch: int = 512) -> None:
        self._connector = connector
        self._tag = tag
        self._wait_ms = wait_ms  # durability "wait": how long a durable batch waits for a replica
        self._timeout_s = connector.timeout_s + (wait_ms or 0) / 1000
        self._max_batch = max_batch
        self._pending: list[_Call] = []
        self._batch: list[_Call] = []  # on its way
        self._wire: Wire | None = None
        self._open = False
        self._leaving = False  # at the end of this turn
        self._task: asyncio.Task[None] | None = None  # carries the batch, where that takes more than one exchange

    def start(self) -> None:
        """Begin to carry calls."""
        self._open = True

    async def stop(self) -> None:
        """Fail what waits, close the connection."""
        self._open = False
        if self._task is not None:
            task, self._task = self._task, None
            await end(task)
        stopped = Unavailable("this node has stopped")
        self._fail(self._batch, stopped)
        self._fail(self._pending, stopped)
        self._batch, self._pending = [], []
        await self._drop()

    def call(self, script: Script, *arguments: Argument, durable: bool = False) -> "asyncio.Future[Any]":
        """Run a script; its reply with text as bytes.

        Raises (through the future):
            Unavailable: Redis is away, full or read-only.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if not self._open:
            answer.set_exception(Unavailable("this node has stopped"))
            return answer
        self._pending.append(_Call(script, arguments, answer, durable))
        if not self._batch and not self._leaving:
            self._leaving = True
            loop.call_soon(self._leave)
        return answer

    def _leave(self) -> None:
        """Send what has gathered: at once where the connection stands, else by a task that makes one."""
        self._leaving = False
        if self._batch or not self._pending or not self._open:
            return
        self._batch, self._pending = self._pending[: self._max_batch], self._pending[self._max_batch :]
        wire = self._wire
        if wire is None or wire.lost or self._wait_ms is not None or self._connector.astray(wire.connection):
            self._take_care()
            return
        try:
            wire.send([call.command(self._tag) for call in self._batch], self._arrived)
        except Exception as error:  # a call that cannot be written: our fault, and nothing has left
            log.exception("a batch of %d calls failed", len(self._batch))
            self._fail(self._batch, error)
            self._next()

    def _arrived(self, outcome: list[Any] | Exception) -> None:
        """The replies to the batch, or why there are none."""
        if isinstance(outcome, Exception) or any(isinstance(reply, ReplyError) for reply in outcome):
            self._take_care(outcome)
            return
        for call, reply in zip(self._batch, outcome, strict=True):
            if not call.answer.done():  # else whoever asked was cancelled
                call.answer.set_result(reply)
        self._next()

    def _next(self) -> None:
        self._batch = []
        self._leave()

    def _take_care(self, outcome: list[Any] | Exception | None = None) -> None:
        """Carry the batch by a task: more than one exchange may be needed."""
        if self._open:
            self._task = asyncio.get_running_loop().create_task(self._care(self._batch, outcome), name="pipeline")

    async def _care(self, batch: Sequence[_Call], outcome: list[Any] | Exception | None) -> None:
        try:
            if isinstance(outcome, list):
                await self._settle_all(batch, outcome, True)
            elif outcome is not None:
                await self._drop()
            await self._carry(batch)
        except asyncio.CancelledError:
            self._fail(batch, Unavailable("this node has stopped"))
            raise
        except Exception as error:
            log.exception("a batch of %d calls failed", len(batch))
            self._fail(batch, error)
            await self._drop()  # replies may be left on it, which the next batch would take for its own
        self._next()

    async def _carry(self, batch: Sequence[_Call]) -> None:
        """Exchange until all are answered.

        Again where the connection broke, where Redis did not know a script, or where it has become a replica.
        """
        error: BaseException = Unavailable("Redis does not keep our scripts")
        for _ in range(3):
            waiting = [call for call in batch if not call.answer.done()]
            if not waiting:
                return
            try:
                await self._exchange(waiting)
            except Unavailable as away:  # not even a connection: the callers decide how long to wait
                self._fail(waiting, away)
            except _LOST as lost:
                await self._drop()
                error = refusal(lost)
        self._fail(batch, error)

    async def _exchange(self, batch: Sequence[_Call]) -> None:
        if self._wire is not None and self._connector.astray(self._wire.connection):
            await self._drop()
        if self._wire is None:
            self._wire = Wire(await self._connector.connect(), self._timeout_s)
        commands: list[tuple[Argument, ...]] = [call.command(self._tag) for call in batch]
        wait = self._wait_ms is not None and any(call.durable for call in batch)
        if wait:
            commands.append(("WAIT", 1, self._wait_ms or 0))
        replies = await self._wire.exchange(commands)
        confirmed = not wait or _one_confirmed(replies.pop())
        await self._settle_all(batch, replies, confirmed)

    async def _settle_all(self, batch: Sequence[_Call], replies: Sequence[Any], confirmed: bool) -> None:
        for call, reply in zip(batch, replies, strict=True):
            self._settle(call, reply, confirmed)
        if any(_demoted(reply) for reply in replies):
            await self._drop()  # after a failover the name may lead to the new primary

    def _settle(self, call: _Call, reply: Any, confirmed: bool) -> None:
        if call.answer.done():  # whoever asked was cancelled
            return
        if not isinstance(reply, ReplyError):
            self._answer(call, reply, confirmed)
        elif str(reply).startswith("NOSCRIPT"):
            call.whole = True
        elif _demoted(reply) and not call.moved:
            call.moved = True
        else:
            try:
                call.answer.set_exception(refusal(reply))
            except RuntimeError as ours:
                log.exception("script %s", call.script.name)
                call.answer.set_exception(ours)

    @staticmethod
    def _answer(call: _Call, reply: Any, confirmed: bool) -> None:
        if call.durable and not confirmed:
            call.answer.set_exception(Unavailable("stored, but no replica confirmed it in time"))
        else:
            call.answer.set_result(reply)

    async def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()

    @staticmethod
    def _fail(batch: Sequence[_Call], error: BaseException) -> None:
        for call in batch:
            if not call.answer.done():
                call.answer.set_exception(error)


def _demoted(reply: Any) -> bool:
    return isinstance(reply, ReplyError) and "READONLY" in str(reply)


def _one_confirmed(waited: Any) -> bool:
    """Whether WAIT says that a replica has it. A server that became a replica itself answers with an error."""
    return isinstance(waited, int) and waited >= 1
