"""A process whose loop stands still: a worker ends itself after a while, a server does not, and both say who it was."""

import signal

import pytest
from processes import Processes, processes, wait_for

__all__ = ["processes"]
HOG = '''

@task
async def hog(progress: Progress) -> None:
    """Keeps the GIL, so that no thread of its process gets a turn, and lets no signal in."""
    progress.log("begun")
    await asyncio.sleep(0.1)
    sum(range(10**13))

@task
async def backtrack(progress: Progress) -> None:
    """The same, but the engine of regular expressions lets signals in."""
    import re
    progress.log("begun")
    await asyncio.sleep(0.1)
    re.match("(a|a)*b", "a" * 60)
'''


@pytest.fixture
def work(processes: Processes) -> Processes:
    """Processes that know one task more."""
    processes.tasks.write_text(processes.tasks.read_text() + HOG)
    return processes


def test_a_worker_whose_loop_is_blocked_for_too_long_ends_itself_and_its_job_is_rescued(work: Processes) -> None:
    server = work.serve("--no-worker", redis=work.redis())
    worker = work.work(redis=work.redis_url, max_block_s=1.0)
    job_id = server.submit("block", {"seconds": 40}, max_attempts=1)
    assert worker.wait(20) == 70
    assert f"blocked for 1 s (max_block_s) by job {job_id} (block) at work.py:" in worker.output
    assert server.end(job_id)["error"]["code"] == "worker_lost"


def test_a_worker_whose_gil_is_kept_for_too_long_is_ended_by_the_kernel(work: Processes) -> None:
    server = work.serve("--no-worker", redis=work.redis())
    worker = work.work(redis=work.redis_url, max_block_s=1.0)
    job_id = server.submit("hog", max_attempts=1)
    assert worker.wait(30) == -signal.SIGVTALRM
    assert server.end(job_id)["error"]["code"] == "worker_lost"


def test_a_regular_expression_without_an_end_is_named_before_its_worker_ends(work: Processes) -> None:
    server = work.serve("--no-worker", redis=work.redis())
    worker = work.work(redis=work.redis_url, max_block_s=1.0)
    job_id = server.submit("backtrack", max_attempts=1)
    assert worker.wait(30) == 70
    assert f"by job {job_id} (backtrack) at work.py:" in worker.output
    assert server.end(job_id)["error"]["code"] == "worker_lost"


def test_a_server_does_not_end_itself(work: Processes) -> None:
    server = work.serve(max_block_s=0.4)
    job = server.end(server.submit("block", {"seconds": 1.5}))
    assert job["result"] == "done"
    (warning,) = job["warnings"]
    assert warning["kind"] == "blocked_loop"
    assert 1.3 < warning["seconds"] < 3


def test_the_stack_of_a_job_that_blocks_its_worker_is_told_meanwhile(work: Processes) -> None:
    server = work.serve("--no-worker", redis=work.redis())
    work.work(redis=work.redis_url)
    job_id = server.submit("block", {"seconds": 4.0})
    server.running(job_id)

    def blocked() -> bool:
        found = [node["blocked"] for node in server.get("/api/nodes").body["nodes"] if node["blocked"]]
        return bool(found) and found[0]["job"] == job_id

    wait_for(blocked, "the list of nodes to say who blocks")
    answer = server.get(f"/api/jobs/{job_id}/stack")
    assert answer.status == 200
    assert answer.body["frames"][-1]["code"] == "time.sleep(seconds)"
    assert "the loop waits for it" in answer.body["text"]
    assert server.end(job_id)["state"] == "succeeded"
