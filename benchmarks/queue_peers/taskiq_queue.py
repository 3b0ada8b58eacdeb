"""taskiq with the broker on Redis streams: a coroutine worker. `taskiq worker taskiq_queue:broker` serves."""

import asyncio

import work
from asking import Client, ask
from taskiq import AsyncTaskiqTask
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

broker = RedisStreamBroker(work.URL).with_result_backend(RedisAsyncResultBackend(work.URL))
TASKS = {name: broker.task(name)(getattr(work, name)) for name in ("noop", "pause", "hang")}


class Taskiq(Client):
    """Its client."""

    async def open(self) -> None:
        """Connect."""
        await broker.startup()

    async def submit(self, task: str, number: int) -> AsyncTaskiqTask[None]:
        """One job."""
        return await TASKS[task].kiq(number)

    async def run(self, task: str, number: int) -> None:
        """One job, and its end."""
        job = await self.submit(task, number)
        await job.wait_result()

    async def close(self) -> None:
        """Hang up."""
        await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(ask(Taskiq()))
