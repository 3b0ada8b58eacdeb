"""The life of jobs as a state machine: the real scripts on a real Redis, against a model of a few lines.

Two workers claim, report, end, give back, lose and are asked to cancel jobs in any order, with calls that come twice
or too late. After each step every job, every set of jobs and every count must be what the model says.
"""

import itertools
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from scripting import FOREVER_MS, Scripting, live, scripting, workers
from storing import LANE, entry, new_id, sets_as_they_should_be

from server.broker.record import fixed_of, job_of, pack, unpack
from server.job import ALLOWED, HELD, TERMINAL, Job, JobState

__all__ = ["scripting"]

PAIRS = (("default", "add"), ("default", "mul"), ("big", "add"))
FAR = 10**14  # ms
verdicts = st.sampled_from([*sorted(TERMINAL), JobState.QUEUED])
losses = st.none() | st.integers(0, 4)
anything: Any = st.runner().flatmap(lambda machine: st.sampled_from(sorted(machine.jobs)))
any_lease: Any = st.runner().flatmap(lambda machine: st.sampled_from(machine.leases))


@dataclass
class Expected:
    """What the model holds of a job."""

    state: JobState
    rank: tuple[int, int]  # priority, then order
    pair: tuple[str, str]
    max_attempts: int
    attempt: int = 1
    used: int = 0
    token: str | None = None
    worker: str | None = None
    log: list[str | None] = field(default_factory=list)  # by offset - 1; None where it was lost
    firsts: tuple[int, ...] = (1,)

    def back(self, used: int) -> None:
        """Another attempt."""
        self.state, self.attempt, self.used = JobState.QUEUED, self.attempt + 1, used
        self.firsts += (len(self.log) + 1,)
        self.token = self.worker = None

    def end(self, state: JobState, *, keep_token: bool = False) -> None:
        """Nothing follows."""
        self.state = state
        if not keep_token:
            self.token = None

    def append(self, first: int, texts: list[str], lost: int | None) -> bool:
        """Whether the log took it. `lost`: nobody has what lies between this offset and `first`."""
        if first > len(self.log) + 1:
            if lost is not None and len(self.log) >= lost:
                self.log += [None] * (first - 1 - len(self.log))
            else:
                return False
        self.log += texts[max(0, len(self.log) - first + 1) :]
        return True


@dataclass(frozen=True)
class Held:
    """A lease that was handed out at some time."""

    id: str
    token: str


class JobLife(Scripting):
    """Rules are the scripts; the model says what they answer."""

    @initialize()
    def open(self) -> None:
        self.connect()
        self.jobs: dict[str, Expected] = {}
        self.gone: set[str] = set()
        self.leases: list[Held] = []
        self.requests: dict[str, tuple[str, list[str]]] = {}  # of each worker: its last request and what it got
        self.before: dict[str, tuple[Job, dict[bytes, bytes]]] = {}
        self.orders = itertools.count()

    # rules

    @rule(
        pair=st.sampled_from(PAIRS),
        priority=st.integers(-1, 1),
        max_attempts=st.integers(1, 2),
        later=st.booleans(),
        tags=st.sampled_from([(), ("a",), ("a", "b")]),
    )
    def submit(
        self, pair: tuple[str, str], priority: int, max_attempts: int, later: bool, tags: tuple[str, ...]
    ) -> None:
        job_id, (queue, task) = new_id(), pair
        row = [job_id, fixed_of(task, queue, tags, priority, max_attempts), pack({}), False, False, later and FAR]
        self.run("submit", pack([row, row]), 1000, 10**6, 1000)
        state = JobState.SCHEDULED if later else JobState.QUEUED
        self.jobs[job_id] = Expected(state, (-priority, next(self.orders)), pair, max_attempts)

    @precondition(lambda self: any(job.state is JobState.SCHEDULED for job in self.jobs.values()))
    @rule()
    def promote(self) -> None:
        waiting = [job_id for job_id, job in self.jobs.items() if job.state is JobState.SCHEDULED]
        self.client.zadd(f"{self.tag}:scheduled", {waiting[0]: 1})
        self.run("tick", "ticker", pack({}), "store", 1e9, 1e9, 10, pack([]), pack([]))
        self.jobs[waiting[0]].state = JobState.QUEUED

    @rule(worker=workers, count=st.integers(1, 3), only_add=st.booleans(), again=st.booleans())
    def claim(self, worker: str, count: int, only_add: bool, again: bool) -> None:
        tasks = ["add"] if only_add else ["add", "mul"]
        last, got = self.requests.get(worker, ("", []))
        request = last if again and last else secrets.token_hex(4)
        reply = unpack(self.run("claim", worker, "node", request, count, pack(["*"]), pack(tasks), LANE, 10**6))
        ids = [row[0][0].decode() for row in reply]
        if request == last:
            wanted = [one for one in got if one in self.jobs and self.jobs[one].token == request and self.held(one)]
        else:
            ready = [one for one, job in self.jobs.items() if job.state is JobState.QUEUED and job.pair[1] in tasks]
            wanted = sorted(ready, key=lambda one: self.jobs[one].rank)[:count]
            for job_id in wanted:
                job = self.jobs[job_id]
                job.state, job.token, job.worker = JobState.RUNNING, request, worker
            if wanted:
                self.requests[worker] = (request, wanted)
            self.leases += [Held(job_id, request) for job_id in wanted]
        assert ids == wanted

    @precondition(lambda self: self.leases)
    @rule(lease=any_lease, ahead=st.integers(-2, 2), count=st.integers(0, 3), lost=losses)
    def report(self, lease: Held, ahead: int, count: int, lost: int | None) -> None:
        job = self.jobs.get(lease.id)
        first, texts = self.news(job, ahead, count)
        row = [lease.id, lease.token, pack({"done": 1}), False, first, [entry(text) for text in texts]]
        row += [lost is not None, lost or 0]
        ((code, last, *_),) = unpack(self.run("report", pack([row]), 1000, 10**6, FOREVER_MS))
        if job is None:
            assert code == b"gone"
        elif not self.live(lease):
            assert (code, last) == (b"fenced", len(job.log))
        else:
            assert code == (b"ok" if job.append(first, texts, lost) else b"hole")
            assert last == len(job.log)

    @precondition(lambda self: self.leases)
    @rule(lease=any_lease, ahead=st.integers(-2, 2), count=st.integers(0, 3), lost=losses, verdict=verdicts)
    def finish(self, lease: Held, ahead: int, count: int, lost: int | None, verdict: JobState) -> None:
        job = self.jobs.get(lease.id)
        first, texts = self.news(job, ahead, count)
        entries = [entry(text) for text in texts]
        row = [lease.id, lease.token, verdict.value, pack(1), 1, False, False, first, entries]
        row += [lost is not None, lost or 0]
        ((code, last),) = unpack(self.run("finish", pack([row]), 1000, 10**6, FOREVER_MS, 10, FOREVER_MS))
        if job is None:
            assert code == b"gone"
        elif job.token != lease.token:
            assert code == b"fenced"
        elif not self.held(lease.id):
            assert code == b"ok"  # the same end again
        elif job.append(first, texts, lost):
            assert (code, last) == (b"ok", len(job.log))
            self.settle(job, verdict)
        else:
            assert code == b"hole"

    def settle(self, job: Expected, verdict: JobState) -> None:
        if verdict is not JobState.QUEUED:
            job.end(verdict, keep_token=True)
        elif job.state is JobState.CANCELLING:
            job.end(JobState.CANCELLED, keep_token=True)
        else:
            job.back(job.used)

    @precondition(lambda self: self.jobs)
    @rule(job_id=anything)
    def cancel(self, job_id: str) -> None:
        job = self.jobs[job_id]
        code, *_ = unpack(self.run("cancel", job_id))
        assert code == (b"ended" if job.state in TERMINAL else b"ok")
        if job.state in (JobState.SCHEDULED, JobState.QUEUED):
            job.end(JobState.CANCELLED)
        elif job.state is JobState.RUNNING:
            job.state = JobState.CANCELLING

    @precondition(lambda self: self.jobs)
    @rule(job_id=anything, worker=workers)
    def release(self, job_id: str, worker: str) -> None:
        job = self.jobs[job_id]
        mine = job.worker == worker and self.held(job_id)
        assert self.run("release", worker, job_id) == (b"ok" if mine else b"gone")
        if mine and job.state is JobState.CANCELLING:
            job.end(JobState.CANCELLED)
        elif mine:
            job.back(job.used)

    @rule(worker=workers, most=st.integers(1, 3))
    def rescue(self, worker: str, most: int) -> None:
        mine = [job for job_id, job in self.jobs.items() if job.worker == worker and self.held(job_id)]
        left, requeued, ended = 1, 0, 0
        while left:
            _, more, fewer, left = self.run("rescue", worker, "", most)
            requeued, ended = requeued + more, ended + fewer
        self.requests.pop(worker, None)
        for job in mine:
            if job.state is JobState.CANCELLING:
                job.end(JobState.CANCELLED)
            elif job.used + 1 >= job.max_attempts:
                job.end(JobState.FAILED)
            else:
                job.back(job.used + 1)
        assert requeued == sum(job.state is JobState.QUEUED for job in mine)
        assert ended == len(mine) - requeued

    @precondition(lambda self: self.jobs)
    @rule(job_id=anything)
    def delete(self, job_id: str) -> None:
        ended = self.jobs[job_id].state in TERMINAL
        assert self.run("delete", job_id) == (b"ok" if ended else b"running")
        if ended:
            del self.jobs[job_id]
            self.gone.add(job_id)

    @precondition(lambda self: any(job.state not in TERMINAL for job in self.jobs.values()))
    @rule(job_id=anything)
    def clock_goes_back(self, job_id: str) -> None:
        if self.jobs[job_id].state not in TERMINAL:
            self.client.hset(f"{self.tag}:job:{job_id}", "version", FAR + self.before[job_id][0].version)

    def held(self, job_id: str) -> bool:
        return self.jobs[job_id].state in HELD

    def live(self, lease: Held) -> bool:
        return self.jobs[lease.id].token == lease.token and self.held(lease.id)

    def news(self, job: Expected | None, ahead: int, count: int) -> tuple[int, list[str]]:
        """An offset near the tail, and entries that are the same whenever they are sent for that offset."""
        first = max(1, (0 if job is None else len(job.log)) + 1 + ahead)
        return first, [str(offset) for offset in range(first, first + count)]

    # what holds after every step

    @invariant()
    def every_job_is_as_expected(self) -> None:
        if not hasattr(self, "jobs"):
            return
        _, rows = unpack(self.run("fetch", pack([*self.jobs, *self.gone]), ""))
        assert rows[len(self.jobs) :] == [False] * len(self.gone)
        now = {}
        for (job_id, expected), (row,) in zip(self.jobs.items(), rows, strict=False):
            job, fields = job_of(row, "store"), self.client.hgetall(f"{self.tag}:job:{job_id}")
            assert (job.state, job.attempt, job.offset) == (expected.state, expected.attempt, len(expected.log))
            assert job.attempt_firsts == expected.firsts
            assert fields.get(b"token", b"").decode() == (expected.token or "")
            assert expected.used < expected.max_attempts
            if job_id in self.before:
                self.step_is_allowed(*self.before[job_id], job, fields)
            now[job_id] = (job, fields)
        self.before = now

    def step_is_allowed(self, old: Job, had: dict[bytes, bytes], job: Job, has: dict[bytes, bytes]) -> None:
        if old.state in TERMINAL:
            assert has == had  # an end is written once
        elif has != had:
            assert job.version > old.version
            assert job.state is old.state or job.state in ALLOWED[old.state]

    @invariant()
    def every_set_holds_what_it_should(self) -> None:
        if not hasattr(self, "jobs"):
            return
        should, stored = sets_as_they_should_be(self.client, self.tag)
        assert stored == should
        wish = pack([[state.value for state in JobState], "all", [""], []])
        _, _, _, counted = unpack(self.run("list", wish, 1, "", 10, "counts"))
        assert self.counted(counted) == Counter(job.state.value for job in self.jobs.values())

    @invariant()
    def every_log_is_as_expected(self) -> None:
        for job_id, expected in getattr(self, "jobs", {}).items():
            _, last, rows = unpack(self.run("log", job_id, 0, 1000, 10**6))
            found: list[bytes | None] = []
            for offset, packed, gap in rows:
                found += [None] * (offset - gap + 1) if gap else [packed]
            assert found == [None if text is None else entry(text) for text in expected.log]
            assert last == len(found)


@pytest.mark.timeout(240)  # a machine that has more to do takes its time
@pytest.mark.usefixtures("scripting")
def test_whatever_happens_jobs_go_only_where_they_may() -> None:
    live(JobLife, lives=50, steps=40)
