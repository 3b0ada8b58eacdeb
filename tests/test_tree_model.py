"""Trees as a state machine: the real scripts on a real Redis.

Jobs have children at any depth, groups are opened and sealed; workers claim, end, retry, lose and are asked to cancel
jobs, jobs are deleted. After each step what is counted of children must be what the jobs say.
"""

import secrets
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from scripting import FOREVER_MS, Scripting, live, scripting, workers
from storing import LANE, new_id, sets_as_they_should_be

from server.broker.record import fixed_of, job_of, pack, unpack
from server.job import HELD, TERMINAL, Children, Job, JobState
from server.tree import child_id

__all__ = ["scripting"]

weights = st.sampled_from([1.0, 2.5])
later = st.sampled_from([False, 10**14])
anything: Any = st.runner().flatmap(lambda machine: st.sampled_from(sorted(machine.kin)))
any_lease: Any = st.runner().flatmap(lambda machine: st.sampled_from(machine.leases))
any_group: Any = st.runner().flatmap(lambda machine: st.sampled_from(machine.groups))
UNSTARTED = frozenset({JobState.SCHEDULED, JobState.QUEUED})


@dataclass(frozen=True)
class Held:
    """A lease that was handed out at some time."""

    id: str
    token: str


class TreeLife(Scripting):
    """Rules are the scripts; the jobs themselves say what has to be counted."""

    @initialize()
    def open(self) -> None:
        self.connect()
        self.kin: dict[str, tuple[str | None, float]] = {}  # ids to parent and weight
        self.leases: list[Held] = []
        self.groups: list[str] = []
        self.sealed: set[str] = set()
        self.gone: dict[str, Counter[str]] = defaultdict(Counter)  # by parent: deleted children by state
        self.gone_weight: Counter[str] = Counter()
        self.dropped: dict[str, set[str]] = defaultdict(set)  # by parent: children deleted while it went on
        self.spawned: Counter[str] = Counter()
        self.at_end: dict[str, Children] = {}  # what was said of an ended parent's

    def submit(self, job_id: str, at: Any, kin: Any, token: Any, group: Any) -> str:
        fixed = fixed_of("add", "default", (), 0, 2, None, None, kin)
        row = [job_id, fixed, pack({}), False, False, at, False, False, "", False, False, token, group]
        ((code, *_),) = unpack(self.run("submit", pack([row]), 1000, 10**6, 1000))
        return str(code.decode())

    # rules

    @rule(at=later)
    def have_a_root(self, at: Any) -> None:
        job_id = new_id()
        assert self.submit(job_id, at, None, False, False) == "new"
        self.kin[job_id] = (None, 1.0)

    @precondition(lambda self: self.leases)
    @rule(lease=any_lease, weight=weights, at=later, again=st.booleans())
    def spawn(self, lease: Held, weight: float, at: Any, again: bool) -> None:
        number = max(1, self.spawned[lease.id] + (not again))
        job_id = child_id(lease.id, number)
        parent = self.read().get(lease.id)
        token = self.client.hget(f"{self.tag}:job:{lease.id}", "token") if parent else None
        known = job_id in self.kin
        code = self.submit(job_id, at, (lease.id, weight, 1), lease.token, False)
        if known:
            assert code == "accepted"
        elif parent is not None and parent.state is JobState.RUNNING and token == lease.token.encode():
            assert code == "new"
            self.kin[job_id] = (lease.id, weight)
            self.spawned[lease.id] = number
        else:
            assert code == "late"

    @rule()
    def open_a_group(self) -> None:
        job_id = new_id()
        assert self.submit(job_id, False, None, False, "node") == "new"
        self.kin[job_id] = (None, 1.0)
        self.groups.append(job_id)

    @precondition(lambda self: self.groups)
    @rule(group=any_group, weight=weights, at=later)
    def add_to_a_group(self, group: str, weight: float, at: Any) -> None:
        job_id, job = new_id(), self.read().get(group)
        code = self.submit(job_id, at, (group, weight, 1), "", False)
        if job is not None and job.state is JobState.RUNNING and group not in self.sealed:
            assert code == "new"
            self.kin[job_id] = (group, weight)
        else:
            assert code == "late"

    @precondition(lambda self: self.groups)
    @rule(group=any_group)
    def seal(self, group: str) -> None:
        self.run("seal", group, "node")
        self.sealed.add(group)

    @rule()
    def lose_the_node(self) -> None:
        self.run("rescue", "node", "", 10)
        self.sealed.update(self.groups)

    @rule(worker=workers, count=st.integers(1, 4))
    def claim(self, worker: str, count: int) -> None:
        token = secrets.token_hex(4)
        reply = unpack(self.run("claim", worker, "node", token, count, pack(["*"]), pack(["add"]), LANE, 10**6))
        self.leases += [Held(row[0][0].decode(), token) for row in reply]

    @precondition(lambda self: self.leases)
    @rule(lease=any_lease, done=st.integers(0, 4))
    def report(self, lease: Held, done: int) -> None:
        row = [lease.id, lease.token, pack({"done": done, "total": 4}), False, 1, [], False, 0]
        self.run("report", pack([row]), 1000, 10**6, FOREVER_MS)

    @precondition(lambda self: self.leases)
    @rule(lease=any_lease, verdict=st.sampled_from([*sorted(TERMINAL), "queued", "retry"]))
    def finish(self, lease: Held, verdict: str) -> None:
        row = [lease.id, lease.token, str(verdict), False, False, False, False, 1, [], False, 0, 0]
        self.run("finish", pack([row]), 1000, 10**6, FOREVER_MS, 10, FOREVER_MS)

    @precondition(lambda self: self.kin)
    @rule(job_id=anything)
    def cancel(self, job_id: str) -> None:
        self.run("cancel", job_id)

    @rule(worker=workers)
    def rescue(self, worker: str) -> None:
        left = 1
        while left:
            *_, left = self.run("rescue", worker, "", 2)

    @precondition(lambda self: self.kin)
    @rule(job_id=anything)
    def delete(self, job_id: str) -> None:
        job = self.read().get(job_id)
        if self.run("delete", job_id) == b"ok":
            assert job is not None
            parent, weight = self.kin.pop(job_id)
            self.gone.pop(job_id, None)
            if parent in self.kin:
                self.gone[parent][job.state.value] += 1
                self.gone_weight[parent] += weight
                self.dropped[parent].add(job_id)

    @rule()
    def beat(self) -> None:
        self.run("tick", "node", pack({}), "store", 1e9, 1e9, 10, pack([]), pack([]))

    # what holds after every step

    def read(self) -> dict[str, Job]:
        _, rows = unpack(self.run("fetch", pack(list(self.kin)), ""))
        return {job_id: job_of(row[0], "store") for job_id, row in zip(self.kin, rows, strict=True) if row}

    @invariant()
    def children_are_counted_right(self) -> None:
        jobs = self.read() if hasattr(self, "kin") else {}
        below: dict[str, list[Job]] = defaultdict(list)
        for job_id, job in jobs.items():
            assert job.parent == self.kin[job_id][0]
            if job.parent is not None:
                below[job.parent].append(job)
        for job_id, job in jobs.items():
            self.what_was_deleted_is_noted(job)
            states = Counter(child.state.value for child in below[job_id]) + self.gone[job_id]
            if job_id not in self.groups and not states:
                assert job.children is None
                continue
            self.counts_are(job, states)
            self.an_end_goes_down(job, below[job_id])
            if job_id in self.groups:
                self.group_is_right(job, states)

    def counts_are(self, job: Job, states: "Counter[str]") -> None:
        children = job.children
        assert children is not None
        ended = {state.value: states[state.value] for state in TERMINAL}
        if job.ended and job.id not in self.groups:  # as it was then; they may go on, or were cancelled by its end
            assert children == self.at_end.setdefault(job.id, children)
            assert children.total == states.total()
            assert children.ended <= sum(ended.values())
        else:
            assert children.counts() == {
                "total": states.total(),
                "ended": sum(ended.values()),
                "failed": ended["failed"],
                "cancelled": ended["cancelled"],
                "running": states["running"] + states["cancelling"],
            }
        kept = sum(weight for parent, weight in self.kin.values() if parent == job.id)
        assert children.weight == pytest.approx(kept + self.gone_weight[job.id])
        assert 0 <= children.fraction <= 1
        if children.ended == children.total and children.total and job.state in (*HELD, *UNSTARTED):
            assert children.done == pytest.approx(children.weight)

    def what_was_deleted_is_noted(self, job: Job) -> None:
        """For as long as the parent may ask."""
        noted = {one.decode() for one in self.client.smembers(f"{self.tag}:dropped:{job.id}")}
        assert noted == (set() if job.ended else self.dropped[job.id] - self.kin.keys())

    def an_end_goes_down(self, job: Job, below: list[Job]) -> None:
        if job.state in (JobState.FAILED, JobState.CANCELLED, JobState.CANCELLING):
            assert all(child.state in (*TERMINAL, JobState.CANCELLING) for child in below), job.state

    def group_is_right(self, job: Job, states: "Counter[str]") -> None:
        """It goes on while a child does, or while it takes some in."""
        over = sum(states[state.value] for state in TERMINAL) == states.total() and job.id in self.sealed
        assert job.ended == over
        if job.state is JobState.SUCCEEDED:
            assert states.total() == states["succeeded"] > 0

    @invariant()
    def every_set_holds_what_it_should(self) -> None:
        if hasattr(self, "kin"):
            should, stored = sets_as_they_should_be(self.client, self.tag)
            assert stored == should
            assert self.client.smembers(f"{self.tag}:felling") == set()


@pytest.mark.timeout(240)  # a machine that has more to do takes its time
@pytest.mark.usefixtures("scripting")
def test_whatever_happens_parents_know_how_their_children_are() -> None:
    live(TreeLife, lives=30, steps=30)
