"""Another attempt after an exception in a process: its class and its wish are known to the worker."""

from pathlib import Path

import pytest
from pool import no_collector, run  # noqa: F401  fixtures

from server.job import JobState
from server.loader import load

TASKS = str(Path(__file__).parent / "process_retries.py")


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"tasks": (TASKS,), "processes": 1})


@pytest.fixture
def registry():
    return load([TASKS]).registry


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize(("after_s", "least_ms"), [(0.3, 300), (0, 0)])
async def test_a_task_in_a_process_asks_for_another_attempt_at_its_time(run, after_s, least_ms):  # noqa: F811
    end = await run("asks", after_s=after_s)
    assert (end.job.state, end.result) == (JobState.SUCCEEDED, 2)
    (warning,) = end.job.warnings
    assert warning["message"] == "Retry: not there yet"
    assert least_ms <= end.job.scheduled_at - warning["at"] < least_ms + 200


@pytest.mark.gen_test(timeout=30)
async def test_an_exception_in_a_process_is_retried_where_a_base_of_it_is_named(run):  # noqa: F811
    end = await run("breaks")
    assert (end.job.state, end.job.attempt, end.error["message"]) == (JobState.FAILED, 2, "KeyError: 'k'")
    assert [one["message"] for one in end.job.warnings] == ["ConnectionResetError: gone"]
