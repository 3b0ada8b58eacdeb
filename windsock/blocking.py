"""Asking a server from threads that wait: sockets, kept for the next request, of any thread."""

import os
import select
import socket
import time
from collections import deque

from windsock.calls import Call, Result
from windsock.errors import Busy, Unreachable
from windsock.http import LINE, MAX_LINE, Answer, BadAnswer, Request, answer
from windsock.target import CONNECT_S, IDLE_S, KEPT, Target


class Connection:
    """Owns one socket to the server."""

    def __init__(self, target: Target) -> None:
        address = target.address
        sock = socket.create_connection((address.host, address.port), timeout=CONNECT_S)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = sock
            if target.context is not None:
                self._socket = target.context.wrap_socket(sock, server_hostname=address.host)
        except BaseException:
            sock.close()
            raise
        self._file = self._socket.makefile("rb")
        self.idle_since = 0.0

    def exchange(self, request: Request, timeout_s: float) -> Answer:
        """Send a request and read its answer.

        Raises:
            OSError, BadAnswer: it is of no use any more.
        """
        deadline = time.monotonic() + timeout_s
        self._socket.settimeout(timeout_s)
        self._socket.sendall(request.encode())
        reading = answer(request.method)
        try:
            wanted = next(reading)
            while True:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                wanted = reading.send(self._take(wanted))
        except StopIteration as done:
            found: Answer = done.value
            return found

    def _take(self, wanted: int) -> bytes:
        if wanted == LINE:
            return self._file.readline(MAX_LINE)
        data = self._file.read(wanted)
        if len(data) < wanted:
            raise ConnectionResetError("cut off")
        return data

    @property
    def fresh(self) -> bool:
        """Whether it may still be used: not for long idle, and nothing to read, the end included."""
        if time.monotonic() - self.idle_since > IDLE_S:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Let go."""
        self._file.close()
        self._socket.close()


class Asker:
    """Owns the connections of one client.

    Duties in call order: `ask` from any thread, `close`. After a fork the child opens its own.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._idle: deque[Connection] = deque()  # its append and pop are atomic; a lock could be held over a fork
        self._pid = os.getpid()

    def ask(self, call: Call[Result]) -> Result:
        """The answer to a call, asked again where that may help.

        Raises:
            Refused, Unreachable: as the server's answer, or its absence, says.
        """
        attempts = self.target.attempts(call)
        while True:
            try:
                return self.target.read(call, self._exchange(call))
            except (Busy, Unreachable) as failure:
                delay_s = attempts.delay_s(failure, time.monotonic())
                if delay_s is None:
                    raise
            time.sleep(delay_s)

    def _exchange(self, call: Call[Result]) -> Answer:
        request, timeout_s = self.target.request(call), self.target.answer_s(call)
        kept = self._kept() if call.repeatable else None  # a kept one may be closing: what must not come twice waits
        if kept is not None:
            try:
                return self._use(kept, request, timeout_s)
            except TimeoutError as error:
                raise self.target.unreachable(error, sent=True) from None
            except (OSError, BadAnswer):
                pass  # the server closed it meanwhile
        try:
            connection = Connection(self.target)
        except OSError as error:
            raise self.target.unreachable(error, sent=False) from None
        try:
            return self._use(connection, request, timeout_s)
        except (OSError, BadAnswer) as error:
            raise self.target.unreachable(error, sent=True) from None

    def _use(self, connection: Connection, request: Request, timeout_s: float) -> Answer:
        try:
            found = connection.exchange(request, timeout_s)
        except BaseException:
            connection.close()
            raise
        if found.keeps and len(self._idle) < KEPT:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.close()
        return found

    def _kept(self) -> Connection | None:
        if self._pid != os.getpid():  # the parent's: two would read from one socket
            self.close()
            self._pid = os.getpid()  # last: until it says so, no other thread takes one of the parent's
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.fresh:
                return connection
            connection.close()

    def close(self) -> None:
        """Close the connections that are idle; the client may be used again."""
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return
