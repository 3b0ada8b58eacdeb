"""One WebSocket connection after its upgrade: RFC 6455 on a socket of our own.

`docs/design/connection.md` says why, and lists what holds at all times.
"""

import asyncio
import logging
import socket
import struct
from contextlib import suppress
from typing import Protocol

from handlers.frames import FrameError, Opcode, Parser, Status, build_close, parse_close
from handlers.sending import Sending, Wire

log = logging.getLogger("windsock.connection")
# A read takes little, so that one turn of the loop parses few frames of a flood; within a long frame it takes much.
READ_BYTES = 4096
LONG_READ_BYTES = 256 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, and free what the kernel holds


class Owner(Protocol):
    """Who is told. `on_close` may come from within `start`, `send`, `ping`, `close` and `abort`."""

    def on_message(self, data: bytes | bytearray, binary: bool) -> None:
        """A whole message; a text is valid UTF-8."""

    def on_writable(self) -> None:
        """`pending` has come back to 0."""

    def on_close(self, code: int) -> None:
        """The socket is closed. `code` is that of the first Close in either direction, 1006 if there was none."""


class Connection(Sending):
    """Owns one client: its socket, its parser, and the state of the close handshake.

    Duties in call order: `start`, `send` and `ping`, `pause` and `resume`, `close` or `abort`. It has no task, and no
    timer unless it closes: its owner sweeps over `last_read` and, where bytes are `pending`, `last_write_progress`.
    """

    __slots__ = (
        "_close_s",
        "_deaf",
        "_owner",
        "_parser",
        "_paused",
        "_timer",
        "close_code",
        "close_reason",
        "last_read",
    )

    def __init__(self, sock: Wire, parser: Parser, *, first: bytes = b"", close_s: float = 5.0) -> None:
        """Take a non-blocking socket over. Needs a running loop; nothing happens before `start`.

        Args:
            sock: nobody else may use it from now on.
            parser: fed with what has been read already.
            first: goes out before everything else: the answer to the handshake.
            close_s: seconds a close handshake may take.
        """
        super().__init__(sock, first)
        self._parser = parser
        self._owner: Owner | None = None
        self._deaf = False  # the peer has closed or failed: what it still sends is thrown away
        self._paused = False
        self._close_s = close_s
        self._timer: asyncio.TimerHandle | None = None  # only while closing
        self.close_code = 0  # of the first Close in either direction; 0 before it
        self.close_reason = ""  # what was said with it; where the peer closed: its words, so nothing to trust
        self.last_read = self.last_write_progress  # monotonic seconds

    @property
    def max_message_bytes(self) -> int:
        """The limit of one message; it may be raised within `on_message` and holds for the very next one."""
        return self._parser.max_bytes

    @max_message_bytes.setter
    def max_message_bytes(self, value: int) -> None:
        self._parser.max_bytes = value

    def start(self, owner: Owner) -> None:
        """Write the answer to the handshake, take the messages that came behind it, and listen."""
        first, self._tail = self._tail, b""
        self._owner = owner
        self.open = True
        self._watch_reads()
        if first:
            self._write(first)
        self._receive()

    # what is read

    def pause(self) -> None:
        """Take no more messages for now, and no control frames: a client that does not read is not read."""
        if self.open and not self._paused:
            self._paused = True
            self._unwatch_reads()

    def resume(self) -> None:
        """Go on."""
        if self._paused and self._socket is not None:
            self._paused = False
            self._watch_reads()
            self._loop.call_soon(self._receive)  # what was read before the pause; not from within a message

    def _on_readable(self) -> None:
        assert self._socket is not None
        long = self._deaf or self._parser.wanted > READ_BYTES
        try:
            data = self._socket.recv(LONG_READ_BYTES if long else READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop()
            return
        self.last_read = self._loop.time()
        if not self._deaf:
            self._parser.feed(data)
            self._receive()

    def _receive(self) -> None:
        """Act on what was read, until it is used up or nobody listens any more."""
        try:
            while not (self._deaf or self._paused):
                event = self._parser.next()
                if event is None:
                    break
                self._act(*event)
        except FrameError as error:
            self._listen_no_more(error.code, error.reason, build_close(error.code, error.reason))

    def _act(self, opcode: Opcode, payload: bytes | bytearray) -> None:
        if opcode is Opcode.CLOSE:
            code, reason = parse_close(payload)
            self._listen_no_more(code, reason, build_close(code))
        elif not self.open:
            return  # our Close is out: nothing but the peer's is of interest
        elif opcode is Opcode.PING:
            self._answer(bytes(payload))
        elif opcode is not Opcode.PONG:
            self._tell_message(payload, opcode is Opcode.BINARY)

    # the end

    def close(self, code: int = Status.NORMAL, reason: str = "", farewell: bytes = b"") -> None:
        """Begin the close handshake (section 7.1.2). Nothing can be sent from here on; `on_close` follows in `close_s`.

        Args:
            code: what the peer is told, and what `on_close` will tell.
            reason: at most 123 bytes of it are sent.
            farewell: a prebuilt frame that goes right before the Close.
        """
        if self.open:
            self._say_last(code, reason, farewell + build_close(code, reason))
            self.resume()

    def _listen_no_more(self, code: int, reason: str, frame: bytes) -> None:
        """The peer has closed (section 5.5.1), or it has failed (section 7.1.7): the same from here on."""
        self._deaf = True
        self._parser.clear()
        if self.open:
            self._say_last(code, reason, frame)
        elif not self.pending:
            self._written()

    def _say_last(self, code: int, reason: str, data: bytes) -> None:
        """Send or queue what is said last; from now on the clock runs."""
        self.open = False
        self.close_code = int(code)
        self.close_reason = reason
        self._timer = self._loop.call_later(self._close_s, self.abort)
        self._write_last(data)

    def _written(self) -> None:
        if self.open:
            self._tell_writable()
        elif self._deaf:
            self._end_writing()

    def _end_writing(self) -> None:
        """Both sides have closed, or the peer has failed: say that nothing follows, and wait until it says so too.

        Closing at once would meet what it still sends with a reset, which may overtake our Close (section 7.1.1).
        """
        assert self._socket is not None
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop()

    def abort(self) -> None:
        """Close the socket at once. What is pending is lost, in the kernel too."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._drop()

    def _drop(self) -> None:
        """The end of the socket. Whoever is told of it finds nothing left to use."""
        sock, self._socket = self._socket, None
        assert sock is not None
        self._release(sock)
        self._forget()
        self._deaf = True
        self._parser.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.close_code = self.close_code or Status.ABNORMAL
        self._tell_close()

    # the socket in the loop; `handlers.secure` has its own

    def _watch_reads(self) -> None:
        assert self._socket is not None
        # By its number: asyncio asks first whether it is known, and the error that says no describes the whole socket.
        self._loop.add_reader(self._socket.fileno(), self._on_readable)

    def _unwatch_reads(self) -> None:
        assert self._socket is not None
        self._loop.remove_reader(self._socket)

    def _release(self, sock: Wire) -> None:
        """Out of the loop before the descriptor is given back: events of this turn that still wait are void."""
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)
        sock.close()

    # the owner's mistakes end its connection and nothing else

    def _tell_message(self, data: bytes | bytearray, binary: bool) -> None:
        assert self._owner is not None
        try:
            self._owner.on_message(data, binary)
        except Exception:
            log.exception("a message could not be handled")
            self.close(Status.INTERNAL_ERROR)

    def _tell_writable(self) -> None:
        assert self._owner is not None
        try:
            self._owner.on_writable()
        except Exception:
            log.exception("the next thing to write could not be found")
            self.close(Status.INTERNAL_ERROR)

    def _tell_close(self) -> None:
        owner, self._owner = self._owner, None
        try:
            if owner is not None:
                owner.on_close(self.close_code)
        except Exception:
            log.exception("the end of a connection could not be handled")
