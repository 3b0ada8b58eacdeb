"""Tornado: `write_message` to each."""

import asyncio
from typing import Any

import publishing
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler


class Client(WebSocketHandler):
    """One client."""

    def open(self) -> None:
        """In."""
        publishing.enter(self.request.uri or "", self)

    def on_close(self) -> None:
        """Out."""
        publishing.leave(self)


async def send(room: int, update: dict[str, Any]) -> None:
    """To everyone in the room."""
    message = publishing.text(update)
    for client in publishing.members[room]:
        client.write_message(message)


async def main() -> None:
    """Until ended."""
    sockets = bind_sockets(0, "127.0.0.1", backlog=publishing.BACKLOG)
    HTTPServer(Application([("/", Client)], log_function=lambda _: None)).add_sockets(sockets)
    publishing.announce(sockets[0].getsockname()[1])
    await publishing.publish(send)


asyncio.run(main())
