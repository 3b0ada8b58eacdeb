"""What dashboards cost the store: Redis's work with 1, 50 and 500 of them open, against none.

Each dashboard is a socket that says what the page says on its overview and on its list: stats, what runs, what failed,
the newest 500 jobs. Meanwhile jobs come at a steady pace. About a minute and a half, loopback only.
"""

import asyncio
import json
import time
from typing import Any

from felt_watcher import Watcher
from processes import Folder, Http, serve
from redis import asyncio as aioredis

DASHBOARDS = (0, 1, 50, 500)
JOBS_PER_S = 50
SECONDS = 12.0
SUBSCRIBE: list[dict[str, Any]] = [
    {"type": "subscribe", "sub": 1, "stats": True},
    {"type": "subscribe", "sub": 2, "feed": {"state": ["running", "cancelling"]}, "limit": 100},
    {"type": "subscribe", "sub": 3, "feed": {"state": ["failed"]}, "limit": 6},
    {"type": "subscribe", "sub": 4, "feed": {}, "limit": 500},
]


class Dashboard:
    """One open page: takes what it is sent, and counts it."""

    def __init__(self) -> None:
        self.messages = 0

    async def open(self, url: str) -> "Dashboard":
        """Connect, subscribe, and read from then on."""
        self._watcher = await Watcher.open(url)
        await self._watcher.send(*SUBSCRIBE)
        self._reading = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        while await self._watcher.connection.read_message() is not None:
            self.messages += 1

    async def close(self) -> None:
        """Hang up."""
        self._watcher.connection.close()
        await self._reading


async def load(url: str) -> None:
    """Jobs at a steady pace, until it is cancelled."""
    http = await Http(url).open()
    body = json.dumps({"task": "ticks", "args": {"seconds": 1}}).encode()
    try:
        while True:
            await http.post("/api/jobs", body)
            await asyncio.sleep(1 / JOBS_PER_S)
    finally:
        http.close()


async def work_of(redis: "aioredis.Redis") -> tuple[float, float]:
    """Commands and CPU seconds of Redis so far."""
    info = await redis.info()
    return info["total_commands_processed"], info["used_cpu_user"] + info["used_cpu_sys"]


async def measure(url: str, redis: "aioredis.Redis", dashboards: int) -> None:
    """One row of the table."""
    opened = [await Dashboard().open(url) for _ in range(dashboards)]
    await asyncio.sleep(3)
    seen, (commands, cpu), began = sum(one.messages for one in opened), await work_of(redis), time.monotonic()
    await asyncio.sleep(SECONDS)
    passed, (commands_now, cpu_now) = time.monotonic() - began, await work_of(redis)
    told = (sum(one.messages for one in opened) - seen) / passed / max(1, dashboards)
    rate, busy = (commands_now - commands) / passed, 100 * (cpu_now - cpu) / passed
    print(f"| {dashboards} | {rate:,.0f} | {busy:.1f} % | {told:.1f} |", flush=True)
    for one in opened:
        await one.close()


async def main() -> None:
    """Measure and print."""
    with Folder() as folder:
        server = serve(folder, "--slots", "200")
        redis = aioredis.Redis(unix_socket_path=f"{folder}/redis.sock")
        loading = asyncio.create_task(load(server.url))
        await asyncio.sleep(5)
        print("| dashboards | Redis commands/s | Redis CPU | messages/s to each |\n|---|---|---|---|")
        for dashboards in DASHBOARDS:
            await measure(server.url, redis, dashboards)
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        await redis.aclose()
        server.stop()


if __name__ == "__main__":
    asyncio.run(main())
