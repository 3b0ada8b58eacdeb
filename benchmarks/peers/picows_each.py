"""picows (a WebSocket library in Cython): a frame sent to each."""

import asyncio
from typing import Any

import publishing
from picows import WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server


class Client(WSListener):
    """One client."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def on_ws_connected(self, transport: WSTransport) -> None:
        """In."""
        publishing.enter(self._path, transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Out."""
        publishing.leave(transport)


async def send(room: int, update: dict[str, Any]) -> None:
    """To everyone in the room."""
    message = publishing.text(update).encode()
    for transport in publishing.members[room]:
        transport.send(WSMsgType.TEXT, message)


def listener(request: WSUpgradeRequest) -> WSListener:
    """For one client."""
    return Client(request.path.decode())


async def main() -> None:
    """Until ended."""
    server = await ws_create_server(listener, "127.0.0.1", 0, backlog=publishing.BACKLOG)
    publishing.announce(server.sockets[0].getsockname()[1])
    await publishing.publish(send)


asyncio.run(main())
