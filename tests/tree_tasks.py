"""Tasks that have children, of every kind. A file of its own, so that processes can load it."""

import asyncio
import os
import time
from typing import Any
from uuid import uuid4

from windsock import ChildFailed, Progress, SpawnRefused, task


@task
async def leaf(n: int = 0, fail: bool = False, wait_s: float = 0.0) -> int:
    """Answers with the double."""
    await asyncio.sleep(wait_s)
    if fail:
        raise ValueError(f"leaf {n} is bad")
    return 2 * n


@task
async def forever() -> None:
    """Runs until it is stopped."""
    await asyncio.Event().wait()


@task
async def bar(progress: Progress, done: float, total: float) -> None:
    """Stands still at some point."""
    progress.update(done, total)
    await asyncio.Event().wait()


@task
async def family(progress: Progress, count: int, bad: int = 0, on_failure: str = "fail", wait_s: float = 0.0) -> list:
    """Has so many children, of which the first ones fail."""
    for n in range(count):
        await progress.spawn(leaf, n=n, fail=n < bad, wait_s=wait_s)
    results = await progress.gather(on_failure=on_failure)
    return [str(one) if isinstance(one, ChildFailed) else one for one in results]


@task
async def flock(progress: Progress, name: str = "forever", count: int = 3, args: dict | None = None) -> None:
    """Has children of a kind, and waits for them."""
    for _ in range(count):
        await progress.spawn(name, args=args)
    await progress.gather()


@task
async def chain(progress: Progress, depth: int) -> int:
    """A tree without branches."""
    if depth == 0:
        return 0
    await progress.spawn(chain, depth=depth - 1)
    (below,) = await progress.gather()
    return below + 1


@task
def thread_chain(progress: Progress, depth: int) -> int:
    """The same, in threads."""
    if depth == 0:
        return 0
    progress.spawn(thread_chain, depth=depth - 1)
    (below,) = progress.gather()
    return below + 1


@task(process=True)
def process_chain(progress: Progress, depth: int) -> list[int]:
    """The same, in processes: answers with their numbers."""
    if depth == 0:
        return [os.getpid()]
    child = progress.spawn("process_chain", depth=depth - 1)
    return [os.getpid(), *progress.gather(child)[0]]


@task(limit=1)
async def narrow_chain(progress: Progress, depth: int) -> int:
    """One at a time, all depths together."""
    if depth == 0:
        return 0
    await progress.spawn(narrow_chain, depth=depth - 1)
    (below,) = await progress.gather()
    return below + 1


@task(limit=1, limit_trees=True)
async def kept_chain(progress: Progress, depth: int) -> int:
    """One tree at a time, whatever is in it."""
    if depth == 0:
        return 0
    await progress.spawn(kept_chain, depth=depth - 1)
    (below,) = await progress.gather()
    return below + 1


begun: set[str] = set()  # parents that have begun and not ended


@task(limit=3, limit_trees=True)
async def few_at_once(progress: Progress) -> int:
    """Its child is of another kind, so no slot bounds how many of these wait."""
    begun.add(progress.job_id)
    together = len(begun)
    await progress.spawn("busy", seconds=0.01)
    await progress.gather()
    begun.discard(progress.job_id)
    return together


@task
async def late_family(progress: Progress, wait_s: float) -> list:
    """Has a child after a while."""
    await asyncio.sleep(wait_s)
    await progress.spawn(leaf, n=1)
    return await progress.gather()


@task
async def mixed(progress: Progress) -> list:
    """Children of every kind."""
    thread = await progress.spawn(thread_chain, depth=1)
    process = await progress.spawn(process_chain, depth=1)
    here = await progress.spawn(leaf, n=4)
    return [len(one) if isinstance(one, list) else one for one in await progress.gather(here, process, thread)]


@task
async def refused(progress: Progress, name: str, args: dict) -> str:
    """Tells why a child cannot be."""
    try:
        await progress.spawn(name, args=args)
    except SpawnRefused as error:
        return str(error)
    return "was taken"


@task
def thread_flock(progress: Progress, name: str = "forever") -> None:
    """Waits in a thread for one that does not end."""
    progress.spawn(name)
    progress.gather()


@task(process=True)
def process_family(progress: Progress, count: int, bad: int = 0, on_failure: str = "fail") -> list:
    """As `family`, in a process."""
    children = [progress.spawn("leaf", n=n, fail=n < bad) for n in range(count)]
    try:
        results = progress.gather(*children, on_failure=on_failure)
    except ChildFailed as error:
        return [error.child == children[0].id, error.task, error.state, error.error["message"]]
    return [str(one) if isinstance(one, ChildFailed) else one for one in results]


@task
async def again(progress: Progress) -> list:
    """Spawns in each of its attempts; the first one hangs then."""
    for n in range(3):
        await progress.spawn(leaf, n=n)
    await progress.spawn(leaf, key="keyed", n=9)
    if progress.attempt == 1:
        await asyncio.Event().wait()
    return await progress.gather()


@task
def busy(seconds: float) -> None:
    """Holds a thread."""
    time.sleep(seconds)


@task
async def far_family(progress: Progress, count: int) -> list:
    """Its children run elsewhere; it spawns them without waiting for each."""
    for n in range(count):
        progress.spawn(leaf, n=n, in_queue="far")
    return await progress.gather()


@task
async def dice(filler: int = 0) -> str:
    """Never the same twice."""
    return f"{uuid4()}{'.' * filler}"


@task
async def after_gate(
    progress: Progress, name: str = "dice", args: dict | None = None, twice: bool = False
) -> dict[str, Any]:
    """When its first child was cancelled it has another, and waits for that and for one that does not end."""
    await progress.gather(await progress.spawn(forever), on_failure="collect")
    child = await progress.spawn(name, args=args)
    before = await progress.gather(child, on_failure="collect") if twice else [None]
    after = await progress.gather(child, await progress.spawn(forever), on_failure="collect")
    told = [one.state if isinstance(one, ChildFailed) else one for one in (*before, *after)]
    return {"before": told[0], "after": told[1], "other": told[2]}
