"""kill -9, of everything, in the middle of jobs: nothing that was accepted is lost, and every job ends once."""

import itertools
import os
import signal
import threading
import time
from dataclasses import dataclass

import pytest
from processes import Process, Processes, Server, ask, processes, wait_for

__all__ = ["processes"]
AGAIN_S = 10.0  # a killed worker's jobs run again within this


def test_a_killed_server_finishes_its_jobs_when_it_comes_back(processes: Processes) -> None:
    server = processes.serve(slots=2)
    running = [server.submit("count", {"to": 30}) for _ in range(2)]
    waiting = server.submit("count", {"to": 3})
    scheduled = server.submit("count", {"to": 3}, delay_s=0.5)
    for job_id in running:
        server.running(job_id)
    server.kill()
    again = processes.serve()
    for job_id in running:
        job = again.end(job_id)
        assert (job["state"], job["attempt"], job["result"]) == ("succeeded", 2, 30)
        assert again.log(job_id)[-30:] == [f"number {number}" for number in range(1, 31)]
    for job_id in (waiting, scheduled):
        job = again.end(job_id)
        assert (job["state"], job["attempt"]) == ("succeeded", 1)


def test_what_a_killed_server_accepted_is_there_when_it_comes_back(processes: Processes) -> None:
    server = processes.serve()
    accepted: list[str] = []

    def submit_on_and_on() -> None:
        try:
            for number in itertools.count():
                accepted.append(server.submit("echo", {"value": number}))
        except OSError:
            pass  # it is dead

    submitting = threading.Thread(target=submit_on_and_on)
    submitting.start()
    wait_for(lambda: len(accepted) > 50, "50 jobs accepted")
    server.kill()
    submitting.join(10)
    again = processes.serve()
    assert [again.end(job_id)["result"] for job_id in accepted] == list(range(len(accepted)))


def test_a_killed_redis_is_started_again_and_jobs_and_watchers_go_on(processes: Processes) -> None:
    server = processes.serve()
    jobs = [server.submit("count", {"to": 60}) for _ in range(20)]
    watcher = processes.watch(
        server,
        *({"type": "subscribe", "sub": sub, "job": job_id, "log": "all"} for sub, job_id in enumerate(jobs, 1)),
        {"type": "subscribe", "sub": 100, "feed": {}},
    )
    for job_id in jobs:
        server.running(job_id)
    killed = processes.private_redis()
    killed.kill()
    watcher.until("stale")
    watcher.until("fresh")
    for sub in range(1, 21):
        end = watcher.until(lambda frame, sub=sub: frame["type"] == "end" and frame["sub"] == sub)
        assert (end["job"]["state"], end["job"]["attempt"], end["job"]["result"]) == ("succeeded", 1, 60)
        offsets = [
            frame["first"] + index
            for frame in watcher.frames
            if frame["type"] == "log" and frame["sub"] == sub
            for index in range(len(frame["entries"]))
        ]
        assert offsets == list(range(1, 61))
    types = watcher.types()
    assert types.index("stale") < types.index("fresh") < types.index("end")
    assert not watcher.closed
    assert processes.private_redis().pid != killed.pid
    wait_for(lambda: server.get("/readyz").status == 200, "ready again")


@pytest.fixture
def shared(processes: Processes) -> tuple[Server, str]:
    """A server without a worker, and the Redis it shares."""
    url = processes.redis()
    return processes.serve("--no-worker", redis=url), url


@dataclass
class Lease:
    """A job that runs, the worker that has it, and another that could have it."""

    job_id: str
    holder: Process
    other: str  # its name


def lease(processes: Processes, server: Server, redis: str, task: str, **args: object) -> Lease:
    workers = {f"worker-{number}": processes.work(redis=redis) for number in (1, 2)}
    job_id = server.submit(task, args)
    holder = server.running(job_id)["node"]
    return Lease(job_id, workers.pop(holder), *workers)


def test_the_jobs_of_a_killed_worker_run_again_on_another(processes: Processes, shared: tuple[Server, str]) -> None:
    server, redis = shared
    held = lease(processes, server, redis, "count", to=40)
    held.holder.kill()
    began = time.monotonic()
    assert server.running(held.job_id, attempt=2)["node"] == held.other
    assert time.monotonic() - began < AGAIN_S
    job = server.end(held.job_id)
    assert (job["state"], job["attempt"], job["result"]) == ("succeeded", 2, 40)


def test_a_job_whose_attempts_are_used_up_fails_with_its_worker(
    processes: Processes, shared: tuple[Server, str]
) -> None:
    server, redis = shared
    worker = processes.work(redis=redis)
    job_id = server.submit("count", {"to": 1000}, max_attempts=1)
    server.running(job_id)
    watcher = processes.watch(server, {"type": "subscribe", "sub": 1, "job": job_id})
    worker.kill()
    end = watcher.until("end", AGAIN_S)
    assert (end["job"]["state"], end["job"]["error"]["code"]) == ("failed", "worker_lost")


def test_a_cancelled_job_of_a_killed_worker_ends_cancelled(processes: Processes, shared: tuple[Server, str]) -> None:
    server, redis = shared
    worker = processes.work(redis=redis)
    job_id = server.submit("count", {"to": 1000})
    server.running(job_id)
    worker.send(signal.SIGSTOP)
    assert ask(server.url, "POST", f"/api/jobs/{job_id}/cancel").body["state"] == "cancelling"
    worker.kill()
    assert server.end(job_id)["state"] == "cancelled"


def test_a_worker_that_was_stopped_past_its_lease_is_fenced(processes: Processes, shared: tuple[Server, str]) -> None:
    server, redis = shared
    held = lease(processes, server, redis, "count", to=40)
    watcher = processes.watch(server, {"type": "subscribe", "sub": 1, "job": held.job_id, "log": "all"})
    held.holder.send(signal.SIGSTOP)
    server.running(held.job_id, attempt=2)
    held.holder.send(signal.SIGCONT)
    end = watcher.until("end")
    assert (end["job"]["state"], end["job"]["attempt"], end["job"]["node"]) == ("succeeded", 2, held.other)
    assert server.log(held.job_id)[-40:] == [f"number {number}" for number in range(1, 41)]
    assert watcher.numbers() == list(range(1, end["last"] + 1))
    versions = [int(frame["cursor"].split(".")[1]) for frame in watcher.frames if frame["type"] in ("update", "end")]
    assert versions == sorted(set(versions))
    wait_for(lambda: _alive(server) == {"worker-1", "worker-2", "node"}, "the frozen worker among the nodes")
    assert server.job(held.job_id)["attempt"] == 2


def _alive(server: Server) -> set[str]:
    return {node["name"] for node in server.get("/api/nodes").body["nodes"]}


def test_a_worker_whose_loop_is_blocked_keeps_its_jobs(processes: Processes, shared: tuple[Server, str]) -> None:
    server, redis = shared
    held = lease(processes, server, redis, "block", seconds=2.0)  # the lease is 1 s
    job = server.end(held.job_id)
    assert (job["state"], job["attempt"], job["result"]) == ("succeeded", 1, "done")


def test_killing_server_and_redis_together_loses_nothing(processes: Processes) -> None:
    server = processes.serve()
    jobs = [server.submit("count", {"to": 50}) for _ in range(5)]
    for job_id in jobs:
        server.running(job_id)
    os.kill(processes.private_redis().pid, signal.SIGKILL)
    server.kill()
    again = processes.serve()
    assert {again.end(job_id)["state"] for job_id in jobs} == {"succeeded"}


def test_a_worker_that_joined_a_private_redis_keeps_its_job_while_the_server_is_killed(processes: Processes) -> None:
    server = processes.serve("--no-worker")
    processes.work(data_dir=processes.data_dir)
    job_id = server.submit("count", {"to": 60})
    server.running(job_id)
    server.kill()
    job = processes.serve("--no-worker").end(job_id)
    assert (job["state"], job["attempt"], job["node"]) == ("succeeded", 1, "worker-1")
