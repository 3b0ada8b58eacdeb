"""The whole queue as a state machine: the real scripts on a real Redis, two workers, and a clock that is pushed on.

Jobs under limits are submitted, claimed, reported on, ended, retried, cancelled, lost with their worker and rescued,
deleted and expired, in any order, with calls that come twice or too late, and with leases of old. What must hold after
each step is said without a second queue in Python: no job is lost or in two places, none has two living leases, a limit
is never exceeded and never idle while it holds jobs back, and counts are what the jobs say. At the end all jobs run out
and are deleted, and nothing of them is left.
"""

import secrets
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from scripting import FOREVER_MS, WORKERS, Scripting, live, scripting, workers
from storing import LANE, new_id

from server.broker.record import fixed_of, pack, unpack
from server.job import ALLOWED, HELD, TERMINAL, JobState

__all__ = ["scripting"]

TASKS = ("free", "one", "two")
LIMITS = {"one": 1, "two": 2}
SETS = ("ready", "waiting", "scheduled", "leased", "holding", "ended")  # first words of keys of sets of jobs
CONFIGURED = {"store", "seq", "order", "limits", "beats", "nodes", "probe"}  # what belongs to no job
delays = st.sampled_from([0, 0, 60_000, 600_000])  # ms; the real time of the test is nothing beside them
anything: Any = st.runner().flatmap(lambda machine: st.sampled_from(sorted(machine.jobs)))
any_lease: Any = st.runner().flatmap(lambda machine: st.sampled_from(machine.leases[-8:]))  # most of them live


@dataclass
class Known:
    """What was learned of a job from the answers."""

    limit: str | None
    state: JobState = JobState.QUEUED
    attempts: list[int] = field(default_factory=list)  # that were handed out
    retried: int = 0


@dataclass(frozen=True)
class Held:
    """A lease that was handed out at some time."""

    id: str
    token: str
    attempt: int


@dataclass(frozen=True)
class Seen:
    """A job as it is stored."""

    state: JobState
    worker: str
    token: str


Sets = dict[str, dict[str, set[str]]]


class QueueLife(Scripting):
    """Rules are the scripts; invariants look at the bare keys."""

    @initialize()
    def open(self) -> None:
        self.connect()
        self.jobs: dict[str, Known] = {}
        self.leases: list[Held] = []
        self.limits = dict(LIMITS)
        self.run("enlist", "w1", pack([[LANE, [f"*/{task}" for task in TASKS]]]))

    # the road of a job

    @rule(
        task=st.sampled_from(("one", "two", "free")),
        user=st.sampled_from("ab"),
        count=st.integers(1, 4),
        priority=st.integers(-1, 1),
        delay=delays,
    )
    def submit(self, task: str, user: str, count: int, priority: int, delay: int) -> None:
        limit = {"free": None, "one": "one", "two": f"two/{user}"}[task]
        rows = []
        for _ in range(count):
            job_id = new_id()
            fixed = fixed_of(task, "default", ("t",), priority, 2, None, limit)
            rows.append([job_id, fixed, pack({}), False, delay or False, False])
            self.jobs[job_id] = Known(limit, JobState.SCHEDULED if delay else JobState.QUEUED)
        answers = unpack(self.run("submit", pack([*rows, rows[0]]), 1000, 10**6, 1000))
        assert [code for code, *_ in answers] == [b"new"] * count + [b"accepted"]

    @rule(worker=workers, count=st.integers(2, 6), twice=st.booleans())
    def claim(self, worker: str, count: int, twice: bool) -> None:
        request = secrets.token_hex(4)
        given = [worker, "node", request, count, pack(["*"]), pack(TASKS), LANE, 10**6, pack(self.limits)]
        first = self.run("claim", *given)
        if twice:
            assert [row[0][0] for row in unpack(self.run("claim", *given))] == [row[0][0] for row in unpack(first)]
        for record, _, _, _, retried, *_ in unpack(first):
            job_id, attempt = record[0].decode(), int(record[4])
            known = self.jobs[job_id]
            assert known.state is JobState.QUEUED  # nobody else has it
            assert attempt not in known.attempts
            assert retried == known.retried
            known.attempts.append(attempt)
            self.leases.append(Held(job_id, request, attempt))
            if known.limit is not None:
                running = self.client.scard(self.key(f"holding:{known.limit}"))
                assert running <= self.limits[known.limit.partition("/")[0]]

    @precondition(lambda self: self.leases)
    @rule(lease=any_lease)
    def report(self, lease: Held) -> None:
        row = [lease.id, lease.token, pack({"done": 1}), False, 1, [], False, 0]
        ((code, *_),) = unpack(self.run("report", pack([row]), 1000, 10**6, FOREVER_MS))
        assert code == (b"ok" if self.lives(lease) else b"fenced" if lease.id in self.jobs else b"gone")

    @precondition(lambda self: self.leases)
    @rule(lease=any_lease, verdict=st.sampled_from([*sorted(TERMINAL), "queued"]), twice=st.booleans())
    def finish(self, lease: Held, verdict: str, twice: bool) -> None:
        self.end(lease, verdict, 0)
        if twice:
            self.end(lease, verdict, 0)

    @precondition(lambda self: self.leases)
    @rule(lease=any_lease, delay=delays, twice=st.booleans())
    def retry(self, lease: Held, delay: int, twice: bool) -> None:
        counts = self.lives(lease) and self.jobs[lease.id].state is JobState.RUNNING
        self.end(lease, "retry", delay)
        if counts:
            self.jobs[lease.id].retried += 1
        if twice:
            self.end(lease, "retry", delay)

    def end(self, lease: Held, verdict: str, delay: int) -> None:
        lives = self.lives(lease)
        row = [lease.id, lease.token, verdict, False, False, False, False, 1, [], False, 0, delay]
        ((code, _),) = unpack(self.run("finish", pack([row]), 1000, 10**6, FOREVER_MS, 10, FOREVER_MS))
        assert code in ((b"ok",) if lives else (b"fenced", b"ok") if lease.id in self.jobs else (b"gone",))
        self.look()

    @precondition(lambda self: self.jobs)
    @rule(job_id=anything)
    def cancel(self, job_id: str) -> None:
        code, *_ = unpack(self.run("cancel", job_id))
        assert code == (b"ended" if self.jobs[job_id].state in TERMINAL else b"ok")

    # what goes wrong, and what passes

    @rule(worker=workers)
    def lose(self, worker: str) -> None:
        left = 1
        while left:
            *_, left = self.run("rescue", worker, "", 2)

    @precondition(lambda self: self.leases)
    @rule(lease=any_lease, worker=workers)
    def release(self, lease: Held, worker: str) -> None:
        self.run("release", worker, lease.id)

    @precondition(lambda self: self.leases)
    @rule(lease=any_lease)
    def reassert(self, lease: Held) -> None:
        """A worker thinks the store may have gone back, and it has not: nothing may come of it."""
        if not self.lives(lease):
            return
        fixed = self.client.hget(self.key(f"job:{lease.id}"), "fixed")
        row = [lease.id, lease.token, lease.attempt, "1", fixed, pack({}), False, 1, False, 1, False, 0]
        assert unpack(self.run("reassert", "w1", "node", "store", 0, pack([row]))) == [b"ok"]

    @rule(by=st.sampled_from([60_000, 600_000]))
    def time_passes(self, by: int) -> None:
        for job_id in self.client.zrange(self.key("scheduled"), 0, -1):
            self.client.zincrby(self.key("scheduled"), -by, job_id)
        self.beat()

    @rule()
    def beat(self) -> None:
        self.run("tick", "p1", pack({}), "store", 1e9, 1e9, 100, pack(["*"]), pack(TASKS))

    @rule(task=st.sampled_from(sorted(LIMITS)), most=st.integers(1, 3))
    def change_limit(self, task: str, most: int) -> None:
        """New code; what runs already may be more than that."""
        self.limits[task] = most

    @precondition(lambda self: self.jobs)
    @rule(job_id=anything)
    def delete(self, job_id: str) -> None:
        ended = self.jobs[job_id].state in TERMINAL
        assert self.run("delete", job_id) == (b"ok" if ended else b"running")
        if ended:
            del self.jobs[job_id]

    @rule(keep=st.integers(0, 3))
    def expire(self, keep: int) -> None:
        while self.run("sweep", 1e9, keep, 0, 100) == 100:
            pass
        ended = [job_id for job_id, known in self.jobs.items() if known.state in TERMINAL]
        kept = [job_id for job_id in ended if self.client.exists(self.key(f"job:{job_id}"))]
        assert len(kept) == min(keep, len(ended))
        for job_id in set(ended) - set(kept):
            del self.jobs[job_id]

    # what holds after every step

    def lives(self, lease: Held) -> bool:
        token, state = self.client.hmget(self.key(f"job:{lease.id}"), "token", "state")
        return token == lease.token.encode() and JobState(state.decode()) in HELD

    def look(self) -> dict[str, Seen]:
        """All jobs as they are stored; what was learned is brought up to date."""
        with self.client.pipeline(transaction=False) as asking:
            for job_id in self.jobs:
                asking.hmget(self.key(f"job:{job_id}"), "state", "worker", "token")
            rows = asking.execute()
        seen = {}
        for (job_id, known), (state, worker, token) in zip(self.jobs.items(), rows, strict=True):
            assert state, "a job is lost"
            seen[job_id] = Seen(JobState(state.decode()), (worker or b"").decode(), (token or b"").decode())
            self.moves(known, seen[job_id].state)
        return seen

    def moves(self, known: Known, new: JobState) -> None:
        """One rule may make two steps, and goes through no end."""
        old = known.state
        if new is not old:
            assert old not in TERMINAL
            assert new in ALLOWED[old] or any(new in ALLOWED[one] for one in ALLOWED[old] - TERMINAL)
        known.state = new

    def sets(self) -> dict[str, dict[str, set[str]]]:
        """All sets of jobs, by the first word of their keys and the rest."""
        keys = [key for key in self.client.scan_iter(self.key("*"), count=10_000) if self.kind(key) in SETS]
        with self.client.pipeline(transaction=False) as asking:
            for key in keys:
                asking.sort(key, by="nosort")
            members = asking.execute()
        found: dict[str, dict[str, set[str]]] = {kind: {} for kind in SETS}
        for key, ids in zip(keys, members, strict=True):
            rest = key.decode().removeprefix(self.tag + ":").partition(":")[2]
            found[self.kind(key)][rest] = {one.decode() for one in ids}
        return found

    def kind(self, key: bytes) -> str:
        return key.decode().removeprefix(self.tag + ":").partition(":")[0]

    @invariant()
    def all_holds(self) -> None:
        if hasattr(self, "jobs"):
            seen, sets = self.look(), self.sets()
            self.every_job_is_in_the_one_place_of_its_state(seen, sets)
            self.no_job_has_two_living_leases(seen)
            self.limits_are_kept_and_used(sets)
            self.counts_are_what_the_jobs_say()

    def every_job_is_in_the_one_place_of_its_state(self, seen: dict[str, Seen], sets: Sets) -> None:
        backs = sets["waiting"].pop("", set())
        assert backs == set(sets["waiting"])
        sets["ready"].pop("", None)
        places = {
            "queued": [*sets["ready"].values(), *sets["waiting"].values()],
            "scheduled": [*sets["scheduled"].values()],
            "held": [*sets["leased"].values()],
            "ended": [*sets["ended"].values()],
        }
        found = Counter((place, job_id) for place, groups in places.items() for ids in groups for job_id in ids)
        should = Counter((self.place(one.state), job_id) for job_id, one in seen.items())
        assert found == should
        for worker, ids in sets["leased"].items():
            assert {seen[job_id].worker for job_id in ids} == {worker}

    def place(self, state: JobState) -> str:
        return "held" if state in HELD else "ended" if state in TERMINAL else state.value

    def no_job_has_two_living_leases(self, seen: dict[str, Seen]) -> None:
        living = Counter(
            lease.id
            for lease in self.leases
            if lease.id in seen and seen[lease.id].token == lease.token and seen[lease.id].state in HELD
        )
        assert living == Counter(job_id for job_id, one in seen.items() if one.state in HELD)

    def limits_are_kept_and_used(self, sets: Sets) -> None:
        held: dict[str, set[str]] = defaultdict(set)
        for job_id, known in self.jobs.items():
            if known.limit is not None and known.state in HELD:
                held[known.limit].add(job_id)
        assert sets["holding"] == dict(held)
        ready = set().union(*sets["ready"].values())
        for limit, ids in sets["waiting"].items():
            assert {self.jobs[job_id].limit for job_id in ids} == {limit}
            assert held[limit] or any(self.jobs[job_id].limit == limit for job_id in ready)  # that let the next in

    def counts_are_what_the_jobs_say(self) -> None:
        for name, value in (("all", ""), ("queue", "default"), ("tag", "t")):
            wish = pack([[state.value for state in JobState], name, [value], []])
            *_, counted = unpack(self.run("list", wish, 1, "", 10, "counts"))
            assert self.counted(counted) == Counter(known.state.value for known in self.jobs.values())

    # the end

    def teardown(self) -> None:
        if hasattr(self, "jobs"):
            self.run_out()
            for key in self.client.keys(self.tag + "*"):
                name = key.decode().removeprefix(self.tag + ":")
                assert name in CONFIGURED or name.split(":")[0] in {"claim", "idle", "serves", "members"}, name
                self.client.delete(key)
        super().teardown()

    def run_out(self) -> None:
        """Every job comes to its end: no place was lost, nobody waits for ever."""
        for _ in range(10 + len(self.jobs)):
            self.time_passes(10**6)
            self.look()
            request = secrets.token_hex(4)
            self.run("claim", "w3", "node", request, 100, pack(["*"]), pack(TASKS), LANE, 10**6, pack(self.limits))
            self.look()
            for worker in (*WORKERS, "w3"):
                for job_id in self.client.smembers(self.key(f"leased:{worker}")):
                    token = self.client.hget(self.key(f"job:{job_id.decode()}"), "token")
                    row = [job_id, token, "succeeded", pack(1), 1, False, False, 1, [], False, 0, 0]
                    self.run("finish", pack([row]), 1000, 10**6, FOREVER_MS, 10, FOREVER_MS)
        self.look()
        assert {known.state for known in self.jobs.values()} <= TERMINAL
        self.expire(0)
        self.run("retire", "w1")


@pytest.mark.timeout(240)  # a machine that has more to do takes its time
@pytest.mark.usefixtures("scripting")
def test_whatever_happens_no_job_is_lost_no_limit_exceeded_and_nothing_left() -> None:
    live(QueueLife, lives=150, steps=40)
