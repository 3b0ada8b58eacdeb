"""All that stays connected to a node: counted, by address too; WebSockets are swept for silence and slowness."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from tornado.ioloop import PeriodicCallback

from handlers.collector import Collector
from handlers.gate import Gate
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
        self.gate = Gate(node.settings, node.metrics.turned_away, lambda: len(self), self._count_greeting)
        self._open: set[Socket] = set()
        self._streams = 0  # of events
        self._greeting: set[Socket] = set()  # those that had not said hello when last looked at
        self._by_address: dict[str, int] = {}
        self._emptied = asyncio.Event()  # none is open any more
        self._numbers = itertools.count(1)
        self._collector = Collector(lambda: node.worker is not None and bool(node.worker.held))
        self._sweeper = PeriodicCallback(self._sweep, 1000 * min(1.0, node.settings.heartbeat_s / 4))
        node.clients = lambda: len(self._open)
        node.metrics.read_one("windsock_connections", node.clients)

    def __len__(self) -> int:
        """All clients, those that read events over HTTP as well."""
        return len(self._open) + self._streams

    def __iter__(self) -> "itertools.chain[Socket]":
        return itertools.chain(list(self._open))

    def start(self) -> None:
        """Begin to sweep."""
        self._sweeper.start()

    def admit(self, address: str, *, greets: bool = True) -> None:
        """Make room for one more, which will say hello or not.

        Raises:
            TooMany: this address has as many as it may.
            Unavailable: this node has, or it has enough to do with those that are connecting.
        """
        if self._by_address.get(address, 0) >= self._node.settings.connections_per_address:
            self._node.metrics.turned_away["address"] += 1
            raise TooMany("too many connections from this address", after_s=random.uniform(4.0, 8.0))
        self.gate.check(asyncio.get_running_loop().time(), greets=greets)

    def number(self) -> str:
        """The name of the next client."""
        return f"c{next(self._numbers)}"

    def add(self, socket: Socket) -> None:
        """Take in an open connection."""
        self._open.add(socket)
        self._greeting.add(socket)
        self._enter(socket.address)

    def discard(self, socket: Socket) -> None:
        """It is closed."""
        if socket not in self._open:
            return
        self._open.discard(socket)
        self._greeting.discard(socket)
        if not self._open:
            self._emptied.set()
        self._leave(socket.address)

    @contextmanager
    def stream(self, address: str) -> Iterator[None]:
        """As long as a client reads events over HTTP.

        Raises:
            TooMany, Unavailable: it may not.
        """
        self.admit(address, greets=False)
        self._streams += 1
        self._enter(address)
        try:
            yield
        finally:
            self._streams -= 1
            self._leave(address)

    def _enter(self, address: str) -> None:
        self._by_address[address] = self._by_address.get(address, 0) + 1

    def _leave(self, address: str) -> None:
        left = self._by_address[address] - 1
        if left:
            self._by_address[address] = left
        else:
            del self._by_address[address]

    def _count_greeting(self) -> int:
        """How many have not said hello; those that have are looked for only where it matters."""
        if len(self._greeting) >= self._node.settings.greeting:
            self._forget_greeted()
        return len(self._greeting)

    def _forget_greeted(self) -> None:
        self._greeting = {socket for socket in self._greeting if not socket.client.greeted}

    def _sweep(self) -> None:
        self._forget_greeted()
        now = asyncio.get_running_loop().time()
        for socket in self:
            socket.sweep(now)
        self._collector.settle(len(self), now)

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
                async with asyncio.timeout(STOP_S):
                    await self._emptied.wait()
