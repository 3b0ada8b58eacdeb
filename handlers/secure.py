"""A WebSocket connection over TLS: the same, on the IOStream that Tornado made."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from tornado.iostream import IOStream

from handlers.connection import Connection
from handlers.sending import Wire

RECORD = 16 * 1024  # bytes of a TLS record


class StreamWire:
    """An IOStream with the face of a non-blocking socket: want-read and want-write of TLS stay the stream's business.

    At most one record in each direction is in its hands: up to 16 KiB that were sent may not be in the kernel's yet.
    """

    __slots__ = ("_data", "_on_readable", "_on_writable", "_reading", "_stream", "_waiting", "_written")

    def __init__(self, stream: IOStream) -> None:
        self._stream = stream
        self._data: bytes | None = None  # read, and not taken yet
        self._reading = False  # a read of the stream is under way
        self._written: asyncio.Future[None] | None = None  # the last write
        self._waiting = False  # `_wrote` will be called
        self._on_readable: Callable[[], None] | None = None
        self._on_writable: Callable[[], None] | None = None

    def fileno(self) -> int:
        """The descriptor."""
        return int(self._stream.socket.fileno())

    def send(self, data: bytes | memoryview, /) -> int:
        """Give one record to the stream; BlockingIOError while it holds another."""
        if self._stream.writing():
            raise BlockingIOError
        piece = data[:RECORD]
        self._written = self._stream.write(piece)
        return len(piece)

    def recv(self, size: int, /) -> bytes:
        """What was read, at most one record whatever `size` says; empty at the end."""
        data, self._data = self._data, None
        if data is None:
            raise BlockingIOError
        return data

    def shutdown(self, how: int, /) -> None:
        """Say on TCP that nothing more is sent. SSLSocket's own `shutdown` would read on without decrypting."""
        if self._stream.writing():
            assert self._written is not None
            self._written.add_done_callback(lambda _: self._shut(how))
        else:
            self._shut(how)

    def _shut(self, how: int) -> None:
        if not self._stream.closed():
            with suppress(OSError):
                socket.socket.shutdown(self._stream.socket, how)

    def setsockopt(self, level: int, name: int, value: bytes, /) -> None:
        """Change an option."""
        if not self._stream.closed():
            self._stream.socket.setsockopt(level, name, value)

    def close(self) -> None:
        """Close the stream; nobody is called any more."""
        self._on_readable = self._on_writable = None
        self._stream.close()

    def watch_reads(self, callback: Callable[[], None] | None) -> None:
        """Call whenever something was read, or the end has come; None to stop."""
        self._on_readable = callback
        if callback is not None:
            asyncio.get_running_loop().call_soon(self._offer)

    def _offer(self) -> None:
        if self._data is not None and self._on_readable is not None:
            self._on_readable()
        if self._data is None and self._on_readable is not None and not self._reading:
            self._read()

    def _read(self) -> None:
        try:
            read = self._stream.read_bytes(RECORD, partial=True)
        except OSError:
            self._data = b""
            asyncio.get_running_loop().call_soon(self._offer)
        else:
            self._reading = True
            asyncio.ensure_future(read).add_done_callback(self._arrived)

    def _arrived(self, read: asyncio.Future[bytes]) -> None:
        self._reading = False
        self._data = b"" if read.cancelled() or read.exception() else read.result()
        self._offer()

    def watch_writes(self, callback: Callable[[], None] | None) -> None:
        """Call whenever another record may be sent; None to stop."""
        self._on_writable = callback
        self._wait()

    def _wait(self) -> None:
        if self._waiting or self._on_writable is None:
            return
        self._waiting = True
        if self._written is not None and self._stream.writing():
            self._written.add_done_callback(self._wrote)
        else:
            asyncio.get_running_loop().call_soon(self._wrote)

    def _wrote(self, written: asyncio.Future[None] | None = None) -> None:
        self._waiting = False
        if self._on_writable is not None:
            self._on_writable()
            self._wait()


class SecureConnection(Connection):
    """Owns one client over TLS. What it allocates per frame is the stream's: a future, at least."""

    __slots__ = ()

    @property
    def _wire(self) -> StreamWire:
        assert isinstance(self._socket, StreamWire)
        return self._socket

    def _watch_reads(self) -> None:
        self._wire.watch_reads(self._on_readable)

    def _unwatch_reads(self) -> None:
        self._wire.watch_reads(None)

    def _watch_writes(self) -> None:
        self._wire.watch_writes(self._on_writable)

    def _unwatch_writes(self) -> None:
        self._wire.watch_writes(None)

    def _release(self, sock: Wire) -> None:
        sock.close()
