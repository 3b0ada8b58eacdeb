"""SAQ: a coroutine worker."""

import asyncio
import sys
import uuid
from typing import Any

import work
from asking import Client, ask
from redis.asyncio import Redis
from saq import Job, Worker
from saq.job import TERMINAL_STATUSES
from saq.queue.redis import RedisQueue

HANG_S = 30  # SAQ takes a job for dead when its timeout is over; the default of 10 s ends too soon for this benchmark


async def noop(context: Any, *, number: int) -> None:
    """As `work.noop`."""
    await work.noop(number)


async def pause(context: Any, *, number: int) -> None:
    """As `work.pause`."""
    await work.pause(number)


async def hang(context: Any, *, number: int) -> None:
    """As `work.hang`."""
    await work.hang(number)


class Saq(Client):
    """Its client."""

    async def open(self) -> None:
        """Connect."""
        self.queue = RedisQueue(Redis.from_url(work.URL))  # its own from_url knows no Unix sockets
        await self.queue.connect()
        self._open = self._listen("nobody")  # else Redis is subscribed to anew for each job

    def _listen(self, key: str) -> "asyncio.Task[None]":
        """Until this job is over; `apply` would poll twice a second."""
        return asyncio.create_task(self.queue.listen([key], lambda key, status: status in TERMINAL_STATUSES, None))

    async def submit(self, task: str, number: int) -> Job | None:
        """One job."""
        more = {"timeout": HANG_S, "retries": 3} if task == "hang" else {}
        return await self.queue.enqueue(task, number=number, **more)

    async def run(self, task: str, number: int) -> None:
        """One job, and its end."""
        key = str(uuid.uuid4())
        over = self._listen(key)
        await asyncio.sleep(0)  # it listens
        await self.queue.enqueue(task, number=number, key=key)
        await asyncio.wait_for(over, 30)

    async def close(self) -> None:
        """Hang up."""
        self._open.cancel()
        await self.queue.disconnect()


async def serve() -> None:
    """The worker."""
    # Each slot waits for jobs on a connection of its own, and redis-py allows 100.
    queue = RedisQueue(Redis.from_url(work.URL, max_connections=work.SLOTS + 100))
    await queue.connect()
    await Worker(queue, [noop, pause, hang], concurrency=work.SLOTS).start()


if __name__ == "__main__":
    asyncio.run(serve() if sys.argv[1] == "worker" else ask(Saq()))
