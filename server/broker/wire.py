"""The bytes of one connection, once redis-py has made it: commands out, replies in.

redis-py connects (address, TLS, password, database), then its transport is handed over. Its call path costs about 70 µs
of CPU for each awaited command, whatever the parser; this one hands a batch to the transport and reads the replies
where they arrive.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection

Argument = bytes | str | int | float
ReplyError = hiredis.ReplyError
pack_command: Callable[[tuple[Argument, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # stub: of one


class Wire(asyncio.Protocol):
    """One batch at a time: `exchange` sends it and answers with its replies, errors among them as values."""

    def __init__(self, connection: AbstractConnection, timeout_s: float) -> None:
        self.connection = connection  # its end would close the transport under us
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._replies: list[Any] = []
        self._wanted = 0
        self._done: Callable[[list[Any] | Exception], None] | None = None  # who waits for them
        self._timer: asyncio.TimerHandle | None = None
        self.lost: Exception | None = None  # why nothing can be sent any more
        writer = connection._writer  # redis-py gives no other way to its transport
        assert writer is not None
        self._transport = writer.transport
        self._transport.set_protocol(self)

    def exchange(self, commands: Sequence[tuple[Argument, ...]]) -> "asyncio.Future[list[Any]]":
        """Send commands; the future has a reply for each, in order.

        Raises (through the future):
            ConnectionError, TimeoutError: it broke, or no answer came in time. It is of no use any more.
        """
        answer: asyncio.Future[list[Any]] = self._loop.create_future()

        def done(outcome: list[Any] | Exception) -> None:
            if answer.done():
                return
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        self.send(commands, done)
        return answer

    def send(self, commands: Sequence[tuple[Argument, ...]], done: Callable[[list[Any] | Exception], None]) -> None:
        """The same without a future, which costs a turn of the loop: `done` gets the replies, or why there are none."""
        packed = b"".join([pack_command(command) for command in commands])
        if self.lost is not None:
            done(self.lost)
            return
        self._done, self._wanted, self._replies = done, len(commands), []
        self._timer = self._loop.call_later(self._timeout_s, self._late)
        self._transport.write(packed)

    def data_received(self, data: bytes) -> None:
        """Replies, or parts of them."""
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            self._replies.append(reply)
        if self._done is not None and len(self._replies) >= self._wanted:
            self._settle(self._replies)

    def _settle(self, outcome: list[Any] | Exception) -> None:
        done, self._done = self._done, None
        if self._timer is not None:
            self._timer.cancel()
        if done is not None:
            done(outcome)

    def _late(self) -> None:
        self._break(TimeoutError(f"no answer within {self._timeout_s:g} s"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Redis has hung up."""
        self._break(ConnectionError(str(exc) if exc else "Redis has closed the connection"))

    def _break(self, why: Exception) -> None:
        if self.lost is None:
            self.lost = why
        self._transport.abort()
        self._settle(why)

    async def close(self) -> None:
        """Hang up."""
        self._break(ConnectionError("closed"))
        await self.connection.disconnect(nowait=True)
