"""A WebSocket client of the barest kind, for tests of our connection: it sends exactly the bytes a test wants."""

import asyncio
import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from handlers.connection import Connection
from handlers.frames import Opcode

MASK = b"\x37\xfa\x21\x3d"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def client_frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, mask: bytes | None = MASK
) -> bytes:
    """A frame as a client sends it; `mask=None` leaves it unmasked."""
    size = len(payload)
    masked = 0x80 if mask is not None else 0
    head = bytes([(0x80 if final else 0) | reserved | opcode])
    if size < 126:
        head += bytes([masked | size])
    elif size < 0x10000:
        head += bytes([masked | 126]) + size.to_bytes(2)
    else:
        head += bytes([masked | 127]) + size.to_bytes(8)
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """A client's Close."""
    return client_frame(Opcode.CLOSE, code.to_bytes(2) + reason)


def request(*, headers: dict[str, str | None] | None = None, line: str = "GET /ws HTTP/1.1") -> bytes:
    """The client's half of the handshake; a header of None is left out."""
    lines = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        **(headers or {}),
    }
    return "\r\n".join([line, *(f"{k}: {v}" for k, v in lines.items() if v is not None), "", ""]).encode()


async def until(condition: Callable[[], Any], timeout_s: float = 4.0) -> Any:
    """Wait for a condition; what it gave."""
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, "the condition does not come true"
        await asyncio.sleep(0.002)
    return result


class Peer:
    """One client. Reads only when it is asked to."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._loop = asyncio.get_running_loop()
        self._came = bytearray()

    @classmethod
    async def connect(cls, address: Any, *, receive_bytes: int | None = None) -> "Peer":
        """A TCP connection without a handshake; `receive_bytes` keeps the kernel's buffer small."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await asyncio.get_running_loop().sock_connect(sock, address)
        return cls(sock)

    async def send(self, data: bytes) -> None:
        """These bytes."""
        await self._loop.sock_sendall(self.socket, data)

    async def _more(self) -> bool:
        data = await asyncio.wait_for(self._loop.sock_recv(self.socket, 65536), 15)
        self._came += data
        return bool(data)

    async def head(self) -> str:
        """The answer to the handshake."""
        while b"\r\n\r\n" not in self._came:
            assert await self._more(), f"ended within the answer: {bytes(self._came)!r}"
        head, _, rest = bytes(self._came).partition(b"\r\n\r\n")
        self._came = bytearray(rest)
        return head.decode()

    async def _exactly(self, size: int) -> bytes:
        while len(self._came) < size:
            assert await self._more(), f"ended within a frame: {bytes(self._came)!r}"
        data = bytes(self._came[:size])
        del self._came[:size]
        return data

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. A server's frames are final and not masked."""
        first, size = await self._exactly(2)
        assert first & 0xF0 == 0x80
        assert size < 0x80
        if size >= 126:
            size = int.from_bytes(await self._exactly(2 if size == 126 else 8))
        return first & 0x0F, await self._exactly(size)

    async def closed(self) -> int:
        """The code of the next frame, which has to be a Close, and the last; 1005 where it has none."""
        opcode, payload = await self.frame()
        assert opcode == Opcode.CLOSE, (opcode, payload[:60])
        return int.from_bytes(payload[:2]) if payload else 1005

    async def end(self) -> bool:
        """True: the server has ended the stream and nothing was left. False: it was reset."""
        try:
            assert not await self._more(), f"not the end: {bytes(self._came)!r}"
        except ConnectionResetError:
            return False
        return True

    def reset(self) -> None:
        """Vanish with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


class Recorder:
    """The owner of a connection in a test: keeps what it is told, does what the test asks for."""

    def __init__(self) -> None:
        self.connection: Connection
        self.messages: list[tuple[bytes, bool]] = []
        self.writable = 0
        self.codes: list[int] = []
        self.react: Callable[[bytes], Any] | None = None
        self.on_room: Callable[[], Any] | None = None
        self.on_end: Callable[[], Any] | None = None

    def on_message(self, data: bytes | bytearray, binary: bool) -> None:
        """Keep it."""
        self.messages.append((bytes(data), binary))
        if self.react is not None:
            self.react(bytes(data))

    def on_writable(self) -> None:
        """Count it."""
        self.writable += 1
        if self.on_room is not None:
            self.on_room()

    def on_close(self, code: int) -> None:
        """Keep it."""
        self.codes.append(code)
        if self.on_end is not None:
            self.on_end()

    @property
    def texts(self) -> list[str]:
        """The messages as text."""
        return [data.decode() for data, _ in self.messages]


def is_open(descriptor: int) -> bool:
    """Whether this number belongs to anything."""
    with suppress(OSError):
        os.fstat(descriptor)
        return True
    return False
