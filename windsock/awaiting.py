"""Asking a server from a coroutine: streams of asyncio, kept for the next request of the same loop."""

import asyncio
import time
from collections import deque

from windsock.calls import Call, Result
from windsock.errors import Busy, Unreachable
from windsock.http import LINE, MAX_LINE, REST, Answer, BadAnswer, Request, answer
from windsock.target import CONNECT_S, IDLE_S, KEPT, Target

_BROKEN = (OSError, BadAnswer, EOFError, ValueError)  # ValueError: a line over the limit of the stream


class Connection:
    """Owns one stream to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.idle_since = 0.0

    @classmethod
    async def open(cls, target: Target) -> "Connection":
        """Connect.

        Raises:
            OSError: nobody answers, not in time, or with a certificate that is not good.
        """
        address = target.address
        async with asyncio.timeout(CONNECT_S):
            return cls(*await asyncio.open_connection(address.host, address.port, ssl=target.context, limit=MAX_LINE))

    async def exchange(self, request: Request) -> Answer:
        """Send a request and read its answer.

        Raises:
            OSError, BadAnswer, EOFError, ValueError: it is of no use any more.
        """
        self._writer.write(request.encode())
        await self._writer.drain()
        reading = answer(request.method)
        try:
            wanted = next(reading)
            while True:
                wanted = reading.send(await self._take(wanted))
        except StopIteration as done:
            found: Answer = done.value
            return found

    async def _take(self, wanted: int) -> bytes:
        if wanted == LINE:
            return await self._reader.readline()
        return await (self._reader.read() if wanted == REST else self._reader.readexactly(wanted))

    @property
    def fresh(self) -> bool:
        """Whether it may still be used: not for long idle, and not ended by the server."""
        return time.monotonic() - self.idle_since <= IDLE_S and not (
            self._reader.at_eof() or self._reader.exception() or self._writer.is_closing()
        )

    def close(self) -> None:
        """Let go."""
        self._writer.close()


class Asker:
    """Owns the connections of one client.

    Duties in call order: `ask`, `close`. On another loop than the last it opens its own.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._idle: deque[Connection] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ask(self, call: Call[Result]) -> Result:
        """The answer to a call, asked again where that may help.

        Raises:
            Refused, Unreachable: as the server's answer, or its absence, says.
        """
        attempts = self.target.attempts(call)
        while True:
            try:
                return self.target.read(call, await self._exchange(call))
            except (Busy, Unreachable) as failure:
                delay_s = attempts.delay_s(failure, time.monotonic())
                if delay_s is None:
                    raise
            await asyncio.sleep(delay_s)

    async def _exchange(self, call: Call[Result]) -> Answer:
        request, timeout_s = self.target.request(call), self.target.answer_s(call)
        self._on_this_loop()
        kept = self._kept() if call.repeatable else None  # a kept one may be closing: what must not come twice waits
        if kept is not None:
            try:
                return await self._use(kept, request, timeout_s)
            except TimeoutError as error:
                raise self.target.unreachable(error, sent=True) from None
            except _BROKEN:
                pass  # the server closed it meanwhile
        try:
            connection = await Connection.open(self.target)
        except OSError as error:
            raise self.target.unreachable(error, sent=False) from None
        try:
            return await self._use(connection, request, timeout_s)
        except _BROKEN as error:
            raise self.target.unreachable(error, sent=True) from None

    async def _use(self, connection: Connection, request: Request, timeout_s: float) -> Answer:
        try:
            async with asyncio.timeout(timeout_s):
                found = await connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        if found.keeps and len(self._idle) < KEPT:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.close()
        return found

    def _on_this_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._idle.clear()  # they belong to a loop that is gone

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.fresh:
                return connection
            connection.close()
        return None

    async def close(self) -> None:
        """Close the connections that are idle."""
        while self._idle:
            self._idle.pop().close()
        await asyncio.sleep(0)  # a turn, in which the transports let go of their sockets
