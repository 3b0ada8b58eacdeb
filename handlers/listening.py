"""Sockets that listen: a few connections a turn of the loop, and quick words for those who cannot come in now."""

import errno
import logging
import re
import socket
import struct
import sys
from contextlib import suppress
from http.client import responses
from typing import Any

from tornado.ioloop import IOLoop

from handlers.gate import Gate, Reason
from handlers.problem import MEDIA_TYPE, problem, retry_after
from server.codec import JSON
from server.errors import WindsockError

log = logging.getLogger("windsock.listening")
# One costs about half a millisecond until its client is live; those who are connected wait no longer than for these.
ACCEPTS = 8  # in a turn of the loop
REFUSALS = 128  # the same; they cost little
REST_S = 0.2  # when there is no descriptor left
TELL_S = 10.0
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
WEBSOCKET = re.compile(rb"GET /api/stream[ ?]")
LONG_LIVED = re.compile(rb"GET /api/(stream|jobs/[A-Za-z0-9]+/events)[ ?]")
HEAD_BYTES = 16 * 1024  # a longer request goes the long way
LAST_DATA_RECEIVED = struct.Struct("=52xI")  # in Linux's struct tcp_info: milliseconds


class Listening(socket.socket):
    """A listening socket as Tornado wants one, whose `accept` keeps the measure.

    Left to itself Tornado accepts 128 connections in a turn, which keeps the loop from everybody else for that long,
    and where no descriptor is left it tries again at once, for ever, with a traceback each time.
    """

    def __init__(self, bound: socket.socket, gate: Gate) -> None:
        """Take over a socket that listens."""
        super().__init__(bound.family, bound.type, bound.proto, fileno=bound.detach())
        self.setblocking(False)
        self._gate = gate
        self._accepted = self._refused = 0  # in this turn
        self._told = -TELL_S

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection that may come in.

        Raises:
            BlockingIOError: none waits, or it is enough for this turn.
        """
        while self._accepted < ACCEPTS and self._refused < REFUSALS:
            connection, address = self._next()
            if not self._turn_away(connection):
                self._accepted += 1
                return connection, address
            self._refused += 1
        self._accepted = self._refused = 0
        raise BlockingIOError

    def _next(self) -> tuple[socket.socket, Any]:
        try:
            return super().accept()
        except BlockingIOError:
            self._accepted = self._refused = 0
            self._gate.emptied()
            raise
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            self._rest(error)
            raise BlockingIOError from None

    def _turn_away(self, connection: socket.socket) -> bool:
        """Whether it was answered already: with 503, at a fraction of what it costs as a request."""
        now = IOLoop.current().time()
        reason = self._gate.judge(waited_s(connection), now)
        if reason is None:
            return False
        # A browser's EventSource never comes back from a 503 (HTML standard, section 9.2.2): only where it must be.
        if not _asks_for(LONG_LIVED if reason is Reason.FULL else WEBSOCKET, connection):
            return False
        _answer(connection, self._gate.refusal(reason, now))
        return True

    def _rest(self, error: OSError) -> None:
        """Whoever waits stays in the kernel's queue until there are descriptors again."""
        loop = IOLoop.current()
        self._accepted = self._refused = 0
        self._gate.exhausted()
        if loop.time() - self._told >= TELL_S:
            self._told = loop.time()
            log.error("no connection can be accepted: %s; allow more descriptors (ulimit -n)", error.strerror)
        loop.update_handler(self, 0)
        loop.call_later(REST_S, self._go_on)

    def _go_on(self) -> None:
        if self.fileno() != -1:
            IOLoop.current().update_handler(self, IOLoop.READ)


def waited_s(connection: socket.socket) -> float:
    """How long a connection, or what came over it, has waited; 0 where the system does not tell."""
    if sys.platform != "linux":
        return 0.0
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_DATA_RECEIVED.size)
    except OSError:
        return 0.0
    return float(LAST_DATA_RECEIVED.unpack(info)[0]) / 1000


def _asks_for(wanted: re.Pattern[bytes], connection: socket.socket) -> bool:
    """Whether its whole request is there and begins like this; then it is taken, else it is left."""
    try:
        head = connection.recv(HEAD_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        if not wanted.match(head) or not head.endswith(b"\r\n\r\n"):
            return False
        connection.recv(len(head))  # closed over bytes nobody read, the connection would be reset, the answer lost
    except OSError:
        return False
    return True


def _answer(connection: socket.socket, error: WindsockError) -> None:
    body = JSON.encode(problem(error))
    head = (
        f"HTTP/1.1 {error.status} {responses[error.status]}\r\nContent-Type: {MEDIA_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: {retry_after(error)}\r\nCache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    with connection, suppress(OSError):  # it may have gone
        connection.send(head.encode("ascii") + body, socket.MSG_DONTWAIT)
