"""What the tests of worker processes share: their tasks, and how to find the processes."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import Processes, Server, wait_for

TASKS = '''
import asyncio, os, re, signal
from windsock import Progress, task

ANSWER = 1

@task
async def answer() -> int:
    """Says which code runs."""
    return ANSWER

@task
async def note(file: str) -> int:
    """Writes a line for each time it runs; the process that ran it."""
    with open(file, "a") as out:
        out.write("ran\\n")
    return os.getpid()

@task
async def last(seconds: float, progress: Progress) -> int:
    """Takes its time; the process that ran it."""
    progress.log("begun")
    await asyncio.sleep(seconds)
    return os.getpid()

@task
async def hog(progress: Progress) -> None:
    """Holds the GIL, so that no thread of its process gets a turn."""
    progress.log("begun")
    await asyncio.sleep(0.1)
    re.match("(a+)+$", "a" * 60 + "b")

@task
async def die(progress: Progress) -> None:
    """Kills its process."""
    os.kill(os.getpid(), signal.SIGKILL)
'''


@pytest.fixture
def work(processes: Processes) -> Processes:
    """Processes with the tasks above."""
    processes.tasks.write_text(TASKS)
    return processes


def node_named(server: Server, name: str) -> dict[str, Any]:
    """A process as it described itself at its last beat, once it has."""
    nodes: list[dict[str, Any]] = server.get("/api/nodes").body["nodes"]
    return next((node for node in nodes if node["name"] == name), {})


def children(server: Server, parent: str = "node") -> list[dict[str, Any]]:
    """The worker processes as their parent describes them."""
    found: list[dict[str, Any]] = node_named(server, parent).get("children", [])
    return found


def pids(server: Server, parent: str = "node") -> list[int]:
    """The worker processes, in the order of their numbers, once all take jobs."""

    def all_running() -> list[int]:
        known = children(server, parent)
        return [child["pid"] for child in known] if all(child["state"] == "running" for child in known) else []

    found: list[int] = wait_for(all_running, "all worker processes to run", 30)
    return found


def gone(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def counted(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


def rolled(server: Server, before: list[int], parent: str = "node") -> Callable[[], bool]:
    """Whether all of these have been replaced."""
    return lambda: bool(now := children(server, parent)) and not set(before) & {child["pid"] for child in now}
