"""Children and groups by the client and the command line, against a real server."""

import subprocess
import sys
from typing import Any

import pytest
from clients import client
from processes import ROOT, Processes, Server, lasting

from windsock import JobFailed, Submission

__all__ = ["client", "lasting"]
TASKS = '''

@task
async def leaf(number: int, progress: Progress, fails: bool = False) -> int:
    """A child."""
    progress.update(1, 1)
    if fails:
        raise ValueError("this one fails")
    return number

@task
async def tree(count: int, progress: Progress) -> list[int]:
    """Spawns children and gathers them."""
    spawned = [await progress.spawn(leaf, number=number) for number in range(count)]
    return await progress.gather(*spawned)
'''


@pytest.fixture(scope="module")
def served(lasting: Processes) -> Server:
    lasting.tasks.write_text(lasting.tasks.read_text() + TASKS)
    return lasting.serve()


def run(served: Server, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "run.py"), *words, "--url", served.url]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_children_are_told_of_and_listed(client: Any, served: Server) -> None:
    handle = client.submit("tree", count=3)
    assert handle.result(20) == [0, 1, 2]
    job = handle.get()
    assert (job.children.total, job.children.ended, job.children.failed) == (3, 3, 0)
    page = client.children(handle.id, state="succeeded")
    assert len(page.jobs) == 3
    assert {child.parent for child in page.jobs} == {handle.id}
    assert [child.id for child in client.list(parent=handle.id).jobs] == [child.id for child in page.jobs]
    listed = run(served, "children", handle.id)
    assert [line.split("\t")[0] for line in listed.stdout.splitlines()] == [child.id for child in page.jobs]


def test_a_group_ends_with_the_last_of_its_jobs(client: Any) -> None:
    wanted = [Submission("leaf", {"number": number, "fails": number == 2}) for number in range(3)]
    group, jobs = client.submit_group("night", [*wanted, Submission("nosuch")])
    with pytest.raises(JobFailed) as failure:
        group.result(20)
    assert failure.value.code == "child_failed"
    assert [type(one).__name__ for one in jobs][3] == "Invalid"
    assert jobs[1].result(10) == 1
    assert group.get().task == "night"


def test_a_group_with_a_key_is_one_group(client: Any) -> None:
    key = f"night-{id(client)}"
    wanted = [Submission("leaf", {"number": 1})]
    first, _ = client.submit_group("night", wanted, idempotency_key=key)
    again, _ = client.submit_group("night", wanted, idempotency_key=key)
    assert first.id == again.id
    assert first.wait(10).children.total == 1
