"""What watchers are promised, as a state machine: real nodes, workers and clients on a real Redis, and every fault.

After every step each frame that a client was told has kept the rules of docs/protocol.md (see delivering/reader.py).
At the end all faults are healed, and 15 s later everybody holds what the store has; then the jobs end, and everybody
has been told so once.

`WINDSOCK_MODEL_EXAMPLES` and `WINDSOCK_MODEL_STEPS` make it run longer, and at random; `WINDSOCK_MODEL_SHRINK=no` shows
the first failure as it came, `WINDSOCK_MODEL_HARSH` also loses attempts whose numbers would be given twice.
"""

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from delivering.checks import come_to_rest
from delivering.history import does
from delivering.place import Place
from delivering.stage import Act
from delivering.world import World
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, run_state_machine_as_test

EXAMPLES = int(os.environ.get("WINDSOCK_MODEL_EXAMPLES", "0"))
STEPS = int(os.environ.get("WINDSOCK_MODEL_STEPS", "40"))
SHRINK = os.environ.get("WINDSOCK_MODEL_SHRINK") != "no"
HARSH = "WINDSOCK_MODEL_HARSH" in os.environ
MOMENT_S = 0.05  # passes with every step
MOST_JOBS, MOST_WORKERS, MOST_ACCOUNTS = 3, 5, 4
_numbers = itertools.count()
which = st.integers(0, 5)
lengths = st.sampled_from([0.02, 0.3, 1.1, 5.5])
few, moments = st.integers(1, 4), st.integers(0, 3)
logs = st.sampled_from(["all", "all", "all", 3, "none"])


class Delivery(RuleBasedStateMachine):
    """Rules are what jobs, clients and faults do."""

    url: ClassVar[str]
    counts: ClassVar[Counter[str]]

    @initialize(watches=st.tuples(logs, logs, logs))
    def open(self, watches: tuple[Any, ...]) -> None:
        self.broken, self.inside = True, False
        self.history = [f"state.open(watches={watches!r})"]
        self.world = World(self.url, f"delivery-{os.getpid()}-{next(_numbers)}")
        self.broken = False
        self.counts["examples"] += 1
        self.step(self.world.clients[0].submit, watches[0])
        (job_id,) = self.world.truth.jobs
        for client, log in zip(self.world.clients[1:], watches[1:], strict=True):
            self.step(client.watch, job_id, log)

    def step(self, what: Callable[..., Any], *arguments: Any) -> None:
        """Something happens, and a moment passes."""
        self.counts["steps"] += 1
        self.run(self.world.do, what, *arguments)
        self.run(self.world.wait, MOMENT_S)

    def run(self, what: Callable[..., Any], *arguments: Any) -> None:
        try:
            what(*arguments)
        except BaseException as error:
            self.broken = True
            print("\n".join([*self.history, "state.teardown()", f"# {error!r}"]))
            raise

    def job(self, number: int) -> str:
        jobs = sorted(self.world.truth.jobs)
        return jobs[number % len(jobs)]

    def place(self, number: int) -> Place:
        return self.world.alive[number % len(self.world.alive)]

    def client(self, number: int) -> Any:
        return self.world.clients[number % 3]

    # Rules have no preconditions: which worker gets a job is left to Redis, and Hypothesis wants them repeatable.

    def act(self, number: int) -> Act | None:
        """One of the attempts that run; where there is none, a job is submitted, if there may be more."""
        acts = [act for act in self.world.stage.acts if not act.end.done()]
        if not acts:
            self.submit(who=number, log="all")
            return None
        return acts[number % len(acts)]

    # jobs

    @does(who=which, log=logs)
    def submit(self, who: int, log: Any) -> None:
        if len(self.world.truth.jobs) < MOST_JOBS and self.may_submit(who):
            self.step(self.client(who).submit, log)

    def may_submit(self, who: int) -> bool:
        socket = self.client(who).socket
        return socket is not None and len(self.client(who).accounts) < MOST_ACCOUNTS

    @does(who=which, count=st.integers(1, 8), heavy=st.booleans(), emit=st.booleans())
    def say(self, who: int, count: int, heavy: bool, emit: bool) -> None:
        if act := self.act(who):
            self.step(lambda: self.world.stage.say(act, count, 3000 if heavy else 0, emit=emit))

    @does(who=which, count=st.sampled_from([10, 14, 25]))
    def say_much(self, who: int, count: int) -> None:
        if act := self.act(who):
            self.step(lambda: self.world.stage.say(act, count, 0, emit=False))

    @does(who=which, times=st.integers(1, 3))
    def move(self, who: int, times: int) -> None:
        for _ in range(times):
            if act := self.act(who):
                self.step(act.progress.advance)

    @does(who=which, how=st.sampled_from(["succeed", "fail", "cancel"]), says=st.integers(0, 3), at=moments)
    def finish(self, who: int, how: str, says: int, at: int) -> None:
        act = self.act(who) if at == 0 else None
        if act is None:
            return
        self.world.do(lambda: self.world.stage.say(act, says, 0, emit=False))
        if how == "cancel":
            self.step(self.client(who).cancel, act.progress.job_id)
        elif how == "fail":
            self.step(act.end.set_exception, ValueError(f"act {act.number}"))
        else:
            self.step(act.end.set_result, {"said": act.said})

    @does(who=which, job=which, at=moments)
    def cancel(self, who: int, job: int, at: int) -> None:
        if at == 0:
            self.step(self.client(who).cancel, self.job(job))

    # workers

    @does(who=which, how=st.sampled_from(["kill", "stop", "freeze", "start"]), for_s=lengths)
    def change_worker(self, who: int, how: str, for_s: float) -> None:
        if how == "start":
            self.start_worker()
            return
        worker = self.worker(who)
        if worker is None:
            self.start_worker()
        elif how == "freeze":
            self.step(worker.freeze)
            self.world.later(for_s, worker.heal)
        elif worker not in self.needed() and how == "kill":
            self.step(worker.kill)
        elif worker not in self.needed():
            self.run(self.world.leave, worker.stop())
            self.step(lambda: None)

    def start_worker(self) -> None:
        if len(self.world.places) < 2 + MOST_WORKERS and self.may_claim():
            self.run(lambda: self.world.start(serves=False))
            self.step(lambda: None)

    def worker(self, number: int) -> Place | None:
        """One that could be missed: the store has all that it knows; None when there is none."""
        workers = self.world.workers
        found = workers[number % len(workers)] if workers else None
        return None if found is None or found.doubts else found

    def may_claim(self) -> bool:
        """No worker has still to tell the store what it lost: until then another one could run its jobs too."""
        return not any(worker.doubts for worker in self.world.workers)

    def needed(self) -> list[Place]:
        """Workers without which an end would be lost that somebody was told."""
        missing = [job_id for job_id in self.world.truth.ends if not self.world.truth.jobs[job_id].ended]
        return [worker for worker in self.world.workers if any(worker.remembers(job_id) for job_id in missing)]

    # the way between the store and a process

    @does(who=which, how=st.sampled_from(["cut", "slow", "deliver", "drop", "repeat"]), for_s=lengths, count=few)
    def disturb_link(self, who: int, how: str, for_s: float, count: int) -> None:
        ear = self.place(who).ear
        if how == "cut":
            self.step(ear.cut, for_s)
        elif how == "slow":
            ear.slow = True
            self.world.later(for_s, setattr, ear, "slow", False)
        elif how == "deliver":
            self.step(ear.deliver, count)
        elif how == "drop":
            ear.drop = count
        else:
            self.step(ear.repeat)

    @does(who=which, how=st.sampled_from(["away", "no answer", "there", "back"]), for_s=lengths, count=few)
    def disturb_calls(self, who: int, how: str, for_s: float, count: int) -> None:
        way = self.place(who).way
        if how == "away":
            way.away = True
            self.world.later(for_s, setattr, way, "away", False)
        elif how == "no answer":
            way.lose_answers = count
        elif not way.hold:
            way.hold = how
            self.world.later(for_s, way.let_go)

    # the store

    @does()
    def keep(self) -> None:
        self.world.truth.keep()

    @does(down_s=lengths)
    def lose_tail(self, down_s: float) -> None:
        if self.world.may_lose(harsh=HARSH):
            self.run(self.world.lose_tail, down_s)
            self.step(lambda: None)

    @does(who=which, count=st.integers(1, 6), kill=st.booleans(), down_s=lengths)
    def lose_what_was_said(self, who: int, count: int, kill: bool, down_s: float) -> None:
        self.keep()
        self.say(who=who, count=count, heavy=False, emit=False)
        if kill:
            self.change_worker(who=0, how="kill", for_s=0.0)
        self.lose_tail(down_s=down_s)

    # clients

    @does(who=which, how=st.sampled_from(["cut", "fill", "delay"]), where=st.integers(0, 1), for_s=lengths)
    def disturb_client(self, who: int, how: str, where: int, for_s: float) -> None:
        client = self.client(who)
        if how == "cut":
            self.step(client.cut, for_s, self.world.nodes[where] if who % 3 == 2 else client.home)
        elif how == "delay":
            client.lags = True
            self.world.later(for_s, setattr, client, "lags", False)
        elif client.socket is not None and not client.socket.full:
            client.socket.full = True
            self.world.later(for_s, client.socket.drain)

    @does(who=which, job=which, log=logs)
    def watch(self, who: int, job: int, log: Any) -> None:
        client = self.client(who)
        if len(client.accounts) < MOST_ACCOUNTS:
            self.step(client.watch, self.job(job), log)

    @does(who=which, number=which)
    def watch_again(self, who: int, number: int) -> None:
        accounts = self.client(who).accounts
        if accounts:
            self.step(self.client(who).watch_again, accounts[number % len(accounts)])

    # time

    @does(seconds=lengths)
    def wait(self, seconds: float) -> None:
        self.run(self.world.wait, seconds)

    # the end

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            if not self.broken:
                self.run(come_to_rest, self.world)
        finally:
            self.counts.update(self.world.truth.seen)
            self.world.close()


@pytest.fixture
def machine(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Delivery]]:
    monkeypatch.setattr("server.topic.RING_ENTRIES", 6)  # so that much has to be read from the store …
    monkeypatch.setattr("server.topic_reads.READ_ENTRIES", 5)  # … and in pieces
    Delivery.url = redis_url
    Delivery.counts = Counter()
    yield Delivery
    print(Delivery.counts)


@pytest.mark.timeout(0 if EXAMPLES else 300)
@pytest.mark.expects_log(
    "does not get through|the store has gone back|the store is another one|its end came too late"
    "|does not hold it|is lost; .* of its jobs|the loop was blocked for .* by no job's code"
)
def test_whatever_happens_watchers_are_told_what_they_are_promised(machine: type[Delivery]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES or 60,
            stateful_step_count=STEPS,
            derandomize=not EXAMPLES,
            database=None,
            print_blob=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[phase for phase in Phase if SHRINK or phase is not Phase.shrink],
        ),
    )
