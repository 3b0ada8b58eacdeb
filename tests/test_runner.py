"""One job from claim to verdict: whatever a task does, its job ends as it should."""

import asyncio
import threading

import pytest
from storing import new_job

from server.codec import MSGPACK
from server.job import JobState
from server.protocol import Submission
from windsock import JobCancelled, Progress, task

release = threading.Event()  # lets `deaf_thread` end


class Unspeakable(Exception):
    """Cannot be put into words."""

    def __str__(self):
        raise RuntimeError("no words")


@task
async def raises(kind: str) -> None:
    """Raises something special."""
    raise {
        "stop": StopAsyncIteration(),
        "keyboard": KeyboardInterrupt(),
        "unspeakable": Unspeakable(),
        "surrogate": ValueError("file \udcff"),
        "long": ValueError("x" * 50_000),
        "cancelled": asyncio.CancelledError(),
        "job_cancelled": JobCancelled(),
    }[kind]


@task
def raises_in_thread(kind: str) -> None:
    """Raises something special in a thread."""
    raise {"stop": StopIteration(), "exit": SystemExit(1), "plain": KeyError("k")}[kind]


@task
async def gives(kind: str) -> object:
    """Returns something that has to be translated, or cannot be."""
    return {"set": {1}, "bytes": b"ab", "tuple": (1, 2), "surrogate": "\udcff", "keys": {1: 2}, "huge": 2**70}[kind]


@task
async def tidies_up(fails: bool) -> str:
    """Has something to do before it ends."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.sleep(0.01)
        if fails:
            raise ValueError("tidying up failed") from None
        return "tidy"
    return "never"


@task(timeout_s=0.1)
def deaf_thread() -> str:
    """Makes no progress call, so that nothing reaches it."""
    release.wait(10)
    return "at last"


@task(timeout_s=0.1)
def hears_in_thread(progress: Progress) -> None:
    """Goes on until a progress call stops it."""
    while True:
        progress.advance()
        release.wait(0.005)


@task
async def tells_and_waits(progress: Progress) -> None:
    """Logs something and waits."""
    progress.log("begun")
    await asyncio.Event().wait()


@pytest.fixture
def registry(registry):
    registry.add_functions(globals().values())
    return registry


@pytest.fixture
def run(node):
    """Runs a task to its end: `await run("add", a=1)`."""

    async def run(name, **args):
        _, end = await node.queue.submit_and_wait(Submission(task=name, args=args), 10)
        assert end is not None, "it did not end"
        return end

    return run


async def until(wanted, timeout_s=5.0):
    """Returns when `wanted()` is true."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not wanted():
        assert asyncio.get_running_loop().time() < deadline, "it does not come"
        await asyncio.sleep(0.005)


async def started(node, name, **args):
    """A job that runs."""
    job = await node.queue.submit(Submission(task=name, args=args))
    await until(lambda: any(held.function_runs for held in node.worker._running if held.lease.id == job.id))
    await asyncio.sleep(0)  # into its first await
    return job


async def end_of(node, job):
    """The job when it has ended."""
    deadline = asyncio.get_running_loop().time() + 5
    while not (detail := await node.queue.get(job.id)).job.ended:
        assert asyncio.get_running_loop().time() < deadline, detail.job.state
        await asyncio.sleep(0.005)
    return detail


@pytest.mark.gen_test
async def test_a_coroutine_returns_its_result(run):
    detail = await run("add", a=2, b=3)
    assert (detail.job.state, detail.result, detail.result_bytes) == (JobState.SUCCEEDED, 5, 1)
    assert detail.job.finished_at >= detail.job.started_at


@pytest.mark.gen_test
async def test_a_plain_function_runs_in_a_thread_and_its_log_is_complete(run, node):
    detail = await run("in_thread", count=5)
    assert detail.result.startswith("windsock-job")
    assert detail.job.progress["done"] == 5
    assert [entry["text"] for entry in (await node.queue.log(detail.job.id, 0, 100))["entries"]] == ["turn"] * 5


@pytest.mark.gen_test
async def test_an_exception_is_a_failure_with_the_traceback_of_the_task(run):
    detail = await run("fail", message="broken")
    assert detail.job.state is JobState.FAILED
    assert (detail.error["code"], detail.error["message"]) == ("exception", "ValueError: broken")
    assert "sample_tasks.py" in detail.error["traceback"]
    assert "runner.py" not in detail.error["traceback"]
    assert "executors.py" not in detail.error["traceback"]


@pytest.mark.gen_test
async def test_an_exception_in_a_thread_has_the_traceback_of_the_task(run):
    error = (await run("raises_in_thread", kind="plain")).error
    assert error["message"] == "KeyError: 'k'"
    assert "test_runner.py" in error["traceback"]
    assert "executors.py" not in error["traceback"]
    assert "thread.py" not in error["traceback"]


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("raises", "stop", "StopAsyncIteration: "),
        ("raises", "keyboard", "KeyboardInterrupt: "),
        ("raises", "unspeakable", "Unspeakable"),
        ("raises", "surrogate", "ValueError: file ?"),
        ("raises", "cancelled", "the task cancelled itself"),
        ("raises", "job_cancelled", "the task cancelled itself"),
        ("raises_in_thread", "stop", "RuntimeError: the task raised StopIteration"),
        ("raises_in_thread", "exit", "SystemExit: 1"),
    ],
)
async def test_whatever_is_raised_is_a_failure_and_the_worker_goes_on(run, name, kind, message):
    detail = await run(name, kind=kind)
    assert (detail.job.state, detail.error["code"]) == (JobState.FAILED, "exception")
    assert detail.error["message"] == message
    assert (await run("add", a=1)).result == 2


@pytest.mark.gen_test
async def test_a_task_that_calls_sys_exit_fails(run):
    assert (await run("exits")).error["message"] == "SystemExit: 3"


@pytest.mark.gen_test
async def test_a_very_long_error_is_cut(run):
    error = (await run("raises", kind="long")).error
    assert len(error["message"]) == 4000
    assert len(error["traceback"]) == 16_000


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("give", "object", "bad_result"),
        ("give", "nan", "bad_result"),
        ("give", "deep", "bad_result"),
        ("give", "generator", "bad_result"),
        ("gives", "surrogate", "bad_result"),
        ("gives", "huge", "bad_result"),
        ("give", "large", "result_too_large"),
    ],
)
async def test_a_result_that_cannot_be_kept_is_a_failure_that_says_why(run, name, kind, code):
    detail = await run(name, kind=kind)
    assert (detail.job.state, detail.error["code"]) == (JobState.FAILED, code)
    assert detail.result is None


@pytest.mark.gen_test
@pytest.mark.parametrize(("kind", "wanted"), [("set", [1]), ("bytes", "ab"), ("tuple", [1, 2]), ("keys", {"1": 2})])
async def test_results_become_json_values(run, kind, wanted):
    assert (await run("gives", kind=kind)).result == wanted


@pytest.mark.gen_test
async def test_a_coroutine_that_runs_too_long_times_out(run):
    detail = await run("slow")
    assert (detail.error["code"], detail.error["message"]) == ("timeout", "ran longer than 0.2 s")


@pytest.mark.gen_test
async def test_a_thread_that_runs_too_long_times_out_at_its_next_progress_call(run):
    assert (await run("hears_in_thread")).error["code"] == "timeout"


@pytest.mark.gen_test
async def test_a_cancelled_coroutine_ends_cancelled(node):
    job = await started(node, "forever")
    assert (await node.queue.cancel(job.id)).state is JobState.CANCELLING
    detail = await end_of(node, job)
    assert (detail.job.state, detail.error, detail.result) == (JobState.CANCELLED, None, None)


@pytest.mark.gen_test
async def test_a_cancelled_thread_ends_at_its_next_progress_call(node):
    job = await started(node, "hold_thread")
    await node.queue.cancel(job.id)
    assert (await end_of(node, job)).job.state is JobState.CANCELLED


@pytest.mark.gen_test
async def test_a_task_that_ends_well_though_cancelled_has_succeeded(node):
    job = await started(node, "tidies_up", fails=False)
    await node.queue.cancel(job.id)
    detail = await end_of(node, job)
    assert (detail.job.state, detail.result) == (JobState.SUCCEEDED, "tidy")


@pytest.mark.gen_test
async def test_a_task_that_fails_while_it_is_cancelled_has_failed(node):
    job = await started(node, "tidies_up", fails=True)
    await node.queue.cancel(job.id)
    assert (await end_of(node, job)).error["message"] == "ValueError: tidying up failed"


@pytest.mark.gen_test
@pytest.mark.expects_log("does not end; its slot stays taken")
async def test_a_stubborn_coroutine_is_cancelled_without_it_and_keeps_its_slot_until_it_returns(node):
    job = await started(node, "stubborn", seconds=1.2)
    await node.queue.cancel(job.id)
    assert (await end_of(node, job)).job.state is JobState.CANCELLED
    described = node.worker.describe()
    assert (described["running"], described["abandoned"]) == (1, 1)
    await until(lambda: node.worker.describe()["running"] == 0)
    assert node.worker.describe()["abandoned"] == 0
    assert (await node.queue.get(job.id)).job.state is JobState.CANCELLED


@pytest.mark.gen_test
@pytest.mark.expects_log("does not end; its slot stays taken")
async def test_a_deaf_thread_times_out_without_it_and_keeps_its_slot(node, run):
    release.clear()
    try:
        detail = await run("deaf_thread")
        assert (detail.job.state, detail.error["code"]) == (JobState.FAILED, "timeout")
        assert node.worker.describe()["lanes"]["thread"]["running"] == 1
    finally:
        release.set()
    await until(lambda: node.worker.describe()["running"] == 0)
    assert (await node.queue.get(detail.job.id)).job == detail.job


@pytest.mark.gen_test
async def test_arguments_that_no_longer_fit_are_a_failure(node):
    new = new_job("add", args=MSGPACK.encode({"a": "x", "c": 1}))
    await node.broker.submit([new])
    detail = await end_of(node, new)
    assert detail.error["code"] == "exception"
    assert "do not fit the task" in detail.error["message"]


@pytest.mark.gen_test
async def test_an_attempt_that_was_fenced_ends_without_a_word(node):
    job = await started(node, "tells_and_waits")
    (attempt,) = node.worker._running
    await node.broker.rescue(node.id)
    attempt.voice.progress.log("still here")
    await until(lambda: attempt not in node.worker._running)
    await until(lambda: any(held is not attempt for held in node.worker._running))  # it runs anew, here too
    job = (await node.queue.get(job.id)).job
    assert (job.state, job.attempt) == (JobState.RUNNING, 2)
    entries = (await node.queue.log(job.id, 0, 10))["entries"]
    assert "still here" not in [entry["text"] for entry in entries]
    await node.queue.cancel(job.id)
    assert (await end_of(node, job)).job.state is JobState.CANCELLED
