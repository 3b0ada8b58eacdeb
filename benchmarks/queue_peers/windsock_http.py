"""Windsock by HTTP: keep-alive connections, one for each submit under way."""

import asyncio
import json
import os
from collections.abc import Sequence

from asking import TOGETHER, Client, ask
from processes import Http


def submission(task: str, number: int) -> dict[str, object]:
    """What is POSTed."""
    return {"task": task, "args": {"number": number}}


class Posts(Client):
    """A program that POSTs."""

    batch = True

    async def open(self) -> None:
        """Connect as often as needed."""
        self.free: asyncio.Queue[Http] = asyncio.Queue()
        for _ in range(TOGETHER):
            self.free.put_nowait(await Http(os.environ["QUEUE_HTTP"]).open())

    async def _post(self, value: object, headers: str = "") -> bytes:
        http = await self.free.get()
        try:
            return await http.post("/api/jobs", json.dumps(value).encode(), headers)
        finally:
            self.free.put_nowait(http)

    async def submit(self, task: str, number: int) -> bytes:
        """One job."""
        return await self._post(submission(task, number))

    async def submit_many(self, task: str, numbers: Sequence[int]) -> None:
        """One array."""
        answer = json.loads(await self._post([submission(task, number) for number in numbers]))
        taken = sum("id" in job for job in answer["jobs"])
        if taken != len(numbers):
            raise RuntimeError(f"{taken} of {len(numbers)} were taken")

    async def run(self, task: str, number: int) -> None:
        """One job, and its end in the same answer."""
        job = json.loads(await self._post(submission(task, number), "Prefer: wait=30\r\n"))
        if job["state"] != "succeeded":
            raise RuntimeError(f"a job is {job['state']}")


if __name__ == "__main__":
    asyncio.run(ask(Posts()))
