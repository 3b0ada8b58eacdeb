"""A WebSocket by hand: frames no well-behaved client would send, and a client that does not read."""

import asyncio
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING = 0x1, 0x2, 0x8, 0x9


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, length: int | None = None) -> bytes:
    """One masked frame; `length` may claim more than there is."""
    claimed = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | opcode])
    if claimed < 126:
        head += bytes([0x80 | claimed])
    elif claimed < 65536:
        head += bytes([0x80 | 126]) + struct.pack("!H", claimed)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", claimed)
    return head + b"\0\0\0\0" + payload


class RawSocket:
    """One connection after the handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, protocol: str = "windsock.v1.json", *, small: bool = False) -> "RawSocket":
        """Connect; `small` takes as little as the kernel lets it."""
        sock = socket.socket()
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=4096 if small else 65536)
        key = os.urandom(12).hex()[:22] + "=="
        writer.write(
            f"GET /api/stream HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Protocol: {protocol}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return cls(reader, writer)

    def write(self, data: bytes) -> None:
        """These bytes, as they are."""
        self._writer.write(data)

    async def drain(self) -> None:
        """Until the kernel has them."""
        await self._writer.drain()

    async def read(self) -> tuple[int, bytes] | None:
        """The next frame's opcode and payload; None when the connection is over."""
        try:
            first, second = await self._reader.readexactly(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", await self._reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self._reader.readexactly(8))
            return first & 0x0F, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def close_code(self, timeout_s: float = 5.0) -> int | None:
        """The code the server closes with; None when it just hangs up."""
        async with asyncio.timeout(timeout_s):
            while (got := await self.read()) is not None:
                if got[0] == CLOSE:
                    return int(struct.unpack("!H", got[1][:2])[0]) if got[1] else 1005
        return None

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
