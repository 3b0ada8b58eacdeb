"""The half of a WebSocket connection that writes: prebuilt frames straight into the socket, in order."""

import asyncio
from typing import Protocol

from handlers.frames import Opcode, build

PING = build(Opcode.PING)


class Wire(Protocol):
    """The part of a non-blocking socket that a connection uses."""

    def fileno(self) -> int:
        """The descriptor."""

    def send(self, data: bytes | memoryview, /) -> int:
        """Give some of `data` to the kernel; BlockingIOError where it takes none."""

    def recv(self, size: int, /) -> bytes:
        """What has come; empty at the end."""

    def shutdown(self, how: int, /) -> None:
        """Say that nothing more is sent."""

    def setsockopt(self, level: int, name: int, value: bytes, /) -> None:
        """Change an option."""

    def close(self) -> None:
        """Give the descriptor back."""


class Sending:
    """Owns the socket of one client, and what the kernel has not taken yet.

    While a remainder is pending nothing else is written. What has to wait for it is bounded: one pong, one ping, and
    the last words with the Close, in this order.
    """

    __slots__ = (
        "_loop",
        "_ping",
        "_pong",
        "_rest",
        "_socket",
        "_tail",
        "last_write_progress",
        "open",
        "pending",
    )

    def __init__(self, sock: Wire, first: bytes) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket: Wire | None = sock  # None from the moment it is closed
        self._rest: memoryview | None = None  # of what is being written, what the kernel has not taken
        self._pong = self._ping = b""  # queued behind it
        self._tail = first  # queued last: it ends with the Close (before the start: the answer to the handshake)
        self.open = False  # messages can be sent, and come
        self.pending = 0  # bytes that the kernel has not taken, queued ones included
        self.last_write_progress = self._loop.time()  # monotonic seconds; of interest while bytes are pending

    def send(self, frame: bytes) -> bool:
        """Write one prebuilt frame; its bytes may be shared between connections.

        Returns:
            True: the kernel has all of it. False: the rest is `pending`, or the connection is not `open` (any more).

        Raises:
            RuntimeError: bytes are `pending` already; the frame was not taken.
        """
        if self.pending:
            raise RuntimeError(f"{self.pending} bytes are pending")
        if not self.open:
            return False
        assert self._socket is not None
        try:  # as `_write`, without a call: this is what each frame to each client costs
            sent = self._socket.send(frame)
        except OSError as error:
            return self._refused(frame, error)
        return sent == len(frame) or self._keep(frame, sent)

    def ping(self) -> None:
        """Ask for a sign of life; behind a remainder at most one ping waits."""
        if not self.open or self._ping:
            return
        if self.pending:
            self._ping = PING
            self.pending += len(PING)
        else:
            self._write(PING)

    def _answer(self, payload: bytes) -> None:
        """Pong (section 5.5.3): of the pings that came behind a remainder, the last one is answered."""
        frame = build(Opcode.PONG, payload)
        if self.pending:
            self.pending += len(frame) - len(self._pong)
            self._pong = frame
        else:
            self._write(frame)

    def _write_last(self, data: bytes) -> None:
        """The last words. The caller has seen to it that nothing follows."""
        if self.pending:
            self._tail = data
            self.pending += len(data)
        elif self._write(data):
            self._written()

    def _write(self, data: bytes) -> bool:
        assert self._socket is not None
        try:
            sent = self._socket.send(data)
        except OSError as error:
            return self._refused(data, error)
        return sent == len(data) or self._keep(data, sent)

    def _refused(self, data: bytes, error: OSError) -> bool:
        if isinstance(error, BlockingIOError):
            return self._keep(data, 0)
        self._drop()
        return False

    def _keep(self, data: bytes, sent: int) -> bool:
        """The kernel has taken so many bytes; the others wait until it takes more."""
        self._rest = memoryview(data)[sent:]
        self.pending = len(self._rest)
        self.last_write_progress = self._loop.time()
        self._watch_writes()
        return False

    def _on_writable(self) -> None:
        """The kernel takes more of the remainder."""
        assert self._socket is not None
        assert self._rest is not None
        try:
            sent = self._socket.send(self._rest)
        except BlockingIOError:
            return
        except OSError:
            self._drop()
            return
        self.last_write_progress = self._loop.time()
        self.pending -= sent
        self._rest = self._rest[sent:]
        if self._rest:
            return
        if self.pending:
            self._rest = memoryview(self._pong + self._ping + self._tail)
            self._pong = self._ping = self._tail = b""
            return
        self._rest = None
        self._unwatch_writes()
        self._written()

    def _forget(self) -> None:
        """Nothing will be written any more."""
        self.open = False
        self.pending = 0
        self._rest = None
        self._pong = self._ping = self._tail = b""

    def _written(self) -> None:
        """All that was owed is in the kernel's hands."""
        raise NotImplementedError

    def _drop(self) -> None:
        """The socket is of no use any more: close it."""
        raise NotImplementedError

    def _watch_writes(self) -> None:
        assert self._socket is not None
        self._loop.add_writer(self._socket, self._on_writable)

    def _unwatch_writes(self) -> None:
        assert self._socket is not None
        self._loop.remove_writer(self._socket)
