"""python-socketio on aiohttp: `emit` to a room, WebSocket transport."""

import asyncio
from typing import Any

import publishing
import socketio
from aiohttp import web

server = socketio.AsyncServer(async_mode="aiohttp", transports=["websocket"])


@server.event
async def connect(sid: str, environ: dict[str, Any], _auth: object) -> None:
    """In; out is its own business."""
    for room in publishing.rooms_of(f"/?{environ['QUERY_STRING']}"):
        await server.enter_room(sid, str(room))


async def send(room: int, update: dict[str, Any]) -> None:
    """To everyone in the room."""
    await server.emit("update", update, room=str(room))


async def main() -> None:
    """Until ended."""
    application = web.Application()
    server.attach(application)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=publishing.BACKLOG).start()
    publishing.announce(runner.addresses[0][1])
    await publishing.publish(send)


asyncio.run(main())
