"""Who blocks the loop is named, with file and line, and who runs beside it is not."""

import asyncio
import re
import time
from pathlib import Path

import pytest
from blocking_tasks import line_of
from test_metrics import scraped
from web import eventually

from server.loader import load
from server.protocol import Submission

TASKS = str(Path(__file__).parent / "blocking_tasks.py")
BLOCKED = r"blocked the loop"
blames = pytest.mark.expects_log(BLOCKED)


@pytest.fixture
def settings(settings):
    given = {"block_s": 0.1} if settings.block_s == 30 else {}
    return settings.model_copy(update={"tasks": (TASKS,), "processes": 1, "lease_s": 20.0, **given})


@pytest.fixture
def registry():
    loaded = load([TASKS])
    assert loaded.problems == []
    return loaded.registry


@pytest.fixture(scope="session")
def letters():
    """As many as a regular expression needs to keep the GIL for about 0.7 s."""
    for number in range(16, 40):
        started = time.thread_time()
        re.match(r"(a|a)*b", "a" * number)
        if time.thread_time() - started > 0.5:
            return number
    raise AssertionError


@pytest.fixture
def beside(node):
    """Runs an innocent job beside another: `await beside("sleeps", seconds=0.3)` gives both, ended."""

    async def run(name, **args):
        other = await node.queue.submit(Submission(task="innocent", args={"seconds": 0.2}))

        async def running():
            return (await node.queue.get(other.id)).job.progress

        await eventually(running)
        _, end = await node.queue.submit_and_wait(Submission(task=name, args=args), 20)
        assert end is not None, "it did not end"

        async def ended():
            detail = await node.queue.get(other.id)
            return detail if detail.job.ended else None

        return end, await eventually(ended, 10)

    return run


def blocked(detail):
    """The warnings of a job that it blocked the loop."""
    return [one for one in detail.job.warnings if one["kind"] == "blocked_loop"]


def assert_named(end, mark, doing):
    (warning,) = blocked(end)
    assert warning["where"] == line_of(mark)
    assert re.fullmatch(rf"blocked the loop [\d.]+ s at {line_of(mark)}, {re.escape(doing)}", warning["message"])
    assert 0.08 < warning["seconds"] < 60
    assert warning["attempt"] == 1


# on the loop


@blames
@pytest.mark.gen_test(timeout=30)
async def test_a_coroutine_that_sleeps_is_named_with_its_line_and_the_job_beside_it_is_not(node, beside):
    end, other = await beside("sleeps", seconds=0.4)
    assert_named(end, "sleep", "pause")
    assert 0.3 < blocked(end)[0]["seconds"] < 0.8
    assert blocked(other) == []


@blames
@pytest.mark.gen_test(timeout=30)
async def test_a_regular_expression_that_keeps_the_gil_is_named(node, beside, letters):
    end, other = await beside("backtracks", letters=letters)
    assert_named(end, "regex", "re.match")
    assert blocked(other) == []


@blames
@pytest.mark.gen_test(timeout=30)
async def test_json_that_keeps_the_gil_is_named(node, beside):
    end, other = await beside("dumps", seconds=0.6)
    (warning,) = blocked(end)
    assert warning["where"] == line_of("dump")
    assert "json.dumps" in warning["message"]
    assert blocked(other) == []


@blames
@pytest.mark.gen_test(timeout=30)
async def test_python_that_never_awaits_is_named(node, beside):
    end, other = await beside("computes", seconds=0.4)
    (warning,) = blocked(end)
    assert warning["where"].startswith("blocking_tasks.py:")
    assert blocked(other) == []


@blames
@pytest.mark.gen_test(timeout=30)
async def test_what_a_job_has_started_is_the_jobs(node, beside):
    end, other = await beside("sleeps_below", seconds=0.4)
    assert_named(end, "below", "pause")
    assert blocked(other) == []


@blames
@pytest.mark.gen_test(timeout=30)
async def test_a_callback_of_a_job_is_the_jobs(node, beside):
    end, other = await beside("calls_later", seconds=0.4)
    assert_named(end, "callback", "time.sleep")
    assert blocked(other) == []


@blames
@pytest.mark.gen_test(timeout=30)
async def test_a_result_that_takes_long_to_pack_is_its_jobs_doing(node, beside):
    end, other = await beside("returns_much", rows=6_000_000)
    (warning,) = blocked(end)
    assert "its result" in warning["message"] or "blocking_tasks.py" in warning["where"]
    assert blocked(other) == []


@blames
@pytest.mark.gen_test(timeout=30)
async def test_one_warning_tells_of_all_times_and_names_the_longest(node, beside):
    end, _ = await beside("sleeps_often", seconds=0.3, times=3)
    (warning,) = blocked(end)
    assert "the longest of 3 times" in warning["message"]


@pytest.mark.gen_test(timeout=30)
async def test_steps_that_are_short_are_no_warning_however_many(node, beside):
    end, other = await beside("sleeps_often", seconds=0.01, times=50)
    assert blocked(end) + blocked(other) == []


@blames
@pytest.mark.gen_test(timeout=30)
async def test_of_two_jobs_of_one_task_the_one_that_blocks_is_named(node, letters):
    short = await node.queue.submit(Submission(task="backtracks", args={"letters": 2}))
    _, long = await node.queue.submit_and_wait(Submission(task="backtracks", args={"letters": letters}), 20)
    assert len(blocked(long)) == 1
    assert blocked(await node.queue.get(short.id)) == []


@blames
@pytest.mark.gen_test(timeout=30)
async def test_a_job_is_told_while_it_runs_on(node):
    job = await node.queue.submit(Submission(task="sleeps", args={"seconds": 0.3, "then_s": 20.0}))

    async def warned():
        detail = await node.queue.get(job.id)
        return blocked(detail) and detail

    assert (await eventually(warned)).job.state == "running"


# threads and processes


@pytest.mark.gen_test(timeout=30)
async def test_a_thread_that_sleeps_is_no_ones_fault(node, beside):
    end, other = await beside("thread_sleeps", seconds=0.4)
    assert blocked(end) + blocked(other) == []


@pytest.mark.gen_test(timeout=30)
async def test_a_thread_that_computes_lets_the_loop_go_on(node, beside):
    end, other = await beside("thread_computes", seconds=0.5)
    assert blocked(end) + blocked(other) == []


@blames
@pytest.mark.gen_test(timeout=30)
async def test_a_thread_that_keeps_the_gil_is_named(node, beside, letters):
    end, other = await beside("thread_backtracks", letters=letters)
    assert_named(end, "regex", "re.match")  # told once, though bell, beat and watchdog all come upon it
    assert blocked(other) == []


@pytest.mark.expects_log("by no job's code$")  # the first job for a process imports what they need
@pytest.mark.gen_test(timeout=30)
async def test_a_process_of_the_pool_blocks_nobody(node, beside, letters):
    end, other = await beside("process_backtracks", letters=letters)
    assert end.job.state == "succeeded"
    assert blocked(end) + blocked(other) == []


# what is not a job's


@pytest.mark.expects_log(r"^the loop was blocked for [\d.]+ s at test_watchdog.py:\d+, time.sleep, by no job's code$")
@pytest.mark.gen_test(timeout=30)
async def test_code_that_is_no_jobs_is_named_too(node, beside, caplog):
    asyncio.get_running_loop().call_soon(lambda: time.sleep(0.4))
    await eventually(lambda: "by no job's code" in caplog.text)
    assert node.metrics.blocks == {"(no job)": 1}


# where else it is told


@pytest.mark.expects_log(r"^job \w+ \(sleeps\) blocked the loop [\d.]+ s at blocking_tasks.py:\d+, pause$")
@pytest.mark.gen_test(timeout=30)
async def test_the_log_has_the_job_and_the_metrics_have_the_task(node, beside, api):
    end, _ = await beside("sleeps", seconds=0.4)
    assert end.job.state == "succeeded"
    counted = await scraped(api)
    assert counted["windsock_loop_blocks_total", "sleeps"] == 1
    assert 0.3 < counted["windsock_loop_blocked_seconds_total", "sleeps"] < 1


@blames
@pytest.mark.gen_test(timeout=30)
async def test_the_stack_is_in_the_whole_job_and_not_in_its_summary(node, beside, api):
    end, _ = await beside("sleeps", seconds=0.4)

    async def with_stack():
        (warning,) = (await api.get(f"/api/jobs/{end.job.id}")).value["warnings"]
        return warning if "stack" in warning else None

    warning = await eventually(with_stack)
    assert "pause(seconds)" in warning["stack"].splitlines()[-1]
    assert "runner.py" not in warning["stack"]
    (listed,) = (await api.get("/api/jobs?task=sleeps")).value["jobs"]
    assert {key: value for key, value in warning.items() if key != "stack"} == listed["warnings"][0]


@blames
@pytest.mark.gen_test(timeout=30)
async def test_the_list_of_nodes_says_who_blocks_a_loop_while_it_does(node, nodes, settings):
    job = await node.queue.submit(Submission(task="sleeps", args={"seconds": 1.0}))
    seen = []

    def look():
        for _ in range(100):
            time.sleep(0.01)
            if (described := node.describe())["blocked"]:
                seen.append(described)

    await asyncio.to_thread(look)
    assert seen[-1]["blocked"]["job"] == job.id
    assert seen[-1]["blocked"]["task"] == "sleeps"
    assert seen[-1]["blocked"]["where"] == f"{line_of('sleep')}, pause"
    assert seen[-1]["loop_lag_ms"] > 500
    await eventually(lambda: node.describe()["blocked"] is None)
