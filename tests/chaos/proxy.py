"""A TCP proxy that spoils what goes through it: delay, throttle, swallow one way, cut after N bytes, reset.

A proxy has two directions, `up` (to the target) and `down` (from it), each with its own `Weather`. It changes at any
time and holds for the connections that are open. One exception: a connection that has lost bytes never gets any more in
that direction, also after the weather has cleared: TCP does not deliver a stream with a hole.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass

CHUNK_BYTES = 16 * 1024
QUEUED_CHUNKS = 64  # of one direction, while they are delayed
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


@dataclass(slots=True)
class Weather:
    """What happens to the bytes of one direction."""

    delay_s: float = 0.0
    bytes_per_s: float | None = None  # None: as fast as it goes
    swallows: bool = False  # bytes vanish, the connection stays
    cut_after: int | None = None  # bytes until all that is open is cut; None: never

    def clear(self) -> None:
        """Fine again."""
        self.delay_s, self.bytes_per_s, self.swallows, self.cut_after = 0.0, None, False, None


class Flow:
    """One direction of one connection."""

    def __init__(self, weather: Weather, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._weather = weather
        self._reader = reader
        self._writer = writer
        self._holed = False
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED_CHUNKS)
        self.cut = False  # it has come to its last byte

    async def run(self) -> None:
        """Until either end has closed, or the last byte it may carry went through."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take())
            group.create_task(self._give())

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data = await self._reader.read(CHUNK_BYTES)
            await self._queue.put((loop.time() + self._weather.delay_s, data))
            if not data:
                return

    async def _give(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await self._queue.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            if not data:
                return
            data = self._budget(data)
            self._holed = self._holed or self._weather.swallows
            if data and not self._holed:
                self._writer.write(data)
                await self._writer.drain()
            if self._weather.bytes_per_s is not None:
                await asyncio.sleep(len(data) / self._weather.bytes_per_s)
            if self.cut:
                raise ConnectionAbortedError

    def _budget(self, data: bytes) -> bytes:
        left = self._weather.cut_after
        if left is None:
            return data
        self._weather.cut_after = left - len(data)
        self.cut = left <= len(data)
        return data[: max(0, left)]


class Proxy:
    """Listens on a loopback port of its own and carries each connection to `target`."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target  # for new connections; may change
        self.up = Weather()
        self.down = Weather()
        self.port = 0
        self.carried = 0  # connections so far
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}

    async def start(self) -> "Proxy":
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self.carried += 1
        self._open[task] = (writer,)
        task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[None]") -> None:
        for writer in self._open.pop(task):
            writer.transport.abort()
        if not task.cancelled():
            task.exception()  # seen

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        there, back = await asyncio.open_connection(*self.target, limit=CHUNK_BYTES)
        self._open[task] = (writer, back)
        for one in (writer, back):
            one.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        flows = [Flow(self.up, reader, back), Flow(self.down, there, writer)]
        # One end that closes ends both: none of ours uses half a connection.
        tasks = [asyncio.ensure_future(flow.run()) for flow in flows]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for one_end in (writer, back):
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(0.5):
                        await one_end.drain()
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()
            back.close()
            if any(flow.cut for flow in flows):
                self.cut()

    @property
    def connections(self) -> int:
        """Open ones."""
        return len(self._open)

    def cut(self) -> None:
        """End all connections that are open, politely (FIN)."""
        for task, writers in list(self._open.items()):
            for writer in writers:
                writer.close()
            task.cancel()

    def reset(self) -> None:
        """End them with a reset (RST)."""
        for task, writers in list(self._open.items()):
            for writer in writers:
                sock = writer.transport.get_extra_info("socket")
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()
            task.cancel()

    def clear(self) -> None:
        """Fine weather."""
        self.up.clear()
        self.down.clear()

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
