"""Clients that do not read, or hardly, under a thousand updates a second: no memory for them, no wait for the others.

`WINDSOCK_SLOW_S=60` looks for so long; the default is 4 seconds.
"""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from chaos.reader import Heard, Ledger
from peer import Opcode, Peer, client_frame, request
from processes import Processes, Server, processes

__all__ = ["processes"]
LOOK_S = float(os.environ.get("WINDSOCK_SLOW_S", "4"))
WORK = Path(__file__).parent / "chaos" / "work.py"
JOBS, PAUSE_S = 50, 0.05  # a thousand updates a second
SLOW_BYTES_PER_S = 10_000
RECEIVE_BYTES = 4096  # the kernel takes little for those that do not read
GROWTH_KIB = 3 * 1024  # of the server, more than it grows in the same time without them (by the ends of the logs)
Frame = dict[str, Any]


class Client:
    """Watches jobs with their logs, and perhaps a feed."""

    def __init__(self, peer: Peer, name: str, job_ids: list[str]) -> None:
        self.peer = peer
        self.ledger = Ledger(name)
        self.heard = {number: Heard(job_id) for number, job_id in enumerate(job_ids, 1)}
        self.latencies_s: list[float] = []  # of log lines, told when they were written

    @classmethod
    async def open(
        cls, server: Server, name: str, job_ids: list[str], *, feed: bool = False, small: bool = False
    ) -> "Client":
        """Connect and subscribe; `small` takes as little as the kernel lets it."""
        peer = await Peer.connect(("127.0.0.1", server.port), receive_bytes=RECEIVE_BYTES if small else None)
        protocol: dict[str, str | None] = {"Sec-WebSocket-Protocol": "windsock.v1.json"}
        await peer.send(request(line="GET /api/stream HTTP/1.1", headers=protocol))
        await peer.head()
        made = cls(peer, name, job_ids)
        for heard in made.heard.values():
            heard.phase = "opening"
        wishes: list[Frame] = [{"sub": sub, "job": heard.job_id, "log": 1} for sub, heard in made.heard.items()]
        wishes += [{"sub": 1000, "feed": {}}] if feed else []
        subscribes = [{"type": "subscribe", "rate": 20, **wish} for wish in wishes]
        await peer.send(client_frame(Opcode.TEXT, json.dumps([{"type": "hello", "subscribe": subscribes}]).encode()))
        return made

    def take(self, frames: list[Frame]) -> None:
        """Keep account of the jobs."""
        now = time.time_ns()
        for frame in frames:
            heard = self.heard.get(frame.get("sub", 0))
            if heard is None:
                continue
            if frame["type"] == "snapshot":
                heard.position = int(frame["cursor"].rsplit(".", 1)[1])
            self.ledger.take(heard, frame)
            if frame["type"] == "log" and heard.phase == "live":
                self.latencies_s += [(now - int(entry["text"].split()[0])) / 1e9 for entry in frame["entries"]]

    async def read(self, bytes_at_once: int = 256 * 1024, pause_s: float = 0.0) -> None:
        """For ever; what came is looked at when a message is whole."""
        loop = asyncio.get_running_loop()
        buffered = bytearray()
        while data := await loop.sock_recv(self.peer.socket, bytes_at_once):
            buffered += data
            while (payload := _whole(buffered)) is not None:
                self.take(json.loads(payload) if payload else [])
            await asyncio.sleep(pause_s)


def _whole(buffered: bytearray) -> bytes | None:
    """Take the first frame, if all of it is there; a control frame as nothing."""
    if len(buffered) < 2:
        return None
    extended = {126: 2, 127: 8}.get(buffered[1], 0)
    size = int.from_bytes(buffered[2 : 2 + extended]) if extended else buffered[1]
    if len(buffered) < 2 + extended + size:
        return None
    payload = bytes(buffered[2 + extended : 2 + extended + size]) if buffered[0] & 0x0F == Opcode.TEXT else b""
    del buffered[: 2 + extended + size]
    return payload


def _percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def _kib(process: psutil.Process) -> int:
    return int(process.memory_info().rss) // 1024


@pytest.mark.timeout(300)
def test_slow_readers_cost_no_memory_and_delay_nobody(processes: Processes) -> None:
    server = processes.serve("--no-worker", tasks=WORK, write_s=1000, ping_timeout_s=1000)
    processes.work(tasks=WORK, data_dir=processes.data_dir)
    args = {"count": int(2 * (LOOK_S + 30) / PAUSE_S), "pause_s": PAUSE_S}
    job_ids = [server.submit("chatter", args) for _ in range(JOBS)]
    for job_id in job_ids:
        server.running(job_id)
    asyncio.run(_look(server, job_ids))


async def _look(server: Server, job_ids: list[str]) -> None:
    process = psutil.Process(server.pid)
    fast = await Client.open(server, "fast", job_ids, feed=True)
    reading = [asyncio.create_task(fast.read())]
    never: list[Client] = []
    slow: list[Client] = []
    try:
        await _latencies(fast, 2)  # until the first replay is over
        first = _kib(process)
        alone = await _latencies(fast, LOOK_S)
        grown = _kib(process) - first
        never = [await Client.open(server, "never", job_ids, feed=True, small=True) for _ in range(3)]
        slow = [await Client.open(server, f"slow {number}", job_ids[:10], small=True) for number in range(3)]
        reading += [asyncio.create_task(one.read(SLOW_BYTES_PER_S // 10, 0.1)) for one in slow]
        await _latencies(fast, 2)  # until all buffers are full
        before = _kib(process)
        together = await _latencies(fast, LOOK_S)
        after = _kib(process)
    finally:
        for task in reading:
            task.cancel()
        ended = await asyncio.gather(*reading, return_exceptions=True)
        for one in (fast, *never, *slow):
            one.peer.close()
    assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended
    print(f"{grown} KiB more alone, {after - before} KiB more together")
    _compare(fast, slow, alone, together)
    assert after - before < grown + GROWTH_KIB


async def _latencies(fast: Client, seconds: float) -> list[float]:
    fast.latencies_s = []
    await asyncio.sleep(seconds)
    return fast.latencies_s


def _compare(fast: Client, slow: list[Client], alone: list[float], together: list[float]) -> None:
    told = f"alone {_figures(alone)}; together {_figures(together)}"
    print(told)
    assert len(together) > 0.8 * len(alone), told
    assert _percentile(together, 0.5) < 2 * _percentile(alone, 0.5) + 0.03, told
    assert _percentile(together, 0.99) < 2 * _percentile(alone, 0.99) + 0.1, told
    for one in (fast, *slow):
        assert one.ledger.problems == []
        assert any(heard.position for heard in one.heard.values()), f"{one.ledger.name} was told nothing"


def _figures(latencies_s: list[float]) -> str:
    p50, p99 = (1000 * _percentile(latencies_s, part) for part in (0.5, 0.99))
    return f"{len(latencies_s)} lines, p50 {p50:.1f} ms, p99 {p99:.1f} ms"
