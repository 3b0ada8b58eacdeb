"""All open WebSockets of a node: counted by address, swept once a second for silence and slowness."""

import asyncio
import itertools
from contextlib import suppress
from typing import Protocol

from tornado.ioloop import PeriodicCallback

from server.client import Client
from server.errors import TooMany
from server.node import Node
from server.protocol import CloseCode, FrameType

STOP_S = 1.0  # for the close handshakes of those that are left


class Socket(Protocol):
    """One open connection."""

    address: str
    client: Client

    def sweep(self, now: float) -> None:
        """Do what is due at this monotonic time."""

    def end(self, code: CloseCode, reason: str) -> None:
        """Say the last words and close."""


class Sockets:
    """Owns the table of open connections, and the one timer that looks after all of them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._open: set[Socket] = set()
        self._by_address: dict[str, int] = {}
        self._emptied = asyncio.Event()  # none is open any more
        self._numbers = itertools.count(1)
        self._sweeper = PeriodicCallback(self._sweep, 1000 * min(1.0, node.settings.heartbeat_s / 4))
        node.clients = lambda: len(self._open)
        node.metrics.read_one("windsock_connections", node.clients)

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> "itertools.chain[Socket]":
        return itertools.chain(list(self._open))

    def start(self) -> None:
        """Begin to sweep."""
        self._sweeper.start()

    def admit(self, address: str) -> None:
        """Make room for one more.

        Raises:
            TooMany: this address has as many as it may.
        """
        if self._by_address.get(address, 0) >= self._node.settings.connections_per_address:
            raise TooMany("too many connections from this address", after_s=5.0)

    def number(self) -> str:
        """The name of the next client."""
        return f"c{next(self._numbers)}"

    def add(self, socket: Socket) -> None:
        """Take in an open connection."""
        self._open.add(socket)
        self._by_address[socket.address] = self._by_address.get(socket.address, 0) + 1

    def discard(self, socket: Socket) -> None:
        """It is closed."""
        if socket not in self._open:
            return
        self._open.discard(socket)
        if not self._open:
            self._emptied.set()
        left = self._by_address[socket.address] - 1
        if left:
            self._by_address[socket.address] = left
        else:
            del self._by_address[socket.address]

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for socket in self:
            socket.sweep(now)

    async def drain(self) -> None:
        """Tell all to come back at a random moment of a window; whoever stays is ended when the node stops."""
        window_s = self._node.settings.drain_window_s
        for socket in self:
            if socket.client.greeted:
                socket.client.reply(FrameType.DRAIN, within_s=[0, window_s])

    async def stop(self) -> None:
        """End all that are left."""
        self._sweeper.stop()
        self._emptied.clear()
        for socket in self:
            socket.end(CloseCode.DRAINING, "this node stops")
        if self._open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), STOP_S)
