"""Several processes on one Redis: what is submitted on one runs on another and is watched on a third."""

import signal
from dataclasses import dataclass

import pytest
from processes import Process, Processes, Server, Watcher, ask, lasting, processes, wait_for
from stream import Frame

__all__ = ["lasting", "processes"]


@dataclass
class House:
    """Two servers that run no jobs, a worker that does, one Redis."""

    a: Server
    b: Server
    worker: Process


def build(processes: Processes) -> House:
    redis = processes.redis()
    a = processes.serving("--no-worker", redis=redis, name="a")
    b = processes.serving("--no-worker", redis=redis, name="b")
    worker = processes.work(redis=redis)
    return House(a.ready(), b.ready(), worker)


@pytest.fixture(scope="module")
def house(lasting: Processes) -> House:
    """One for the tests that leave it as it is."""
    return build(lasting)


def watching(job_id: str, **more: object) -> Frame:
    return {"type": "subscribe", "sub": 1, "job": job_id, "log": "all", **more}


def test_a_job_submitted_on_one_runs_on_a_worker_and_is_watched_on_another(lasting: Processes, house: House) -> None:
    job_id = house.a.submit("count", {"to": 30})
    watcher = lasting.watch(house.b, watching(job_id))
    end = watcher.until("end")
    assert (end["job"]["state"], end["job"]["node"], end["job"]["result"]) == ("succeeded", "worker-1", 30)
    assert watcher.types()[:2] == ["welcome", "snapshot"]
    assert "update" in watcher.types()
    assert watcher.numbers() == list(range(1, 31))


def test_a_client_of_a_killed_server_goes_on_at_another_with_its_cursor(processes: Processes) -> None:
    house = build(processes)
    job_id = house.a.submit("count", {"to": 100})
    before = processes.watch(house.b, watching(job_id))
    wait_for(lambda: len(before.numbers()) >= 20, "20 log lines")
    house.b.kill()
    wait_for(lambda: before.closed, "the watcher to notice")
    cursor = [frame["cursor"] for frame in before.frames if "cursor" in frame][-1]
    after = processes.watch(house.a, watching(job_id, after=cursor))
    assert after.until("snapshot")["how"] == "resumed"
    assert after.until("end")["job"]["result"] == 100
    assert before.numbers() + after.numbers() == list(range(1, 101))
    assert _newest_versions_first_to_last(before, after)


def _newest_versions_first_to_last(*watchers: Watcher) -> bool:
    """Versions never go back, not even over the change of servers."""
    told = ("snapshot", "update", "end")
    versions = [
        int(frame["job"]["cursor"].split(".")[1])
        for watcher in watchers
        for frame in watcher.frames
        if frame["type"] in told
    ]
    return versions == sorted(versions)


def test_a_job_is_cancelled_rerun_and_deleted_from_any_server(lasting: Processes, house: House) -> None:
    feed = lasting.watch(house.b, {"type": "subscribe", "sub": 1, "feed": {"task": "count"}})
    job_id = house.a.submit("count", {"to": 10_000})
    house.b.running(job_id)
    assert ask(house.b.url, "POST", f"/api/jobs/{job_id}/cancel").status == 202
    assert house.a.end(job_id)["state"] == "cancelled"
    again = ask(house.a.url, "POST", f"/api/jobs/{job_id}/rerun").body["id"]
    house.b.running(again)
    feed.until(lambda frame: any(job["id"] == again and job["state"] == "running" for job in frame.get("jobs", ())))
    assert ask(house.a.url, "DELETE", f"/api/jobs/{job_id}").status == 204
    feed.until(lambda frame: job_id in frame.get("gone", ()))
    assert house.b.get(f"/api/jobs/{job_id}").status == 404


def test_all_processes_are_listed_and_a_stopped_one_is_not(lasting: Processes, house: House) -> None:
    def names(server: Server) -> set[str]:
        return {node["name"] for node in server.get("/api/nodes").body["nodes"]}

    third = lasting.serve("--no-worker", redis=lasting.redis_url, name="c")
    for server in (house.a, house.b, third):
        wait_for(lambda server=server: names(server) >= {"a", "b", "c", "worker-1"}, "all processes")
    third.send(signal.SIGTERM)
    assert third.wait() == 0
    assert names(house.a) == {"a", "b", "worker-1"}


def test_two_namespaces_on_one_redis_do_not_meet(lasting: Processes, house: House) -> None:
    other = lasting.serve("--no-worker", redis=lasting.redis_url, namespace="other")
    there, here = other.submit("count", {"to": 1}), house.a.submit("count", {"to": 1})
    assert house.a.end(here)["state"] == "succeeded"
    assert house.a.get(f"/api/jobs/{there}").status == 404
    assert other.job(there)["state"] == "queued"
