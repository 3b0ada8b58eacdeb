"""The worker processes of a server, as they are: seen, killed, replaced, drained, and gone with it."""

import fcntl
import os
import re
import signal
import time
from typing import Any

import psutil
import pytest
from processes import Processes, Server, ask, lasting, processes, wait_for
from workforce import TASKS, children, counted, gone, node_named, pids, rolled, work

from server.children import Crashes

__all__ = ["lasting", "processes", "work"]


# What can be seen of them


@pytest.fixture(scope="module")
def server(lasting: Processes) -> Server:
    """A server with two worker processes that stays as it is."""
    lasting.tasks.write_text(TASKS)
    return lasting.serve("--workers", "2", "--slots", "7")


def test_each_is_a_node_and_the_server_runs_no_jobs(server: Server) -> None:
    first, second = pids(server)
    for number, pid in ((1, first), (2, second)):
        node = wait_for(lambda number=number: node_named(server, f"node-{number}"), f"node-{number}")
        assert (node["pid"], node["serves"], node["worker"]["lanes"]["coroutine"]["slots"]) == (pid, False, 7)
    assert node_named(server, "node")["worker"] is None
    job = server.end(server.submit("last", {"seconds": 0}))
    assert job["node"] in ("node-1", "node-2")
    assert job["result"] in (first, second)


def test_the_process_list_shows_their_number_and_their_name(server: Server) -> None:
    for number, pid in enumerate(pids(server), 1):
        assert " ".join(psutil.Process(pid).cmdline()).strip() == f"windsock worker {number} (node-{number})"


def test_each_has_a_process_group_of_its_own(server: Server) -> None:
    for pid in pids(server):
        assert os.getpgid(pid) == pid


def test_ctrl_c_is_not_for_them(server: Server) -> None:
    for pid in pids(server):
        os.kill(pid, signal.SIGINT)
    job = server.submit("last", {"seconds": 0.5})
    assert server.end(job)["attempt"] == 1
    assert [child["restarts"] for child in children(server)] == [0, 0]


def test_no_worker_wins_over_a_number_of_workers(processes: Processes) -> None:
    server = processes.serve("--no-worker", workers=2)
    assert children(server) == []
    job_id = server.submit("echo", {"value": 1})
    assert server.job(job_id)["state"] == "queued"


def test_one_that_does_not_start_ends_the_start_of_the_server(work: Processes) -> None:
    work.tasks.write_text(TASKS + "\nfrom windsock import resource\n\n@resource\ndef broken():\n    yield 1 / 0\n")
    refused = work.serving("--workers", "2")
    assert refused.wait() == 1
    why = r"^windsock: resource broken \(.*work\.py:\d+\) could not be opened: ZeroDivisionError"
    assert re.search(why, refused.output, re.MULTILINE)
    assert refused.lines[-1] == "windsock: a worker process did not start; why, it has said above"
    assert "Traceback" not in refused.output


# One that dies


def test_a_killed_one_is_replaced_and_its_job_runs_again_at_once(work: Processes) -> None:
    server = work.serve("--workers", "2", lease_s=60)  # nobody but the server takes the job back in time
    before = pids(server)
    job_id = server.submit("last", {"seconds": 1})
    server.running(job_id)
    killed = int(next(child["pid"] for child in children(server) if _has(server, child, job_id)))
    os.kill(killed, signal.SIGKILL)
    job = server.end(job_id, 10)
    assert (job["state"], job["attempt"]) == ("succeeded", 2)
    after = wait_for(lambda: (now := pids(server)) != before and now, "another process")
    assert killed not in after
    assert len(after) == 2
    assert len(set(after) & set(before)) == 1
    server.says(rf"ERROR windsock.children: worker process \d \(pid {killed}\) ended: SIGKILL.*; starting it again")
    assert "windsock_worker_restarts_total 1.0" in server.get("/metrics").body.decode()


def _has(server: Server, child: dict[str, Any], job_id: str) -> bool:
    return bool(server.job(job_id)["node"] == f"node-{child['number']}")


def test_early_deaths_are_followed_by_longer_and_longer_waits() -> None:
    crashes = Crashes()
    assert [crashes.died(1.0) for _ in range(10)] == [0, 0, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_process_that_lived_a_while_begins_the_waits_anew() -> None:
    crashes = Crashes()
    for _ in range(5):
        crashes.died(1.0)
    assert [crashes.died(11.0), crashes.died(1.0), crashes.died(1.0), crashes.died(1.0)] == [0, 0, 0, 1]


def test_a_crash_loop_is_slowed_down_and_shown(work: Processes) -> None:
    server = work.serve("--workers", "1")
    job_id = server.submit("die", max_attempts=3)
    server.says("worker process 1 .* SIGKILL.*; it died early 3 times, next try in 1 s")
    wait_for(lambda: children(server)[0]["state"] == "waiting", "the wait to be shown")
    assert server.end(job_id)["error"]["code"] == "worker_lost"
    assert server.get("/readyz").status == 200  # it takes submits nevertheless
    assert server.end(server.submit("answer"))["result"] == 1
    wait_for(lambda: children(server)[0]["state"] == "running", "the next start to be shown")
    assert children(server)[0]["restarts"] == 3


# The end


@pytest.mark.parametrize("task", ["last", "hog"])
def test_none_outlives_a_killed_server(work: Processes, task: str) -> None:
    if task == "hog" and not hasattr(fcntl, "F_SETSIG"):
        pytest.skip("without F_SETSIG a thread has to notice")
    server = work.serve("--workers", "2")
    left = pids(server)
    server.running(server.submit(task, {"seconds": 60} if task == "last" else {}))
    server.kill()
    wait_for(lambda: all(gone(pid) for pid in left), "the worker processes to be gone", 5)


def test_a_drain_lets_short_jobs_end_gives_long_ones_back_and_then_ends_redis(work: Processes) -> None:
    server = work.serve("--workers", "2", drain_s=1.5)
    left = pids(server)
    short = server.submit("last", {"seconds": 1})
    long = server.submit("last", {"seconds": 60}, max_attempts=1)
    server.running(short)
    server.running(long)
    watcher = work.watch(server, {"type": "subscribe", "sub": 1, "job": short})
    server.press_ctrl_c()
    assert watcher.until("end")["job"]["state"] == "succeeded"
    assert server.wait() == 0
    assert all(gone(pid) for pid in left)
    assert "WARNING" not in server.output
    assert "ERROR" not in server.output
    again = work.serve("--no-worker")
    assert (again.job(short)["state"], again.job(short)["attempt"]) == ("succeeded", 1)
    assert (again.job(long)["state"], again.job(long)["attempt"]) == ("queued", 2)


def test_a_service_manager_that_signals_all_processes_hurries_none(work: Processes) -> None:
    server = work.serve("--workers", "2")
    everybody = [server.pid, *pids(server)]
    job_id = server.submit("last", {"seconds": 2})
    server.running(job_id)
    for pid in everybody:
        os.kill(pid, signal.SIGTERM)
    assert server.wait() == 0
    again = work.serve("--no-worker")
    assert (again.job(job_id)["state"], again.job(job_id)["attempt"]) == ("succeeded", 1)


def test_a_second_signal_stops_them_at_once_and_their_jobs_are_taken_back(work: Processes) -> None:
    server = work.serve("--workers", "2", drain_s=30)
    left = pids(server)
    job_id = server.submit("last", {"seconds": 60})
    server.running(job_id)
    server.send(signal.SIGTERM)
    server.says("a second signal stops at once")
    server.send(signal.SIGTERM)
    began = time.monotonic()
    server.wait()
    assert time.monotonic() - began < 4
    assert all(gone(pid) for pid in left)
    again = work.serve("--no-worker")
    assert (again.job(job_id)["state"], again.job(job_id)["attempt"]) == ("queued", 2)


# Replacing


def test_after_its_number_of_jobs_one_is_replaced_and_no_job_is_lost_or_doubled(work: Processes) -> None:
    server = work.serve("--workers", "2", "--worker-jobs", "20")
    first = pids(server)
    long = server.submit("last", {"seconds": 3})
    server.running(long)
    file = work.folder / "ran"
    jobs: list[str] = []

    def replaced() -> bool:
        jobs.extend(server.submit("note", {"file": str(file)}) for _ in range(5))
        return not set(first) & {child["pid"] for child in children(server)}

    wait_for(replaced, "all to be replaced", 30)
    ended = [server.end(job_id) for job_id in jobs]
    assert {job["state"] for job in ended} == {"succeeded"}
    assert counted(file) == len(jobs)  # what a process that ends has claimed and not begun goes back, and is attempt 2
    assert len({job["result"] for job in ended}) > 2
    job = server.end(long)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    assert job["result"] in first
    wait_for(lambda: all(gone(pid) for pid in first), "the first ones to end")
    assert sum(child["restarts"] for child in children(server)) == 0


def test_sigusr1_replaces_all_with_new_code_and_jobs_go_on(work: Processes) -> None:
    server = work.serve("--workers", "2")
    before = pids(server)
    long = server.submit("last", {"seconds": 3})
    server.running(long)
    assert server.end(server.submit("answer"))["result"] == 1
    work.tasks.write_text(TASKS.replace("ANSWER = 1", "ANSWER = 22"))
    server.send(signal.SIGUSR1)
    wait_for(rolled(server, before), "all to be replaced", 30)
    assert server.end(server.submit("answer"))["result"] == 22
    job = server.end(long)
    assert (job["attempt"], job["result"] in before) == (1, True)
    wait_for(lambda: all(gone(pid) for pid in before), "the old ones to end")


def test_one_whose_replacement_does_not_start_stays(work: Processes) -> None:
    server = work.serve("--workers", "1")
    before = pids(server)
    work.tasks.write_text("1 / 0\n")
    server.send(signal.SIGUSR1)
    server.says("worker process 1 stays: its replacement did not start")
    assert server.end(server.submit("answer"))["result"] == 1
    assert pids(server) == before
    server.send(signal.SIGTERM)
    assert server.wait() == 0  # the wait for the next try holds nothing up


# On other machines


def test_a_worker_takes_its_queues_in_order_and_no_task_it_does_not_know(work: Processes) -> None:
    other = work.folder / "other.py"
    other.write_text(TASKS)
    work.tasks.write_text(TASKS.replace("async def answer", "async def question"))
    server = work.serve("--no-worker", "--tasks", str(work.tasks), "--tasks", str(other), redis=work.redis())
    unknown = server.submit("question", queue="high")
    late = [server.submit("answer", queue="low") for _ in range(2)]
    soon = [server.submit("answer", queue="high") for _ in range(2)]
    work.work("--queue", "high", "--queue", "low", "--slots", "1", tasks=other, redis=work.redis_url)
    ended = {job_id: server.end(job_id) for job_id in late + soon}
    assert max(ended[job_id]["started_at"] for job_id in soon) <= min(ended[job_id]["started_at"] for job_id in late)
    assert server.job(unknown)["state"] == "queued"
    assert ask(server.url, "POST", f"/api/jobs/{unknown}/cancel").status in (200, 202)
