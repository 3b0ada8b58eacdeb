"""What the tests of processes share: a node whose tasks run in processes, and a look at these."""

import gc
from pathlib import Path

import psutil
import pytest
from web import eventually

from server.loader import load
from server.protocol import Submission

__all__ = ["begin", "no_collector", "registry", "run", "settings"]
TASKS = str(Path(__file__).parent / "process_tasks.py")
KILLED = r"^job \w+ does not end; its process is killed$"
DIED = r"^the process of job \w+ died: "


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"tasks": (TASKS,), "processes": settings.processes or 0})


@pytest.fixture
def registry():
    loaded = load([TASKS])
    assert loaded.problems == []
    return loaded.registry


@pytest.fixture
def run(node):
    """Runs a task to its end: `await run("where")`."""

    async def run(name, **args):
        _, end = await node.queue.submit_and_wait(Submission(task=name, args=args), 20)
        assert end is not None, "it did not end"
        return end

    return run


@pytest.fixture
def begin(node):
    """Submits a job and waits for its first line."""

    async def begin(name, **args):
        job = await node.queue.submit(Submission(task=name, args=args))
        await eventually(lambda: texts(node, job.id), 10)
        return job

    return begin


async def texts(node, job_id):
    """The lines of its log."""
    found, after = [], 0
    while page := (await node.queue.log(job_id, after, 1000))["entries"]:
        found += [entry["text"] for entry in page]
        after += len(page)
    return found


async def end_of(node, job, timeout_s=10.0):
    """The job when it has ended."""

    async def ended():
        detail = await node.queue.get(job.id)
        return detail if detail.job.ended else None

    return await eventually(ended, timeout_s)


@pytest.fixture
def no_collector():
    """What is let go must not wait for the collector: in a server it seldom comes."""
    gc.disable()
    yield
    gc.enable()


def children():
    """The processes of pools that this process has; spawn names them so."""
    found = []
    for one in psutil.Process().children():
        try:
            if "spawn_main" in " ".join(one.cmdline()):
                found.append(one.pid)
        except psutil.Error:
            continue
    return found


def running(pid):
    """Whether a process lives; one that nobody has reaped is dead."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
