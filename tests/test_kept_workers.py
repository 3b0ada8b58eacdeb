"""`windsock worker --workers N`, as it is: the processes it keeps without a server of its own."""

import os
import re
import signal

import pytest
from processes import Processes, Server, processes, wait_for
from workforce import TASKS, children, counted, gone, node_named, pids, rolled, work

__all__ = ["processes", "work"]
KEEPER = "worker-1"


@pytest.fixture
def door(work: Processes) -> Server:
    """A server on a shared Redis that runs no jobs."""
    return work.serve("--no-worker", redis=work.redis(), lease_s=60)  # nobody but their keeper takes jobs back in time


def test_so_many_processes_take_jobs_and_the_keeper_none(work: Processes, door: Server) -> None:
    keeper = work.work("--workers", "2", "--slots", "3", redis=work.redis_url)
    assert re.search(rf"^worker {KEEPER}-\w+ takes jobs in 2 processes$", keeper.output, re.MULTILINE)
    first, second = pids(door, KEEPER)
    for number, pid in ((1, first), (2, second)):
        node = wait_for(lambda number=number: node_named(door, f"{KEEPER}-{number}"), f"{KEEPER}-{number}")
        assert (node["pid"], node["serves"], node["worker"]["lanes"]["coroutine"]["slots"]) == (pid, False, 3)
    node = node_named(door, KEEPER)
    assert (node["pid"], node["serves"], node["worker"]) == (keeper.pid, False, None)
    jobs = [door.submit("last", {"seconds": 1}) for _ in range(6)]
    assert {door.end(job_id)["result"] for job_id in jobs} == {first, second}


def test_those_who_join_the_private_redis_of_a_server_are_kept_too(work: Processes) -> None:
    server = work.serve("--no-worker")
    work.work("--workers", "2", data_dir=work.data_dir)
    assert server.end(server.submit("last", {"seconds": 0}))["result"] in pids(server, KEEPER)


def test_after_its_number_of_jobs_the_one_process_is_replaced_and_no_job_is_lost_or_doubled(
    work: Processes, door: Server
) -> None:
    keeper = work.work("--worker-jobs", "10", redis=work.redis_url)
    keeper.says("takes jobs in 1 process$")
    first = pids(door, KEEPER)
    long = door.submit("last", {"seconds": 3})
    door.running(long)
    file = work.folder / "ran"
    jobs: list[str] = []

    def replaced() -> bool:
        jobs.extend(door.submit("note", {"file": str(file)}) for _ in range(5))
        return rolled(door, first, KEEPER)()

    wait_for(replaced, "it to be replaced", 30)
    ended = [door.end(job_id) for job_id in jobs]
    assert {job["state"] for job in ended} == {"succeeded"}
    assert counted(file) == len(jobs)
    assert len({job["result"] for job in ended}) > 1
    job = door.end(long)
    assert (job["state"], job["attempt"], job["result"]) == ("succeeded", 1, *first)
    wait_for(lambda: all(gone(pid) for pid in first), "the first one to end")
    assert sum(child["restarts"] for child in children(door, KEEPER)) == 0


def test_a_killed_one_is_replaced_and_its_job_runs_again_at_once(work: Processes, door: Server) -> None:
    keeper = work.work("--workers", "2", redis=work.redis_url, lease_s=60)
    before = pids(door, KEEPER)
    job_id = door.submit("last", {"seconds": 1})
    node = door.running(job_id)["node"]
    killed = next(child["pid"] for child in children(door, KEEPER) if node == f"{KEEPER}-{child['number']}")
    os.kill(killed, signal.SIGKILL)
    job = door.end(job_id, 10)
    assert (job["state"], job["attempt"]) == ("succeeded", 2)
    after = wait_for(lambda: (now := pids(door, KEEPER)) != before and now, "another process")
    assert killed not in after
    assert len(set(after) & set(before)) == 1
    keeper.says(rf"ERROR windsock.children: worker process \d \(pid {killed}\) ended: SIGKILL.*; starting it again")


def test_a_crash_loop_is_slowed_down_and_shown(work: Processes, door: Server) -> None:
    keeper = work.work("--workers", "1", redis=work.redis_url)
    job_id = door.submit("die", max_attempts=3)
    keeper.says("worker process 1 .* SIGKILL.*; it died early 3 times, next try in 1 s")
    wait_for(lambda: children(door, KEEPER)[0]["state"] == "waiting", "the wait to be shown")
    assert door.end(job_id)["error"]["code"] == "worker_lost"
    assert door.end(door.submit("answer"))["result"] == 1
    assert children(door, KEEPER)[0]["restarts"] == 3


def test_sigusr1_replaces_all_with_new_code_and_jobs_go_on(work: Processes, door: Server) -> None:
    keeper = work.work("--workers", "2", redis=work.redis_url)
    before = pids(door, KEEPER)
    long = door.submit("last", {"seconds": 3})
    door.running(long)
    assert door.end(door.submit("answer"))["result"] == 1
    work.tasks.write_text(TASKS.replace("ANSWER = 1", "ANSWER = 22"))
    keeper.send(signal.SIGUSR1)
    wait_for(rolled(door, before, KEEPER), "all to be replaced", 30)
    assert door.end(door.submit("answer"))["result"] == 22
    job = door.end(long)
    assert (job["attempt"], job["result"] in before) == (1, True)


def test_a_drain_lets_short_jobs_end_and_gives_long_ones_back(work: Processes, door: Server) -> None:
    keeper = work.work("--workers", "2", redis=work.redis_url, drain_s=1.5)
    left = pids(door, KEEPER)
    short = door.submit("last", {"seconds": 1})
    long = door.submit("last", {"seconds": 60}, max_attempts=1)
    door.running(short)
    door.running(long)
    keeper.press_ctrl_c()
    assert keeper.wait() == 0
    assert all(gone(pid) for pid in left)
    assert "WARNING" not in keeper.output
    assert "ERROR" not in keeper.output
    assert (door.job(short)["state"], door.job(short)["attempt"]) == ("succeeded", 1)
    assert (door.job(long)["state"], door.job(long)["attempt"]) == ("queued", 2)
    assert [node["name"] for node in door.get("/api/nodes").body["nodes"]] == ["node"]


def test_none_outlives_a_killed_keeper(work: Processes, door: Server) -> None:
    keeper = work.work("--workers", "2", redis=work.redis_url)
    left = pids(door, KEEPER)
    door.running(door.submit("last", {"seconds": 60}))
    keeper.kill()
    wait_for(lambda: all(gone(pid) for pid in left), "the worker processes to be gone", 5)


def test_one_that_does_not_start_ends_the_start_of_all(work: Processes, door: Server) -> None:
    work.tasks.write_text("1 / 0\n")
    keeper = work.start("worker", "--workers", "2", tasks=work.tasks, redis=work.redis_url)
    assert keeper.wait(40) == 1
    assert f"windsock: a worker without tasks has nothing to do: there are none in {work.tasks}" in keeper.lines
    assert keeper.lines[-1] == "windsock: a worker process did not start; why, it has said above"


def test_sigusr1_kills_none_that_has_nothing_to_replace(work: Processes) -> None:
    server = work.serve("--worker-jobs", "10")
    server.says("WARNING windsock: --worker-jobs is for worker processes, and this server has none: add --workers")
    lone = work.work(data_dir=work.data_dir)
    for process in (server, lone):
        process.send(signal.SIGUSR1)
        process.says("WARNING windsock.children: SIGUSR1 replaces worker processes, and there are none here")
    assert server.end(server.submit("answer"))["result"] == 1
    lone.send(signal.SIGTERM)
    assert lone.wait() == 0
