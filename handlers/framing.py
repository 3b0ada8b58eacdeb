"""RFC 6455 as Tornado speaks it, with our close codes where Tornado would just hang up.

Tornado hangs up on a message over the limit and on text that is not UTF-8. A client that sees no code comes back and
sends the same again, for ever.
"""

import asyncio
from contextlib import suppress
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketProtocol13

from server.protocol import CloseCode

TEXT = 0x1
TOO_BIG = 1009  # what Tornado closes with when a message is over its limit
LINGER_S = 2.0  # a client that is still sending gets this long to notice that it was refused
CHUNK = 64 * 1024


class StreamProtocol(WebSocketProtocol13):
    """One connection's frames."""

    handler: Any  # Tornado's delegate, with `on_text` and `end`

    def __init__(self, handler: Any, params: Any) -> None:
        super().__init__(handler, False, params)
        self._overfull = False

    def limit(self, max_bytes: int) -> None:
        """Messages may have this many bytes from now on."""
        self.params.max_message_size = max_bytes

    def _handle_message(self, opcode: int, data: bytes) -> Any:
        if opcode != TEXT:
            return super()._handle_message(opcode, data)
        if not self.client_terminated:
            self.handler.on_text(data)
        return None

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Close; where a message was too large, with our code."""
        if code == TOO_BIG:
            self._overfull = True
            self.handler.end(CloseCode.FRAME_TOO_LARGE, f"a message may have {self.params.max_message_size} bytes")
        else:
            super().close(code, reason)

    def _abort(self) -> None:
        if not self._overfull:
            super()._abort()

    async def _receive_frame(self) -> None:
        await super()._receive_frame()
        if self._overfull:
            await self._discard()
            self._overfull = False
            self._abort()

    async def _discard(self) -> None:
        """Read on for a while: a connection closed over unread bytes is reset, and the close code with it."""
        with suppress(StreamClosedError, TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while True:
                    await self.stream.read_bytes(CHUNK, partial=True)
