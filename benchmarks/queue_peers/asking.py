"""The client's side of every contestant: submits what it is told to on stdin, and says how long that took.

A line in is `{"way": "one" | "together" | "batch" | "end", "task": name, "first": number, "count": jobs, …}`; a line
out is `{"seconds": …}`, for `end` `{"asked_ns": […], "ended_ns": […]}`, or `{"missing": why}`.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

TOGETHER = 32
BATCH = 1000


class Client:
    """A contestant as its own programs use it. Each overrides `submit` and `run`, and what else it can do."""

    together = True  # whether submits can be under way at the same time
    batch = False  # whether `submit_many` is there

    async def open(self) -> None:
        """Connect."""

    async def submit(self, task: str, number: int) -> Any:
        """Hand one job in."""
        raise NotImplementedError

    async def submit_many(self, task: str, numbers: Sequence[int]) -> None:
        """Hand many in, in the way that is made for it."""
        raise NotImplementedError

    async def run(self, task: str, number: int) -> None:
        """Hand one in, and return when its end is known."""
        raise NotImplementedError

    async def close(self) -> None:
        """Hang up."""


async def one(client: Client, task: str, numbers: Sequence[int]) -> None:
    """Each submit after the last was answered."""
    for number in numbers:
        await client.submit(task, number)


async def together(client: Client, task: str, numbers: Sequence[int]) -> None:
    """So many submits under way at a time."""

    async def some(left: Iterator[int]) -> None:
        for number in left:
            await client.submit(task, number)

    left = iter(numbers)
    await asyncio.gather(*(some(left) for _ in range(TOGETHER)))


async def batch(client: Client, task: str, numbers: Sequence[int]) -> None:
    """Many jobs in one call."""
    for first in range(0, len(numbers), BATCH):
        await client.submit_many(task, numbers[first : first + BATCH])


async def ends(client: Client, asked: dict[str, Any]) -> dict[str, Any]:
    """One job at a time on an idle system, each after a pause; stops early after `limit_s`."""
    asked_ns, ended_ns = [], []
    until = time.monotonic() + asked["limit_s"]
    for number in range(asked["first"], asked["first"] + asked["count"]):
        asked_ns.append(time.time_ns())
        await client.run(asked["task"], number)
        ended_ns.append(time.time_ns())
        if time.monotonic() > until:
            break
        await asyncio.sleep(asked["pause_s"])
    return {"asked_ns": asked_ns, "ended_ns": ended_ns}


async def answer(client: Client, asked: dict[str, Any]) -> dict[str, Any]:
    """What came of one line."""
    if asked["way"] == "end":
        return await ends(client, asked)
    way = {"one": one, "together": together, "batch": batch}[asked["way"]]
    if (way is together and not client.together) or (way is batch and not client.batch):
        return {"missing": "has none"}
    numbers = range(asked["first"], asked["first"] + asked["count"])
    began = time.perf_counter()
    await way(client, asked["task"], numbers)
    return {"seconds": time.perf_counter() - began}


async def ask(client: Client) -> None:
    """Answer lines until there are no more."""
    await client.open()
    loop = asyncio.get_running_loop()
    try:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(await answer(client, json.loads(line))), flush=True)
    finally:
        await client.close()
