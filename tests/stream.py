"""A WebSocket client for tests: sends frames, keeps what came, waits for what should come."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from server.codec import JSON, MSGPACK, Codec
from server.protocol import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK

Frame = dict[str, Any]


class Stream:
    """One connection. `frames` holds all that came, in order."""

    def __init__(self, connection: WebSocketClientConnection, codec: Codec) -> None:
        self.connection = connection
        self.codec = codec
        self.frames: list[Frame] = []
        self._looked = 0
        self._over = False

    @classmethod
    async def open(
        cls,
        url: str,
        codec: str = "json",
        hello: "list[Frame] | bool | None" = None,
        headers: "dict[str, str] | None" = None,
    ) -> "Stream":
        """Connect and say hello with some subscribes; `hello=False` says nothing."""
        protocol = SUBPROTOCOL_MSGPACK if codec == "msgpack" else SUBPROTOCOL_JSON
        request = HTTPRequest(url, headers=headers or {})
        connection = await websocket_connect(request, subprotocols=[protocol])
        stream = cls(connection, MSGPACK if codec == "msgpack" else JSON)
        if hello is not False:
            await stream.send({"type": "hello", "subscribe": hello or []})
        return stream

    async def send(self, *frames: Frame) -> None:
        """One message with these frames."""
        await self.raw(self.codec.encode(list(frames)))

    async def raw(self, data: bytes, binary: bool | None = None) -> None:
        """One message of these bytes."""
        binary = self.codec.binary if binary is None else binary
        await self.connection.write_message(data if binary else data.decode(), binary=binary)

    async def _read(self, timeout_s: float) -> bool:
        async with asyncio.timeout(timeout_s):  # `wait_for` of 3.11 swallows a cancel that comes with a message
            message = await self.connection.read_message()
        if message is None:
            self._over = True
            return False
        self.frames += self.codec.decode(message if isinstance(message, bytes) else message.encode())
        return True

    async def until(self, wanted: "str | Callable[[Frame], Any]", timeout_s: float = 5.0, **fields: Any) -> Frame:
        """The next frame (after the last one asked for) of this type and with these fields."""
        deadline = asyncio.get_running_loop().time() + timeout_s

        def fits(frame: Frame) -> bool:
            hit = frame["type"] == wanted if isinstance(wanted, str) else bool(wanted(frame))
            return hit and all(frame.get(name) == value for name, value in fields.items())

        while True:
            while self._looked < len(self.frames):
                frame = self.frames[self._looked]
                self._looked += 1
                if fits(frame):
                    return frame
            left = deadline - asyncio.get_running_loop().time()
            try:
                alive = left > 0 and await self._read(left)
            except TimeoutError:
                alive = False
            assert alive, f"no {wanted} {fields}; closed with {self.connection.close_code}; came: {self.frames}"

    async def closed(self, timeout_s: float = 5.0) -> int | None:
        """The close code, when the server has closed."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while await self._read(deadline - asyncio.get_running_loop().time()):
            pass
        return self.connection.close_code

    def of(self, sub: int) -> list[Frame]:
        """All frames of a subscription."""
        return [frame for frame in self.frames if frame.get("sub") == sub]

    async def close(self) -> None:
        """Hang up, and read what is still to come: Tornado's client ends only when it is read to the end."""
        self.connection.close()
        if not self._over:
            with suppress(TimeoutError):
                await self.closed(1.0)
