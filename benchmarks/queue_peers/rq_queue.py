"""RQ with `SimpleWorker`, which runs jobs in its own process, one after the other."""

import asyncio
import logging
import sys
from collections.abc import Sequence

import work
from asking import Client, ask
from redis import Redis
from rq import Queue, Retry, SimpleWorker
from rq.job import Job

TASKS = {"noop": "work.noop_now", "hang": "work.hang_now"}


class InRq(Client):
    """Its client; it blocks."""

    together = False
    batch = True

    def __init__(self) -> None:
        self.queue = Queue(connection=Redis.from_url(work.URL))

    async def submit(self, task: str, number: int) -> Job:
        """One job."""
        if task == "hang":
            return self.queue.enqueue(TASKS[task], number, retry=Retry(max=3), job_timeout=3600)
        return self.queue.enqueue(TASKS[task], number)

    async def submit_many(self, task: str, numbers: Sequence[int]) -> None:
        """A pipeline of them."""
        self.queue.enqueue_many([Queue.prepare_data(TASKS[task], (number,)) for number in numbers])

    async def run(self, task: str, number: int) -> None:
        """One job, and its end."""
        job = await self.submit(task, number)
        if job.latest_result(timeout=30) is None:
            raise TimeoutError("no result in 30 s")


def serve() -> None:
    """The worker."""
    SimpleWorker(["default"], connection=Redis.from_url(work.URL)).work(logging_level=logging.WARNING)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        serve()
    else:
        asyncio.run(ask(InRq()))
