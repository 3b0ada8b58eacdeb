"""The bytes of a connection that listens, once redis-py has made it: each message is handed on where it arrives.

redis-py reads a message by a task that waits under a timeout, which costs some turns of the loop and most of the
microseconds between a wake-up and the claim that answers it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import hiredis
from redis.asyncio.connection import AbstractConnection

from server.broker.connection import refusal
from server.broker.wire import ReplyError, pack_command

TURN = 100  # messages handled before the loop gets a turn


class Ear(asyncio.Protocol):
    """Owns a connection from its SUBSCRIBE on. `on_message(channel, data)` is a plain function that never raises."""

    def __init__(self, connection: AbstractConnection, on_message: Callable[[str, bytes], None]) -> None:
        self._connection = connection  # its end would close the transport under us
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._confirmed: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._awaited = 0  # confirmations
        self._listening = False  # until then messages are kept
        self._paused = False
        writer = connection._writer  # redis-py gives no other way to its transport
        assert writer is not None
        self._transport = cast(asyncio.Transport, writer.transport)
        self._transport.set_protocol(self)

    async def subscribe(self, channels: Sequence[str], timeout_s: float) -> None:
        """Begin to listen.

        Raises:
            Unavailable, ConnectionError, TimeoutError: Redis refuses, hangs up, or does not answer.
        """
        self._awaited = len(channels)
        self._transport.write(pack_command(("SUBSCRIBE", *channels)))
        async with asyncio.timeout(timeout_s):
            await self._confirmed

    async def listen(self) -> None:
        """Hand on messages, those that have come since `subscribe` first; return never.

        Raises:
            ConnectionError: it has ended.
        """
        self._listening = True
        self._hand_on()
        await self._ended

    def data_received(self, data: bytes) -> None:
        """Messages, or parts of them."""
        self._reader.feed(data)
        if not self._paused:
            self._hand_on()

    def _hand_on(self) -> None:
        self._paused = False
        for _ in range(TURN):
            if not (self._awaited or self._listening):
                return
            try:
                reply = self._reader.gets()
            except hiredis.ProtocolError as error:
                self._end(ConnectionError(str(error)))
                return
            if reply is False:
                self._transport.resume_reading()
                return
            self._take(reply)
        self._paused = True
        self._transport.pause_reading()
        self._loop.call_soon(self._hand_on)

    def _take(self, reply: object) -> None:
        if isinstance(reply, list) and len(reply) == 3 and reply[0] == b"message":
            self._on_message(reply[1].decode(), reply[2])
        elif isinstance(reply, ReplyError):
            self._fail(refusal(reply))
        else:
            self._awaited -= 1
            if self._awaited == 0 and not self._confirmed.done():
                self._confirmed.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Redis has hung up."""
        self._end(ConnectionError(str(exc) if exc else "Redis has closed the connection"))

    def _end(self, why: Exception) -> None:
        self._transport.abort()
        self._fail(why)

    def _fail(self, why: Exception) -> None:
        for future in (self._confirmed, self._ended):
            if not future.done():
                future.set_exception(why)
                future.exception()  # seen: only one of them is awaited

    def hang_up(self) -> None:
        """End it, as if Redis had: `listen` raises."""
        self._end(ConnectionError("the connection was given up"))

    async def close(self) -> None:
        """Hang up for good."""
        self.hang_up()
        await self._connection.disconnect(nowait=True)
