"""A Tornado server on a port of its own whose /ws is our connection, for tests: what it accepts is in `recorders`."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tornado
from peer import Peer, Recorder, request, until
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import Application

from handlers.connection import Connection
from handlers.upgrade import UpgradeHandler

CERTIFICATE = Path(tornado.__file__).parent / "test" / "test.crt"  # Tornado's wheel brings one for its own tests


def server_context() -> ssl.SSLContext:
    """TLS for a test's server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_suffix(".key"))
    return context


class Handler(UpgradeHandler):
    """/ws: upgrades, and keeps the connection with a recorder."""

    def initialize(self, served: "Served") -> None:
        """Take what the test has set."""
        self.served = served

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Refusals are the test's business."""

    async def prepare(self) -> None:
        """A test may hold the handshake up."""
        if self.served.gate is not None:
            await self.served.gate.wait()

    def get(self) -> None:
        """Upgrade."""
        served = self.served
        connection = self.upgrade(served.max_bytes, spoken=served.spoken, too_big=4004, close_s=served.close_s)
        if connection is None:
            served.gone += 1
            return
        recorder = Recorder()
        recorder.connection = connection
        served.recorders.append(recorder)
        if served.prepare is not None:
            served.prepare(recorder)
        connection.start(recorder)


class Served:
    """One server. Options hold for connections to come."""

    def __init__(self, *, send_bytes: int | None = None, **options: Any) -> None:
        self.recorders: list[Recorder] = []
        self.peers: list[Peer] = []
        self.gone = 0  # clients that went before their upgrade
        self.max_bytes = 1 << 20
        self.close_s = 3.0
        self.spoken: set[str] | None = None
        self.gate: asyncio.Event | None = None  # holds handshakes up until it is set
        self.prepare: Any = None  # called with the recorder before its connection starts
        self.server = HTTPServer(
            Application([("/ws", Handler, {"served": self})], log_function=lambda handler: None), **options
        )
        listening = bind_sockets(0, "127.0.0.1")
        if send_bytes is not None:
            for sock in listening:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)
        self.address = listening[0].getsockname()
        self.server.add_sockets(listening)

    async def peer(self, **options: Any) -> Peer:
        """A TCP connection to it."""
        peer = await Peer.connect(self.address, **options)
        self.peers.append(peer)
        return peer

    async def open(self, behind: bytes = b"", **options: Any) -> tuple[Peer, Recorder]:
        """A client after its handshake, with bytes right behind the request, and the server's side of it."""
        known = len(self.recorders)
        peer = await self.peer(**options)
        await peer.send(request() + behind)
        assert (await peer.head()).startswith("HTTP/1.1 101 ")
        await until(lambda: len(self.recorders) > known)
        return peer, self.recorders[known]

    @property
    def connections(self) -> list[Connection]:
        """All that were accepted."""
        return [recorder.connection for recorder in self.recorders]

    async def stop(self) -> None:
        """End all; each has been told exactly once."""
        for recorder in self.recorders:
            recorder.connection.abort()
            assert len(recorder.codes) == 1
        for peer in self.peers:
            peer.close()
        self.server.stop()
        await self.server.close_all_connections()


@contextmanager
def serving(io_loop: IOLoop, **options: Any) -> Iterator[Served]:
    """A server for a test."""

    async def start() -> Served:
        return Served(**options)

    served = io_loop.run_sync(start)
    yield served
    io_loop.run_sync(served.stop, timeout=5)
