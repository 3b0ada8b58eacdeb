"""The client whose time `felt.py` takes."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect


class Watcher:
    """A WebSocket client that says hello and reads frames."""

    @classmethod
    async def open(cls, url: str) -> "Watcher":
        """Connect and greet."""
        self = cls()
        request = HTTPRequest(url.replace("http", "ws") + "/api/stream")
        self.connection: WebSocketClientConnection = await websocket_connect(request, subprotocols=["windsock.v1.json"])
        await self.send({"type": "hello"})
        self.frames: list[dict[str, Any]] = []
        await self.until(lambda frame: frame["type"] == "welcome")
        return self

    async def send(self, *frames: dict[str, Any]) -> None:
        """One message."""
        await self.connection.write_message(json.dumps(frames))

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next frame that is wanted; the others are dropped."""
        while True:
            while self.frames:
                frame = self.frames.pop(0)
                if wanted(frame):
                    return frame
            message = await asyncio.wait_for(self.connection.read_message(), 30)
            if message is None:
                raise RuntimeError("the server has hung up")
            self.frames += json.loads(message)

    async def late(self) -> list[float]:
        """For each update of a `stamps` job until its end, how long it took to come here, in seconds."""
        found = []
        while True:
            frame = await self.until(lambda frame: frame["type"] in ("update", "end"))
            if frame["type"] == "end":
                return found
            if frame["job"]["progress"]:
                found.append(time.time() - frame["job"]["progress"]["done"] / 1e9)
