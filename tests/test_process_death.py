"""Processes that are told to end, have to be killed, or die: each costs its own job at most."""

import psutil
import pytest
from pool import DIED, KILLED, begin, children, end_of, registry, run, running, settings, texts
from web import eventually, having

from server.job import JobState
from server.protocol import Submission

__all__ = ["begin", "registry", "run", "settings"]


# cancel, timeout, drain


@pytest.mark.gen_test(timeout=30)
async def test_a_cancel_stops_the_function_at_its_next_progress_call(begin, node, run, tmp_path):
    pid = (await run("where")).result["pid"]
    job = await begin("until_told", file=str(tmp_path / "never"))
    await node.queue.cancel(job.id)
    assert (await end_of(node, job)).job.state is JobState.CANCELLED
    assert (await run("where")).result["pid"] == pid


@having(cancel_grace_s=20)
@pytest.mark.gen_test(timeout=30)
async def test_a_cancel_while_the_process_starts_is_heeded_before_the_function_begins(node, run, api, tmp_path):
    job = await node.queue.submit(Submission(task="until_told", args={"file": str(tmp_path / "never")}))
    await api.until(job.id, "running")
    await node.queue.cancel(job.id)
    assert (await end_of(node, job)).job.state is JobState.CANCELLED
    assert await texts(node, job.id) == []
    assert (await run("where")).job.state is JobState.SUCCEEDED


@pytest.mark.gen_test(timeout=30)
async def test_a_function_may_tidy_up_and_return_when_it_is_cancelled(begin, node):
    job = await begin("swallow")
    await node.queue.cancel(job.id)
    detail = await end_of(node, job)
    assert (detail.job.state, detail.result) == (JobState.SUCCEEDED, "tidy")


@having(processes=1)
@pytest.mark.expects_log(KILLED)
@pytest.mark.gen_test(timeout=30)
async def test_a_function_that_heeds_no_cancel_is_killed_and_its_slot_is_free(begin, node, run):
    job = await begin("deaf")
    (pid,) = await texts(node, job.id)
    await node.queue.cancel(job.id)
    assert (await end_of(node, job)).job.state is JobState.CANCELLED
    assert node.worker.describe()["abandoned"] == 0
    assert (await run("where")).result["pid"] != int(pid)
    await eventually(lambda: not psutil.pid_exists(int(pid)))


@pytest.mark.expects_log(KILLED)
@pytest.mark.gen_test(timeout=30)
async def test_code_that_holds_the_gil_is_killed_with_the_program_it_started(begin, node, tmp_path):
    job = await begin("frozen", file=str(tmp_path / "frozen"))
    await eventually((tmp_path / "frozen").exists)
    pids = [int(pid) for pid in (await texts(node, job.id))[0].split()]
    await node.queue.cancel(job.id)
    assert (await end_of(node, job)).job.state is JobState.CANCELLED
    for pid in pids:
        await eventually(lambda pid=pid: not running(pid))


@pytest.mark.expects_log(KILLED)
@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("polite", [True, False])
async def test_a_function_that_runs_too_long_fails(run, polite):
    detail = await run("slow", polite=polite)
    assert (detail.job.state, detail.error["code"]) == (JobState.FAILED, "timeout")


@pytest.mark.gen_test(timeout=30)
async def test_the_time_a_process_takes_to_start_does_not_count(run):
    assert (await run("quick")).result == "in time"


@pytest.mark.expects_log(KILLED)
@pytest.mark.gen_test(timeout=30)
async def test_a_drain_gives_back_what_runs(begin, node, tmp_path):
    polite, deaf = await begin("until_told", file=str(tmp_path / "never")), await begin("deaf")
    await node.worker.drain(0.0)
    for job in (polite, deaf):
        detail = await node.queue.get(job.id)
        assert (detail.job.state, detail.job.attempt) == (JobState.QUEUED, 2)


# death


@pytest.mark.expects_log(DIED)
@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("exit", "exit code 3"),
        ("leave", "exit code 0"),
        ("crash", "SIGSEGV (segmentation fault)"),
        ("killed", "SIGKILL (killed; by the kernel, if memory ran out)"),
    ],
)
async def test_a_process_that_dies_fails_its_own_job_and_says_how(begin, run, node, tmp_path, how, said):
    beside = await begin("until_told", file=str(tmp_path / "go"))
    before = children()
    detail = await run("die", how=how)
    assert (detail.job.state, detail.error["code"]) == (JobState.FAILED, "process_died")
    assert detail.error["message"] == f"the process died: {said}"
    assert await texts(node, detail.job.id) == ["line 1"]
    assert (await run("where")).job.state is JobState.SUCCEEDED
    (tmp_path / "go").touch()
    assert (await end_of(node, beside)).result in before


@pytest.mark.gen_test(timeout=30)
async def test_a_process_that_dies_idle_costs_no_job(run):
    pid = (await run("where")).result["pid"]
    psutil.Process(pid).kill()
    assert (await run("where")).result["pid"] != pid
