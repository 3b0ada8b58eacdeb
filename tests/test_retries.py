"""Another attempt after an exception: which, when, how often, and what watchers are told."""

import asyncio
import pickle
import threading

import pytest
from web import eventually

from server.job import JobState
from server.outcome import End, TaskFailed, type_names
from server.protocol import Submission
from server.registry import make_task
from server.retries import Retries
from windsock import Progress, Retry, task


def declared(**options):
    """What a task with these options says of exceptions."""

    @task(**options)
    async def work() -> None: ...

    return make_task(work).retries


# What is decided.


def test_an_exception_is_final_unless_the_task_says_otherwise():
    assert declared().delay_s(ValueError(), 0, 0.5) is None


def test_retries_alone_retry_any_exception_so_often():
    retries = declared(retries=2, backoff_s=1, jitter="none")
    assert [retries.delay_s(KeyError(), retried, 0.5) for retried in range(4)] == [1, 2, None, None]


def test_retry_on_alone_retries_what_it_names_three_times():
    retries = declared(retry_on=(ConnectionError, KeyError), jitter="none")
    assert [retries.delay_s(ConnectionResetError(), retried, 0.5) for retried in range(4)] == [1, 2, 4, None]
    assert retries.delay_s(ValueError(), 0, 0.5) is None


def test_one_class_need_not_stand_in_a_tuple():
    assert declared(retry_on=KeyError).delay_s(KeyError(), 0, 0.5) is not None


def test_what_is_given_up_on_is_final_though_a_base_of_it_is_retried():
    retries = declared(retry_on=OSError, give_up_on=FileNotFoundError)
    assert retries.delay_s(FileNotFoundError(), 0, 0.5) is None
    assert retries.delay_s(PermissionError(), 0, 0.5) is not None


def test_zero_retries_are_none():
    assert declared(retries=0, retry_on=KeyError).delay_s(KeyError(), 0, 0.5) is None


def test_an_exception_of_another_process_is_known_by_the_names_of_its_classes():
    retries = declared(retry_on=ConnectionError)
    failed = End(JobState.FAILED)
    assert retries.delay_s(TaskFailed(failed, type_names(ConnectionResetError())), 0, 0.5) is not None
    assert retries.delay_s(TaskFailed(failed, type_names(KeyError())), 0, 0.5) is None
    assert declared().delay_s(TaskFailed(failed, type_names(Retry())), 0, 0.5) is not None


def test_waits_double_up_to_the_longest():
    retries = Retries(100, (Exception,), backoff_s=3, max_backoff_s=20, jitter="none")
    assert [retries.wait_s(retried, 0.5) for retried in (0, 1, 2, 3, 99)] == [3, 6, 12, 20, 20]
    assert retries.wait_s(10**9, 0.5) == 20


@pytest.mark.parametrize(("jitter", "least", "most"), [("full", 0, 8), ("equal", 4, 8), ("none", 8, 8)])
def test_jitter_spreads_the_waits(jitter, least, most):
    retries = declared(retries=9, backoff_s=8, jitter=jitter)
    assert (retries.wait_s(0, 0.0), retries.wait_s(0, 1.0)) == (least, most)


def test_a_task_may_ask_for_another_attempt_at_a_time_of_its_own():
    assert declared().delay_s(Retry(after_s=40), 0, 0.5) == 40
    assert declared().delay_s(Retry(after_s=0), 0, 0.5) == 0
    assert declared(backoff_s=2, jitter="none").delay_s(Retry("soon"), 0, 0.5) == 2


def test_asking_counts_as_a_retry():
    assert declared().delay_s(Retry(after_s=40), 3, 0.5) is None
    assert declared(retries=10).delay_s(Retry(after_s=40), 9, 0.5) == 40


def test_a_timeout_is_retried_only_where_it_is_named_itself():
    assert declared(retries=3).timeout_delay_s(0, 0.5) is None
    assert declared(retry_on=OSError).timeout_delay_s(0, 0.5) is None  # though it is the base of TimeoutError
    assert declared(retry_on=(OSError, TimeoutError)).timeout_delay_s(0, 0.5) is not None
    assert declared(retry_on=TimeoutError).timeout_delay_s(3, 0.5) is None


@pytest.mark.parametrize(
    "options",
    [
        {"retries": -1},
        {"retries": True},
        {"retry_on": "KeyError"},
        {"retry_on": (KeyError, asyncio.CancelledError)},
        {"give_up_on": KeyError()},
        {"give_up_on": KeyError},
        {"give_up_on": KeyError, "retries": 0},
        {"backoff_s": -1},
        {"backoff_s": 10, "max_backoff_s": 5},
        {"jitter": "some"},
    ],
)
def test_options_that_cannot_be_are_refused_where_they_stand(options):
    with pytest.raises(TypeError, match="@task: "):
        declared(**options)


@pytest.mark.parametrize("after_s", [-1, 10**9, float("nan")])
def test_a_wait_that_cannot_be_is_refused_where_it_is_raised(after_s):
    with pytest.raises(ValueError, match="after_s"):
        Retry(after_s=after_s)


def test_a_request_survives_the_way_to_another_process():
    copy = pickle.loads(pickle.dumps(Retry("not there", after_s=3)))
    assert (str(copy), copy.after_s) == ("not there", 3)


# What a worker does.

tries: list[int] = []  # the attempts that were made
let_go = threading.Event()


@task(retries=3, backoff_s=0)
async def third_time_lucky(progress: Progress) -> str:
    """Succeeds at its third attempt."""
    tries.append(progress.attempt)
    progress.log(f"attempt {progress.attempt}")
    if progress.attempt < 3:
        raise ConnectionError(f"no answer {progress.attempt}")
    return "there"


@task(retries=7, backoff_s=0)
def never_lucky() -> None:
    """Fails, in a thread."""
    tries.append(0)
    raise KeyError("x" * 1000)


@task
async def asks(after_s: float, progress: Progress) -> int:
    """Asks for one more attempt."""
    if progress.attempt == 1:
        raise Retry("not there yet", after_s=after_s)
    return progress.attempt


@task(timeout_s=0.05, retry_on=TimeoutError, retries=1, backoff_s=0)
async def late() -> None:
    """Runs into its time."""
    tries.append(0)
    await asyncio.Event().wait()


@task(timeout_s=0.05, retry_on=TimeoutError, backoff_s=0)
def late_and_deaf() -> None:
    """Runs into its time, and does not end when it is asked to."""
    tries.append(0)
    let_go.wait(10)


@task(retries=5, backoff_s=60)
async def fails_when_cancelled() -> None:
    """Raises while it ends."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise ValueError("tidying up failed") from None


@pytest.fixture
def registry(registry):
    registry.add_functions(globals().values())
    tries.clear()
    return registry


async def run(node, name, **args):
    """The end of a job."""
    _, end = await node.queue.submit_and_wait(Submission(task=name, args=args), 10)
    assert end is not None
    return end


@pytest.mark.gen_test
async def test_a_task_runs_again_until_it_succeeds_and_its_log_goes_on(node):
    end = await run(node, "third_time_lucky")
    assert (end.job.state, end.result, end.job.attempt, tries) == (JobState.SUCCEEDED, "there", 3, [1, 2, 3])
    entries = (await node.queue.log(end.job.id, 0, 10))["entries"]
    assert [entry["text"] for entry in entries] == ["attempt 1", "attempt 2", "attempt 3"]


@pytest.mark.gen_test
async def test_what_failed_is_told_among_the_warnings(node):
    end = await run(node, "third_time_lucky")
    told = [(one["kind"], one["attempt"], one["message"]) for one in end.job.warnings]
    assert told == [("retry", 1, "ConnectionError: no answer 1"), ("retry", 2, "ConnectionError: no answer 2")]
    assert all(end.job.created_at <= one["at"] <= end.job.finished_at for one in end.job.warnings)


@pytest.mark.gen_test
async def test_when_all_retries_are_used_up_the_last_exception_stands_and_five_warnings_are_kept(node):
    end = await run(node, "never_lucky")
    assert (end.job.state, end.error["code"], len(tries)) == (JobState.FAILED, "exception", 8)
    assert [one["attempt"] for one in end.job.warnings] == [3, 4, 5, 6, 7]
    assert {len(one["message"]) for one in end.job.warnings} == {200}


@pytest.mark.gen_test
async def test_a_task_that_asks_runs_again_after_the_time_it_named(node):
    end = await run(node, "asks", after_s=0.2)
    assert (end.result, end.job.warnings[0]["message"]) == (2, "Retry: not there yet")
    assert end.job.scheduled_at - end.job.warnings[0]["at"] >= 199
    assert end.job.started_at >= end.job.scheduled_at


@pytest.mark.gen_test
async def test_watchers_see_a_job_wait_for_its_retry(node):
    job = await node.queue.submit(Submission(task="asks", args={"after_s": 60}))
    waiting = await eventually(lambda: _in_state(node, job.id, JobState.SCHEDULED))
    assert (waiting.job.attempt, waiting.job.warnings[0]["kind"]) == (2, "retry")
    assert (await node.queue.cancel(job.id)).state is JobState.CANCELLED


async def _in_state(node, job_id, state):
    detail = await node.queue.get(job_id)
    return detail if detail.job.state is state else None


@pytest.mark.gen_test
async def test_a_watcher_gets_one_log_over_all_attempts_and_their_states_in_order(node, stream):
    client = await stream()
    await client.send({"type": "submit", "id": 1, "task": "third_time_lucky", "args": {}, "sub": 1, "log": "all"})
    end = await client.until("end")
    texts = [entry["text"] for frame in client.of(1) if frame["type"] == "log" for entry in frame["entries"]]
    assert texts == ["attempt 1", "attempt 2", "attempt 3"]
    attempts = [frame["job"]["attempt"] for frame in client.of(1) if "job" in frame]
    assert attempts == sorted(attempts)
    assert (end["job"]["attempt"], [one["kind"] for one in end["job"]["warnings"]]) == (3, ["retry", "retry"])


@pytest.mark.gen_test
async def test_a_timeout_that_is_named_is_retried(node):
    end = await run(node, "late")
    assert (end.error["code"], end.job.attempt, len(tries)) == ("timeout", 2, 2)
    assert end.job.warnings[0]["message"] == "ran longer than 0.05 s"


@pytest.mark.gen_test
@pytest.mark.expects_log("does not end; its slot stays taken")
async def test_a_function_that_still_runs_is_not_run_again(node):
    let_go.clear()
    try:
        end = await run(node, "late_and_deaf")
        assert (end.job.state, end.job.attempt, len(tries)) == (JobState.FAILED, 1, 1)
    finally:
        let_go.set()
    await eventually(lambda: node.worker.describe()["running"] == 0)


@pytest.mark.gen_test
async def test_a_task_that_raises_while_it_is_cancelled_is_not_tried_again(node):
    job = await node.queue.submit(Submission(task="fails_when_cancelled"))
    await eventually(lambda: any(attempt.function_runs for attempt in node.worker._running))
    await asyncio.sleep(0)
    await node.queue.cancel(job.id)
    end = await eventually(lambda: _ended(node, job.id))
    assert (end.job.state, end.job.attempt, end.job.warnings) == (JobState.CANCELLED, 1, ())


async def _ended(node, job_id):
    detail = await node.queue.get(job_id)
    return detail if detail.job.ended else None


@pytest.mark.gen_test
async def test_retries_are_counted(node):
    await run(node, "third_time_lucky")
    assert 'windsock_jobs_retried_total{queue="default",task="third_time_lucky"} 2.0' in node.metrics.text().decode()
