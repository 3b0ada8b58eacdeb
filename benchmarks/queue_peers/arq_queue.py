"""arq: a coroutine worker; and behind FastAPI (`uvicorn arq_queue:app`)."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import work
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.constants import default_queue_name
from arq.jobs import Job
from arq.worker import run_worker
from asking import Client, ask
from fastapi import FastAPI
from pydantic import BaseModel

SETTINGS = RedisSettings.from_dsn(work.URL)


async def noop(context: Any, number: int) -> None:
    """As `work.noop`."""
    await work.noop(number)


async def pause(context: Any, number: int) -> None:
    """As `work.pause`."""
    await work.pause(number)


async def hang(context: Any, number: int) -> None:
    """As `work.hang`."""
    await work.hang(number)


class WorkerSettings:
    """What arq reads."""

    functions = [noop, pause, hang]
    redis_settings = SETTINGS
    max_jobs = work.SLOTS


class Arq(Client):
    """Its client."""

    async def open(self) -> None:
        """Connect."""
        self.pool = await create_pool(SETTINGS)

    async def submit(self, task: str, number: int) -> Job:
        """One job."""
        job = await self.pool.enqueue_job(task, number)
        assert job is not None
        return job

    async def run(self, task: str, number: int) -> None:
        """One job, and its end."""
        job = await self.submit(task, number)
        await job.result(timeout=30)

    async def close(self) -> None:
        """Hang up."""
        await self.pool.aclose()


pools: list[ArqRedis] = []


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One pool for all requests."""
    pools.append(await create_pool(SETTINGS))
    yield
    await pools.pop().aclose()


app = FastAPI(lifespan=lifespan)


class Submission(BaseModel):
    """A body like Windsock's."""

    task: str
    args: dict[str, int]


@app.post("/api/jobs", status_code=202)
async def submit(submission: Submission) -> dict[str, str]:
    """Take a job in."""
    job = await pools[0].enqueue_job(submission.task, **submission.args)
    assert job is not None
    return {"id": job.job_id, "task": submission.task}


@app.get("/api/jobs")
async def count() -> dict[str, dict[str, int]]:
    """How many wait."""
    return {"counts": {"queued": await pools[0].zcard(default_queue_name)}}


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        run_worker(WorkerSettings)  # type: ignore[arg-type]
    else:
        asyncio.run(ask(Arq()))
