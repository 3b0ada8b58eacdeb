"""websockets: `broadcast`."""

import asyncio
from typing import Any

import publishing
from websockets.asyncio.server import ServerConnection, broadcast, serve


async def stay(client: ServerConnection) -> None:
    """In, and out at the end."""
    assert client.request is not None
    publishing.enter(client.request.path, client)
    try:
        await client.wait_closed()
    finally:
        publishing.leave(client)


async def send(room: int, update: dict[str, Any]) -> None:
    """To everyone in the room."""
    broadcast(publishing.members[room], publishing.text(update))


async def main() -> None:
    """Until ended."""
    async with serve(stay, "127.0.0.1", 0, backlog=publishing.BACKLOG) as server:
        publishing.announce(next(iter(server.sockets)).getsockname()[1])
        await publishing.publish(send)


asyncio.run(main())
