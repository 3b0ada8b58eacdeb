"""Several processes on one Redis: what is submitted on one runs on another and is watched on a third."""

from dataclasses import dataclass

import pytest
from processes import Process, Processes, Server, Watcher, ask, processes, wait_for
from stream import Frame

__all__ = ["processes"]


@dataclass
class House:
    """Two servers that run no jobs, a worker that does, one Redis."""

    a: Server
    b: Server
    worker: Process


@pytest.fixture
def house(processes: Processes) -> House:
    redis = processes.redis()
    a = processes.serving("--no-worker", redis=redis, name="a")
    b = processes.serving("--no-worker", redis=redis, name="b")
    return House(a, b, processes.work(redis=redis)) if a.ready() and b.ready() else pytest.fail("unreachable")


def watching(job_id: str, **more: object) -> Frame:
    return {"type": "subscribe", "sub": 1, "job": job_id, "log": "all", **more}


def test_a_job_submitted_on_one_runs_on_a_worker_and_is_watched_on_another(processes: Processes, house: House) -> None:
    job_id = house.a.submit("count", {"to": 30})
    watcher = processes.watch(house.b, watching(job_id))
    end = watcher.until("end")
    assert (end["job"]["state"], end["job"]["node"], end["job"]["result"]) == ("succeeded", "worker-1", 30)
    assert watcher.types()[:2] == ["welcome", "snapshot"]
    assert "update" in watcher.types()
    assert watcher.numbers() == list(range(1, 31))


def test_a_client_of_a_killed_server_goes_on_at_another_with_its_cursor(processes: Processes, house: House) -> None:
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


def test_a_job_is_cancelled_rerun_and_deleted_from_any_server(processes: Processes, house: House) -> None:
    feed = processes.watch(house.b, {"type": "subscribe", "sub": 1, "feed": {"task": "count"}})
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


def test_all_processes_are_listed_and_a_stopped_one_is_not(house: House) -> None:
    def names(server: Server) -> list[str]:
        return sorted(node["name"] for node in server.get("/api/nodes").body["nodes"])

    for server in (house.a, house.b):
        wait_for(lambda server=server: names(server) == ["a", "b", "worker-1"], "three processes")
    house.worker.send(15)
    assert house.worker.wait() == 0
    assert names(house.a) == ["a", "b"]


def test_two_namespaces_on_one_redis_do_not_meet(processes: Processes, house: House) -> None:
    redis = f"unix://{processes.folder}/redis/redis.sock"
    other = processes.serve("--no-worker", redis=redis, namespace="other")
    job_id = other.submit("count", {"to": 1})
    there = house.a.submit("count", {"to": 1})
    assert house.a.end(there)["state"] == "succeeded"
    assert house.a.get(f"/api/jobs/{job_id}").status == 404
    assert other.job(job_id)["state"] == "queued"
