"""Rows of `felt.py` about many clients: updates among others, and a restart that cuts all of them off.

The crowd is `tests/herd.py`, in a process of its own; the client whose time is taken joins in the middle of it.
"""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

from felt_table import both, row
from felt_watcher import Watcher
from processes import ROOT, Http, serve

MUST = {100: "5 / 20 ms", 1000: "10 / 60 ms"}
CLIENTS = 1000


class Crowd:
    """So many light clients of one job."""

    def __init__(self, url: str, job: str, count: int) -> None:
        words = [sys.executable, str(ROOT / "tests" / "herd.py"), url.rsplit(":", 1)[1], job, str(count)]
        self._count = count
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _say(self, words: bytes) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(words + b"\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told

    async def come(self, within_s: float) -> float:
        """All connect; the seconds until the last one is live."""
        told = self._say(b"come %f" % within_s)
        while told["live"] < self._count:
            await asyncio.sleep(0.1)
            told = self._say(b"tell")
        if told["faults"]:
            raise RuntimeError(f"the clients were told nonsense: {told['faults']}")
        return float(told["live_s"][-1])

    async def lost(self) -> None:
        """Until none is connected."""
        while self._say(b"tell")["open"]:
            await asyncio.sleep(0.02)

    def leave(self) -> None:
        """All hang up."""
        self._process.communicate()


async def submit(url: str, task: str, **args: float) -> str:
    """The id of a job."""
    http = await Http(url).open()
    job: str = json.loads(await http.post("/api/jobs", json.dumps({"task": task, "args": args}).encode()))["id"]
    http.close()
    return job


async def among(watchers: int, url: str) -> None:
    """progress.update → one of many clients, each update the first after a pause."""
    job = await submit(url, "stamps", count=200, pause_s=0.12)
    before, behind = (Crowd(url, job, watchers // 2) for _ in range(2))
    await before.come(0.5)
    watcher = await Watcher.open(url)
    await watcher.send({"type": "subscribe", "sub": 1, "job": job, "log": "all"})
    await behind.come(0.5)
    watcher.frames.clear()
    late = await watcher.late()
    row(f"update → one client among {watchers:,}, p50 / p99", both(late[len(late) // 3 :]), MUST[watchers])
    watcher.connection.close()
    for crowd in (before, behind):
        crowd.leave()


async def storm(folder: str) -> None:
    """kill -9 of a server with 1,000 clients; they come back all at once when it answers again."""
    server = serve(folder)
    job = await submit(server.url, "forever")
    crowd = Crowd(server.url, job, CLIENTS)
    await crowd.come(1.0)
    began = time.perf_counter()
    server.kill()
    await crowd.lost()
    again = serve(folder, "--port", server.url.rsplit(":", 1)[1])
    row("server killed → another one answers", f"{time.perf_counter() - began:.1f} s", "5 s")
    row(f"  then {CLIENTS:,} clients at once, until the last one is live", f"{await crowd.come(0.0):.2f} s", "2 s")
    crowd.leave()
    again.stop()
