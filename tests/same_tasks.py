"""Tasks whose jobs may be the same, and what their tests share."""

import asyncio
from typing import Any

import redis
from web import eventually

from server.job import Job, JobDetail
from server.node import Node
from server.protocol import Submission
from server.registry import Registry
from server.settings import Settings
from windsock import Progress, task

gates: dict[str, asyncio.Event] = {}  # by job: lets it end


@task(unique=True)
async def build(name: str, progress: Progress, fast: bool = False, fails: bool = False) -> str:
    """Ends when it is let."""
    progress.update(0, note="at work")
    await gates.setdefault(progress.job_id, asyncio.Event()).wait()
    if fails:
        raise ValueError("no")
    return name


@task(unique=("name",))
async def publish(name: str, size: int = 1) -> None:
    """The same for all sizes."""
    await asyncio.Event().wait()


@task(cache_s=60)
async def square(number: int) -> int:
    """Counts its runs by its result's id."""
    return number * number


@task(cache_s=0.1)
async def brief(number: int) -> int:
    """Is remembered for a moment."""
    return number


@task(cache_s=60)
async def fails(number: int) -> None:
    """Has no result."""
    raise ValueError(number)


@task(unique=True, cache_s=60)
async def both(number: int, progress: Progress) -> int:
    """Ends when it is let."""
    await gates.setdefault(progress.job_id, asyncio.Event()).wait()
    return number


@task
async def plain(number: int) -> int:
    """Each submit is a job."""
    return number


def known_tasks() -> Registry:
    """A registry of the tasks above."""
    gates.clear()
    registry = Registry()
    registry.add_functions([build, publish, square, brief, fails, both, plain])
    return registry


def let(job_id: str) -> None:
    """Let a job end."""
    gates.setdefault(job_id, asyncio.Event()).set()


async def submit(node: Node, task_name: str, /, **given: Any) -> Job:
    """Submit for a node."""
    args = {key: given.pop(key) for key in list(given) if key in ("name", "fast", "fails", "size", "number")}
    return await node.queue.submit(Submission(task=task_name, args=args, **given))


async def ended(node: Node, job_id: str) -> JobDetail:
    """The job when it has ended."""

    async def look() -> Any:
        detail = await node.queue.get(job_id)
        return detail.job.ended and detail

    found: JobDetail = await eventually(look)
    return found


def claims(settings: Settings, client: "redis.Redis") -> list[str]:
    """The keys that say which jobs are the same."""
    found = client.scan_iter(f"{{{settings.namespace}}}:*")
    return sorted(key.decode().split(":", 1)[1] for key in found if b"}:unique:" in key or b"}:cached:" in key)
