"""A plain echo on Windsock's own WebSocket connection, for conformance suites such as Autobahn.

`python benchmarks/echo.py PORT` serves ws://127.0.0.1:PORT/ws, with any subprotocol or none, until it is interrupted.
"""

import argparse
import asyncio
from contextlib import suppress

from tornado.httpserver import HTTPServer
from tornado.web import Application

from handlers.connection import Connection
from handlers.frames import Opcode, build
from handlers.upgrade import UpgradeHandler

MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class Echo:
    """Sends back what comes. A client that does not read is not read either: at most one answer waits."""

    __slots__ = ("_connection", "_waiting")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting = b""  # a frame behind bytes that are pending

    def on_message(self, data: bytes | bytearray, binary: bool) -> None:
        """The same again."""
        frame = build(Opcode.BINARY if binary else Opcode.TEXT, bytes(data))
        if self._connection.pending:  # a pong is
            self._waiting = frame
            self._connection.pause()
        elif not self._connection.send(frame):
            self._connection.pause()

    def on_writable(self) -> None:
        """What waits goes; then it may go on."""
        frame, self._waiting = self._waiting, b""
        if not frame or self._connection.send(frame):
            self._connection.resume()

    def on_close(self, code: int) -> None:
        """Nothing is kept."""


class EchoHandler(UpgradeHandler):
    """/ws."""

    def get(self) -> None:
        """Upgrade, and echo."""
        connection = self.upgrade(MAX_MESSAGE_BYTES)
        if connection is not None:
            connection.start(Echo(connection))


async def serve(port: int) -> None:
    """Until cancelled."""
    server = HTTPServer(Application([("/ws", EchoHandler)], log_function=lambda handler: None))
    server.listen(port, "127.0.0.1", backlog=4096)
    print(f"echo on ws://127.0.0.1:{port}/ws", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args().port))
