"""Windsock without HTTP: a node in the program that submits, through `server.queue`."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import work
from asking import Client, ask

from server.job import Job, JobState
from server.loader import load
from server.node import Node
from server.protocol import Submission
from server.settings import Settings
from server.submitting import Submitted

TASKS = str(Path(__file__).with_name("windsock_tasks.py"))


class Inside(Client):
    """A node with no worker and no web server."""

    batch = True

    async def open(self) -> None:
        """Start it."""
        settings = Settings.read({}, redis=work.URL, worker=False)
        self.node = Node(settings, load([TASKS]).registry, serves=True)
        await self.node.start()

    async def submit(self, task: str, number: int) -> Job:
        """One job."""
        return await self.node.queue.submit(Submission(task=task, args={"number": number}))

    async def submit_many(self, task: str, numbers: Sequence[int]) -> None:
        """One batch."""
        values = [{"task": task, "args": {"number": number}} for number in numbers]
        taken = 0
        async for outcomes in self.node.queue.submitting.store_all(values):
            taken += sum(isinstance(one, Submitted) for one in outcomes)
        if taken != len(numbers):
            raise RuntimeError(f"{taken} of {len(numbers)} were taken")

    async def run(self, task: str, number: int) -> None:
        """One job, and its end."""
        submission = Submission(task=task, args={"number": number})
        _, end = await self.node.queue.submit_and_wait(submission, 30)
        if end is None or end.job.state is not JobState.SUCCEEDED:
            raise RuntimeError("a job did not succeed")

    async def close(self) -> None:
        """Stop the node."""
        await self.node.stop()


if __name__ == "__main__":
    asyncio.run(ask(Inside()))
