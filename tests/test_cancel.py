"""Cancel, step by step: what watchers see while a job is asked to end, and what they are told of one that does not."""

import asyncio
import threading

import pytest
from web import eventually

from server.job import JobState
from server.protocol import Submission
from windsock import Progress, task

let_go = threading.Event()


@task
async def deaf(progress: Progress) -> None:
    """Does not heed being cancelled before it is let go."""
    progress.note("here")
    while not let_go.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            continue


@task
def deaf_in_thread(progress: Progress) -> None:
    """Makes one progress call, and then none."""
    progress.note("here")
    let_go.wait(10)


@task(timeout_s=0.05)
def late_in_thread() -> None:
    """Runs into its time, and makes no progress call."""
    let_go.wait(10)


@task
async def tidies_up(progress: Progress) -> None:
    """Takes a moment to end, and ends when it is let go."""
    progress.note("here")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.to_thread(let_go.wait, 10)
        raise


@pytest.fixture
def registry(registry):
    registry.add_functions(globals().values())
    let_go.clear()
    yield registry
    let_go.set()


async def detail(node, job_id, wanted):
    """The job, when it is as it should be."""

    async def look():
        found = await node.queue.get(job_id)
        return found if wanted(found.job) else None

    return await eventually(look)


async def running(node, name):
    """A job that has said its first word."""
    job = await node.queue.submit(Submission(task=name))
    await detail(node, job.id, lambda job: job.progress is not None)
    return job


async def all_slots_free(node):
    """The functions have returned."""
    await eventually(lambda: node.worker.describe()["running"] == 0)


@pytest.mark.gen_test
async def test_a_job_that_is_asked_to_end_is_cancelling_until_it_has(node):
    job = await running(node, "tidies_up")
    asked = await node.queue.cancel(job.id)
    assert (asked.state, asked.finished_at) == (JobState.CANCELLING, None)
    let_go.set()
    end = await detail(node, job.id, lambda job: job.ended)
    assert (end.job.state, end.job.warnings) == (JobState.CANCELLED, ())


@pytest.mark.gen_test
async def test_asking_again_changes_nothing(node):
    job = await running(node, "tidies_up")
    first = await node.queue.cancel(job.id)
    second = await node.queue.cancel(job.id)
    assert (second.state, second.version) == (first.state, first.version)
    let_go.set()
    await detail(node, job.id, lambda job: job.ended)


@pytest.mark.gen_test
@pytest.mark.parametrize("name", ["deaf", "deaf_in_thread"])
@pytest.mark.expects_log("does not end; its slot stays taken")
async def test_a_job_that_does_not_end_says_so_while_it_is_waited_for_and_afterwards(node, name):
    job = await running(node, name)
    await node.queue.cancel(job.id)
    waiting = (await detail(node, job.id, lambda job: job.warnings)).job
    (warning,) = waiting.warnings
    assert (waiting.state, warning["kind"], warning["attempt"]) == (JobState.CANCELLING, "not_ending", 1)
    assert warning["message"] == "asked to end 0.15 s ago and still runs; in 0.15 s the job ends without it"
    end = (await detail(node, job.id, lambda job: job.ended)).job
    (warning,) = end.warnings
    assert (end.state, warning["kind"]) == (JobState.CANCELLED, "not_ending")
    assert "still runs and keeps its slot" in warning["message"]
    let_go.set()
    await all_slots_free(node)


@pytest.mark.gen_test
@pytest.mark.expects_log("does not end; its slot stays taken")
async def test_a_job_that_ran_out_of_time_and_does_not_end_says_so_too(node):
    job = await node.queue.submit(Submission(task="late_in_thread"))
    end = await detail(node, job.id, lambda job: job.ended)
    assert (end.error["code"], [one["kind"] for one in end.job.warnings]) == ("timeout", ["not_ending"])
    let_go.set()
    await all_slots_free(node)


@pytest.mark.gen_test
async def test_a_watcher_is_told_each_step(node, stream):
    job = await running(node, "tidies_up")
    client = await stream(hello=[{"sub": 1, "job": job.id}])
    await client.until("live")
    await node.queue.cancel(job.id)
    await client.until(lambda frame: frame["type"] == "update" and frame["job"]["state"] == "cancelling")
    let_go.set()
    end = await client.until("end")
    assert end["job"]["state"] == "cancelled"
