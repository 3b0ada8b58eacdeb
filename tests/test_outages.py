"""Redis away for a while, frozen or killed: what runs goes on, what it has to say comes later, nothing new is taken in.

`WINDSOCK_AWAY_S` says for how long.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from journal import Journal, Try
from keyed import keyed
from losing import LosingRedis
from processes import Answer, Processes, Server, Watcher, processes, wait_for

__all__ = ["processes"]
AWAY_S = float(os.environ.get("WINDSOCK_AWAY_S", "8"))
STEP_S = 0.1
STEPS = int((AWAY_S + 4) / STEP_S)
LOUD, QUIET = 6, 12  # jobs that log all the time; jobs that end while Redis is away
REDIS_TIMEOUT_S = 1.0
LEASE_S = 3.0  # shorter than Redis is away, longer than one worker is late
pytestmark = pytest.mark.timeout(120 + 6 * AWAY_S)


class Away:
    """A Redis that goes away: it stands still, or it is killed and comes back on its data."""

    def __init__(self, store: LosingRedis, how: str) -> None:
        self._store = store
        with redis.Redis.from_url(store.url) as client:
            self._process = psutil.Process(client.info("server")["process_id"])
        self.frozen = how == "frozen"

    def go(self) -> None:
        """Nobody answers from here on."""
        if self.frozen:
            self._process.send_signal(signal.SIGSTOP)
        else:
            self._store.kill()

    def back(self) -> None:
        """It answers again."""
        if self.frozen:
            self._process.send_signal(signal.SIGCONT)
        else:
            self._store.start()

    def end(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self._process.kill()  # a stopped process dies too
        with suppress(AssertionError):
            self._store.kill()


@dataclass
class Outage:
    """What happened in one outage."""

    server: Server
    journal: Journal
    url: str
    watchers: list[Watcher]
    loud: list[str] = field(default_factory=list)
    quiet: list[str] = field(default_factory=list)
    began: int = 0  # monotonic ns
    over: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)  # of submits meanwhile, by their key
    waited_s: list[float] = field(default_factory=list)  # for these answers
    probes: set[int] = field(default_factory=set)  # what /readyz answered
    stored: set[str] = field(default_factory=set)  # by those submits, though they were refused
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    tries: dict[str, list[Try]] = field(default_factory=dict)

    def start(self, processes: Processes) -> None:
        """Jobs that run, and clients that look at them."""
        self.loud = [self.server.submit("steps", {"count": STEPS, "pause_s": STEP_S}) for _ in range(LOUD)]
        self.quiet = [self.server.submit("piece", {"pause_s": AWAY_S / 2}) for _ in range(QUIET)]
        wait_for(lambda: len(self.journal.read()) == LOUD + QUIET, "all to begin")
        for wishes in (self._wishes(self.loud, "all"), self._wishes(self.quiet, "none")):
            self.watchers.append(processes.watch(self.server, *wishes))
            wait_for(lambda w=wishes: self.watchers[-1].types().count("live") == len(w), "a watcher to be live")

    @staticmethod
    def _wishes(job_ids: list[str], log: str) -> list[dict[str, Any]]:
        return [{"type": "subscribe", "sub": sub, "job": job_id, "log": log} for sub, job_id in enumerate(job_ids, 1)]

    def last(self) -> None:
        """Submit, again and again, until the time is over; each submit has a key of its own."""
        self.began = time.monotonic_ns()
        while (time.monotonic_ns() - self.began) / 1e9 < AWAY_S:
            key, asked = f"key-{len(self.answers)}", time.monotonic()
            self.answers[key] = self.submit(key)
            self.waited_s.append(time.monotonic() - asked)
            self.probes.add(self.server.get("/readyz").status)
            wait_for(lambda asked=asked: time.monotonic() - asked > 0.1, "the next turn of a client at its pace")
        self.over = time.monotonic_ns()

    def submit(self, key: str) -> Answer:
        """One job with a key."""
        return keyed(self.server.url, {"task": "piece", "args": {"pause_s": 0.01}, "tags": ["meanwhile"]}, key)

    def meanwhile(self) -> dict[str, Any]:
        """The list of the jobs of those submits."""
        listed: dict[str, Any] = self.server.get("/api/jobs?tag=meanwhile&limit=500").body
        return listed

    def settle(self) -> None:
        """All ends, and what was written down."""
        self.stored = {job["id"] for job in self.meanwhile()["jobs"]}
        self.ends = {job_id: self.server.end(job_id, 30 + AWAY_S) for job_id in (*self.loud, *self.quiet)}
        for watcher, jobs in zip(self.watchers, (self.loud, self.quiet), strict=True):
            wait_for(lambda w=watcher, j=jobs: w.types().count("end") == len(j), "all ends at the watchers")
        self.tries = self.journal.read()


@pytest.fixture(scope="module", params=["frozen", "killed"])
def outage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    """One outage, seen through to its end."""
    made = Processes(tmp_path_factory.mktemp("outage"))
    folder = Path(tempfile.mkdtemp(prefix="windsock-away-"))
    store = LosingRedis(folder)
    store.start()
    away = Away(store, request.param)
    try:
        journal = Journal(made.folder)
        told = {"redis": store.url, "tasks": journal.tasks, "redis_timeout_s": REDIS_TIMEOUT_S, "lease_s": LEASE_S}
        server = made.serve("--no-worker", **told)
        made.work(**told)
        late = made.work(**told)
        seen = Outage(server, journal, store.url, [])
        seen.start(made)
        away.go()
        try:
            seen.last()
            late.send(signal.SIGSTOP)  # it comes back a little later than others, who must not take it for dead
        finally:
            away.back()
        wait_for(lambda: server.get("/readyz").status == 200, "ready again")
        late.send(signal.SIGCONT)
        seen.settle()
        yield seen
    finally:
        away.end()
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_running_jobs_went_on_meanwhile(outage: Outage) -> None:
    for job_id in outage.quiet:
        (one,) = outage.tries[job_id]
        assert one.begun < outage.began < (one.ended or 0) < outage.over  # its end had to wait
    for job_id in outage.loud:
        (one,) = outage.tries[job_id]
        meanwhile = [at for what, at in one.times.items() if "step" in what and outage.began < at < outage.over]
        assert len(meanwhile) > AWAY_S / STEP_S / 2


def test_all_end_once_and_as_they_did(outage: Outage) -> None:
    assert {(outage.ends[job_id]["state"], outage.ends[job_id]["attempt"]) for job_id in outage.ends} == {
        ("succeeded", 1)
    }
    assert {outage.ends[job_id]["result"] for job_id in outage.loud} == {STEPS}
    assert {len(outage.tries[job_id]) for job_id in outage.ends} == {1}


def test_the_log_has_every_line_once(outage: Outage) -> None:
    for job_id in outage.loud:
        assert outage.server.log(job_id) == [f"step {number}" for number in range(1, STEPS + 1)]


def test_watchers_were_told_of_it_and_then_everything_once(outage: Outage) -> None:
    loud, quiet = outage.watchers
    for watcher in outage.watchers:
        types = watcher.types()
        assert types.index("stale") < min(types.index("fresh"), types.index("end"))
        assert not watcher.closed
        assert "gap" not in types
    for sub in range(1, LOUD + 1):
        entries = [
            (frame["first"] + index, entry["text"])
            for frame in loud.frames
            if frame["type"] == "log" and frame["sub"] == sub
            for index, entry in enumerate(frame["entries"])
        ]
        assert entries == [(number, f"step {number}") for number in range(1, STEPS + 1)]
    assert [frame["job"]["state"] for frame in quiet.frames if frame["type"] == "end"] == ["succeeded"] * QUIET


def test_submits_meanwhile_were_refused_with_a_time_to_come_back(outage: Outage) -> None:
    assert len(outage.answers) >= AWAY_S / (4 * REDIS_TIMEOUT_S)
    for answer in outage.answers.values():
        assert (answer.status, answer.body["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    assert max(outage.waited_s) < 4 * REDIS_TIMEOUT_S + 2
    assert 503 in outage.probes


def test_who_submits_again_with_its_key_gets_one_job(outage: Outage) -> None:
    assert len(outage.stored) <= 1  # the one that was on its way when Redis ceased to answer
    again = {key: outage.submit(key) for key in outage.answers}
    assert {answer.body["id"] for answer in again.values() if answer.status == 200} == outage.stored
    ids = {answer.body["id"] for answer in again.values()}
    assert len(ids) == len(outage.answers)
    for job_id in ids:
        end = outage.server.end(job_id)
        assert (end["state"], end["attempt"]) == ("succeeded", 1)
    listed = outage.meanwhile()
    assert {job["id"] for job in listed["jobs"]} == ids
    assert sum(listed["counts"].values()) == len(ids)
    tries = outage.journal.read()
    assert {len(tries[job_id]) for job_id in ids} == {1}


def test_nothing_is_held_by_anybody_in_the_end(outage: Outage) -> None:
    with redis.Redis.from_url(outage.url) as client:
        assert list(client.scan_iter("{windsock}:leased:*")) == []
        assert client.zcard("{windsock}:index:running:all") == 0
