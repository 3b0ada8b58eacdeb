"""streaq: a coroutine worker."""

import asyncio
import sys
from collections.abc import Sequence

import work
from asking import Client, ask
from streaq import Worker
from streaq.task import Task

worker = Worker(redis_url=work.URL, concurrency=work.SLOTS)
TASKS = {name: worker.task(name=name)(getattr(work, name)) for name in ("noop", "pause", "hang")}


class Streaq(Client):
    """Its client."""

    batch = True

    async def open(self) -> None:
        """Connect."""
        await worker.__aenter__()

    async def submit(self, task: str, number: int) -> Task[[int], None]:
        """One job."""
        return await TASKS[task].enqueue(number)

    async def submit_many(self, task: str, numbers: Sequence[int]) -> None:
        """A pipeline of them."""
        await worker.enqueue_many([TASKS[task].enqueue(number) for number in numbers])

    async def run(self, task: str, number: int) -> None:
        """One job, and its end."""
        job = await self.submit(task, number)
        await job.result(30)

    async def close(self) -> None:
        """Hang up."""
        await worker.__aexit__(None, None, None)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        worker.run_sync()
    else:
        asyncio.run(ask(Streaq()))
