"""Workers that stand still though they live: a blocked loop, C code that holds the GIL, a process that is stopped.

`WINDSOCK_STANDS_S` says for how long.
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from announced import Announced
from journal import NS, Journal, Try, together_s
from processes import Process, Processes, Server, processes, wait_for

__all__ = ["processes"]
LEASE_S = 1.0
STANDS_S = float(os.environ.get("WINDSOCK_STANDS_S", 3.5 * LEASE_S))
pytestmark = pytest.mark.timeout(60 + 4 * STANDS_S)


@dataclass
class Pair:
    """A server, and two workers that may both run everything."""

    server: Server
    workers: dict[str, Process]
    journal: Journal
    announced: Announced

    def holder(self, job_id: str) -> Process:
        """The worker that has a job."""
        wait_for(lambda: self.journal.read()[job_id], f"{job_id} to begin")
        return self.workers[self.server.job(job_id)["node"]]

    def tries(self, job_id: str, attempt: int) -> list[Try]:
        """What was written down, once that attempt has begun."""

        def begun() -> list[Try] | None:
            tries = self.journal.read()[job_id]
            return tries if tries and tries[-1].attempt >= attempt else None

        found: list[Try] = wait_for(begun, f"attempt {attempt} of {job_id}")
        return found


@pytest.fixture
def pair(processes: Processes) -> Iterator[Pair]:
    url, journal = processes.redis(), Journal(processes.folder)
    server = processes.serve("--no-worker", redis=url, tasks=journal.tasks, lease_s=LEASE_S)
    workers = [processes.work(redis=url, tasks=journal.tasks, lease_s=LEASE_S) for _ in range(2)]
    announced = Announced(url)
    yield Pair(server, {f"worker-{number}": worker for number, worker in enumerate(workers, 1)}, journal, announced)
    announced.close()


def test_a_loop_blocked_for_several_leases_loses_none_of_its_jobs(pair: Pair) -> None:
    beside = [pair.server.submit("piece", {"pause_s": STANDS_S / 2}) for _ in range(20)]
    for job_id in beside:
        pair.holder(job_id)
    blocking = [pair.server.submit("block", {"seconds": STANDS_S}) for _ in range(2)]
    ends = [pair.server.end(job_id, 30 + 2 * STANDS_S) for job_id in (*beside, *blocking)]
    assert {(end["state"], end["attempt"], end["result"]) for end in ends} == {("succeeded", 1, 1)}
    tries = pair.journal.read()
    assert {len(tries[end["id"]]) for end in ends} == {1}
    assert {change.was for end in ends for _, change in pair.announced.of(end["id"])} == {None, "queued", "running"}
    stood = [one.times["ends"] - one.begun for job_id in blocking for one in tries[job_id]]
    assert min(stood) > 3 * LEASE_S * NS


def test_a_job_that_holds_the_gil_past_the_lease_runs_again_and_its_late_result_is_refused(
    pair: Pair, processes: Processes
) -> None:
    go = processes.folder / "go"
    job_id = pair.server.submit("seize", {"seconds": STANDS_S, "then_s": 0, "says": False, "until": str(go)})
    first = pair.holder(job_id)
    assert [one.attempt for one in pair.tries(job_id, 2)] == [1, 2]
    assert "ends" not in pair.tries(job_id, 2)[0].times  # it still holds the GIL
    first.says(f"job {job_id}: its end came too late")
    now = pair.server.job(job_id)
    assert (now["state"], now["attempt"]) == ("running", 2)
    assert pair.workers[now["node"]] is not first
    go.touch()
    end = pair.server.end(job_id)
    assert (end["state"], end["attempt"], end["result"]) == ("succeeded", 2, 2)
    assert [change.job.state for _, change in pair.announced.of(job_id)].count("queued") == 2


@pytest.mark.parametrize("says", [pytest.param(True, id="it_reports"), pytest.param(False, id="it_is_silent")])
def test_an_attempt_that_lost_its_job_while_it_held_the_gil_is_stopped_within_a_lease(
    pair: Pair, processes: Processes, says: bool
) -> None:
    go = processes.folder / "go"
    args = {"seconds": STANDS_S, "then_s": 3 * LEASE_S, "says": says, "until": str(go)}
    job_id = pair.server.submit("seize", args)
    pair.tries(job_id, 2)
    ended = lambda: (tries := pair.journal.read()[job_id])[0].ended and tries[0]  # noqa: E731
    first = wait_for(ended, "the first to end", STANDS_S + 20)
    assert first.times["ends"] - first.times["released"] < LEASE_S * NS
    go.touch()
    end = pair.server.end(job_id)
    assert (end["state"], end["result"]) == ("succeeded", 2)


@pytest.mark.parametrize("task", [pytest.param("steps", id="it_reports"), pytest.param("piece", id="it_is_silent")])
def test_two_attempts_of_a_job_run_at_once_no_longer_than_a_lease_when_a_worker_was_stopped(
    pair: Pair, task: str
) -> None:
    args = {"count": 110, "pause_s": 0.05} if task == "steps" else {"pause_s": 5.5}
    job_id = pair.server.submit(task, args)
    first = pair.holder(job_id)
    first.send(signal.SIGSTOP)
    pair.tries(job_id, 2)
    thawed = time.monotonic_ns()
    first.send(signal.SIGCONT)
    wait_for(lambda: pair.journal.read()[job_id][0].ended, "the first attempt to end", STANDS_S + 20)
    assert pair.server.end(job_id, 30)["attempt"] == 2
    one, two = pair.journal.read()[job_id]
    one.begun = thawed  # while it was stopped it did nothing
    assert 0 < together_s([one, two], {}) < LEASE_S
