"""Wall clocks that jump by an hour while the processes run: delays, leases, retention and versions do not heed them.

Redis has a clock of its own, which counts for what is stored; how long something took is measured by clocks that do
not jump.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from journal import Journal
from jumping import JumpingClock
from keyed import keyed
from processes import Process, Processes, Server, wait_for

HOUR_S = 3600
ROOM_S = 8.0  # a loaded machine takes that much longer


@dataclass
class House:
    """A server and its workers, that live by a clock which will be off by `off_s`."""

    processes: Processes
    clock: JumpingClock
    journal: Journal
    url: str
    off_s: int
    server: Server

    def work(self, **settings: Any) -> Process:
        """One more worker."""
        return self.processes.work(redis=self.url, tasks=self.journal.tasks, **settings)

    def beats(self) -> int:
        """How often all processes have beaten; those that live do so five times a second."""
        with redis.Redis.from_url(self.url) as client:
            return sum(map(int, client.hvals("{windsock}:beats")))

    def jump(self) -> None:
        """Now it is off."""
        self.clock.jump(self.off_s)


@pytest.fixture(scope="module", params=[HOUR_S, -HOUR_S], ids=["ahead", "back"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server and two workers for the queue `default`."""
    made = Processes(tmp_path_factory.mktemp("clocks"))
    try:
        with pytest.MonkeyPatch.context() as patch:
            clock, journal = JumpingClock(made.folder / "clock"), Journal(made.folder)
            patch.setenv("PYTHONPATH", os.pathsep.join([str(clock.site), os.environ.get("PYTHONPATH", "")]))
            url = made.redis()
            server = made.serve("--no-worker", redis=url, tasks=journal.tasks, idempotency_s=HOUR_S / 2)
            house = House(made, clock, journal, url, request.param, server)
            house.work(queues="default")
            house.work(queues="default")
            yield house
    finally:
        made.close()


@pytest.fixture
def house(shared: House) -> House:
    """Its clock is right, as yet."""
    shared.clock.jump(0)
    return shared


def test_running_jobs_keep_their_leases_when_the_clock_jumps(house: House) -> None:
    server = house.server
    jobs = [server.submit("steps", {"count": 80, "pause_s": 0.05}) for _ in range(6)]
    for job_id in jobs:
        server.running(job_id)
    watcher = house.processes.watch(server, {"type": "subscribe", "sub": 1, "job": jobs[0], "log": "all"})
    house.jump()
    told = server.end(server.submit("clock"))["result"]
    assert abs(told - time.time() - house.off_s) < 60  # it did jump, for the workers
    ends = [server.end(job_id) for job_id in jobs]
    assert {(end["state"], end["attempt"]) for end in ends} == {("succeeded", 1)}
    for end in ends:
        assert abs(end["finished_at"] / 1000 - time.time()) < 60
        assert 4000 <= end["finished_at"] - end["started_at"] < 4000 + ROOM_S * 1000
    watcher.until("end")
    versions = [int(frame["cursor"].split(".")[1]) for frame in watcher.frames if frame["type"] in ("update", "end")]
    assert versions == sorted(set(versions))
    assert watcher.numbers() == list(range(1, 81))


def test_a_dead_worker_is_found_when_the_clock_jumps(house: House) -> None:
    workers = {worker.name: worker for worker in (Mortal(house, "one"), Mortal(house, "two"))}
    job_id = house.server.submit("piece", {"pause_s": 2.0}, queue="mortal")
    wait_for(lambda: house.journal.read()[job_id], "the job to begin")
    workers.pop(house.server.job(job_id)["node"]).process.kill()
    seen = house.beats()
    wait_for(lambda: house.beats() >= seen + 8, "all to have seen, twice, that its beat stands still")
    house.jump()
    end = house.server.end(job_id)
    assert (end["state"], end["attempt"], end["node"]) == ("succeeded", 2, *workers)


class Mortal:
    """A worker for a queue of its own."""

    def __init__(self, house: House, name: str) -> None:
        self.name = f"{name}-{house.off_s}"
        self.process = house.work(name=self.name, queues="mortal")


def test_a_delay_lasts_as_long_as_it_should_when_the_clock_jumps(house: House) -> None:
    server = house.server
    began = time.monotonic_ns()
    delayed = server.submit("piece", {"pause_s": 0.01}, delay_s=2.0)
    later = server.submit("piece", {"pause_s": 0.01}, at=int(time.time() * 1000) + 2000)
    far = server.submit("piece", {"pause_s": 0.01}, delay_s=HOUR_S / 2)
    house.jump()
    after = server.submit("piece", {"pause_s": 0.01}, delay_s=2.0)
    for job_id in (delayed, later, after):
        assert server.end(job_id)["state"] == "succeeded"
        (one,) = house.journal.read()[job_id]
        assert 1.9 <= (one.begun - began) / 1e9 < 2.0 + ROOM_S
    assert server.job(far)["state"] == "scheduled"


def test_ended_jobs_are_kept_as_long_as_they_should_when_the_clock_jumps(house: House) -> None:
    keep_s = HOUR_S / 2 if house.off_s > 0 else 1.5  # by the clock that jumps: over at once, and not for an hour
    settings = {"redis": house.url, "tasks": house.journal.tasks, "namespace": "keeps", "keep_ended_s": keep_s}
    server = house.processes.serve(**settings)
    job_id = server.submit("clock")
    server.end(job_id)
    house.jump()
    if house.off_s < 0:
        wait_for(lambda: server.get(f"/api/jobs/{job_id}").status == 404, "the job to expire", keep_s + ROOM_S)
    else:
        assert server.end(server.submit("piece", {"pause_s": 2.0}))["state"] == "succeeded"  # ten beats
        assert server.get(f"/api/jobs/{job_id}").status == 200


def test_a_timeout_counts_the_time_that_passed_when_the_clock_jumps(house: House) -> None:
    server = house.server
    short = server.submit("piece", {"pause_s": 60.0}, timeout_s=2.0)
    long = server.submit("piece", {"pause_s": 2.0}, timeout_s=HOUR_S / 2)
    for job_id in (short, long):
        wait_for(lambda job_id=job_id: house.journal.read()[job_id], f"{job_id} to begin")
    house.jump()
    assert server.end(long)["state"] == "succeeded"
    assert server.end(short)["error"]["code"] == "timeout"
    (one,) = house.journal.read()[short]
    assert 1.9 <= ((one.ended or 0) - one.begun) / 1e9 < 2.0 + ROOM_S


def test_jobs_start_in_the_order_they_were_handed_in_when_the_clock_jumps(house: House) -> None:
    jobs = []
    for number in range(6):
        jobs.append(house.server.submit("piece", {"pause_s": 0.01}, queue="ordered"))
        house.clock.jump(house.off_s * (number % 3))
    house.work(slots=1, queues="ordered")
    for job_id in jobs:
        house.server.end(job_id)
    tries = house.journal.read()
    assert sorted(jobs, key=lambda job_id: tries[job_id][0].begun) == jobs


def test_a_list_alone_follows_the_clock_of_the_node_that_took_the_jobs_in(house: House) -> None:
    before = house.server.submit("clock", queue="listed")
    house.jump()
    after = house.server.submit("clock", queue="listed")
    listed = [job["id"] for job in house.server.get("/api/jobs?queue=listed").body["jobs"]]
    assert listed == ([after, before] if house.off_s > 0 else [before, after])


def test_an_idempotency_key_is_good_as_long_as_it_should_when_the_clock_jumps(house: House) -> None:
    server = house.server
    body = {"task": "clock", "args": {}}
    first = keyed(server.url, body, "one")
    house.jump()
    again = keyed(server.url, body, "one")
    assert (first.status, again.status) == (202, 200)
    assert first.body["id"] == again.body["id"]
