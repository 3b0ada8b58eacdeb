"""How a wait is cut into pieces."""

import pytest

from windsock import JobFailed, JobWasCancelled
from windsock.job import Job
from windsock.waiting import PIECE_S, Wait, result_of


def job(state: str, **more: object) -> Job:
    return Job.of({"id": "J", "task": "t", "state": state, "attempt": 1, **more})


def test_a_wait_without_an_end_asks_again_and_again() -> None:
    wait = Wait.of("J", None, 0.0)
    assert wait.piece_s(1e9) == PIECE_S
    assert wait.rest_s(1e9) == 0.0


def test_the_server_waits_whole_seconds_and_the_rest_is_looked_at() -> None:
    wait = Wait.of("J", 30.5, 0.0)
    assert [wait.piece_s(now) for now in (0.0, 25.0, 30.0)] == [25, 5, 0]
    assert wait.rest_s(25.0) == 0.0
    assert wait.rest_s(30.0) == pytest.approx(0.1)
    assert wait.rest_s(30.45) == pytest.approx(0.05)
    with pytest.raises(TimeoutError, match="job J has not ended in time"):
        wait.rest_s(30.5)


def test_a_result_is_given_or_its_lack_raised() -> None:
    assert result_of(job("succeeded", result=0)) == 0
    with pytest.raises(JobWasCancelled, match=r"job J \(t\) was cancelled"):
        result_of(job("cancelled", error=None))
    error = {"code": "timeout", "message": "over 5 s"}
    with pytest.raises(JobFailed, match="failed: timeout: over 5 s") as failure:
        result_of(job("failed", error=error))
    assert (failure.value.code, failure.value.traceback) == ("timeout", None)


def test_a_job_of_a_later_server_keeps_what_is_not_known_here() -> None:
    told = {"pace": "slow", "parent": "P", "children": {"total": 2, "ended": 1}, "weather": "fine"}
    found = job("running", progress={"done": 3, "total": 2, "step": {"name": "a"}}, **told)
    assert (found.pace, found.parent, found.raw["weather"]) == ("slow", "P", "fine")
    assert found.children is not None
    assert (found.children.total, found.children.running) == (2, 0)
    assert found.progress is not None
    assert (found.progress.fraction, found.progress.step) == (1.0, ("a",))
