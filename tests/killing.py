"""A run of jobs whose workers are killed again and again, with three records of it.

What the attempts wrote themselves (`journal`), what the store announced (`announced`), what clients were told
(`witnesses`).
"""

import itertools
import os
import random
import time
from typing import Any

import redis
from announced import Announced
from journal import Death, Journal, Try
from processes import ENDED, Process, Processes, Server, Watcher, ask, wait_for
from stream import Frame

JOBS = int(os.environ.get("WINDSOCK_KILL_JOBS", "300"))
GROUP = 200  # jobs that one client watches, each by itself and all in a feed
WORKERS = 3
FEED = 1000  # number of that subscription
PATIENCE_S = 60.0 + JOBS / 4
TAG = "{windsock}"


class Witness(Watcher):
    """A client that stays as long as it takes."""

    stays_s = 2 * PATIENCE_S

    def told_of_all(self) -> list[Frame]:
        """The summaries that came with the feed."""
        return [job for frame in list(self.frames) if frame.get("sub") == FEED for job in frame.get("jobs", ())]

    def told_ends(self) -> set[str]:
        """The jobs that have ended, as the feed says."""
        newest = {job["id"]: job["state"] for job in self.told_of_all()}
        return {job_id for job_id, state in newest.items() if state in ENDED}


class Crew:
    """Workers that are killed and replaced; each has a name of its own."""

    def __init__(self, processes: Processes, redis_url: str, journal: Journal) -> None:
        self._processes = processes
        self._settings = {"redis": redis_url, "tasks": journal.tasks, "slots": 5, "threads": 2}
        self._numbers = itertools.count(1)
        self.workers: dict[str, Process] = {}
        self.deaths: dict[str, Death] = {}

    def fill_up(self) -> None:
        """As many as there should be, and all take jobs."""
        new = [f"hand-{next(self._numbers)}" for _ in range(WORKERS - len(self.workers))]
        for name in new:
            self.workers[name] = self._processes.start("worker", name=name, **self._settings)
        for name in new:
            self.workers[name].says("takes jobs", 30)

    def kill(self, name: str) -> None:
        """kill -9."""
        worker = self.workers.pop(name)
        sent = time.monotonic_ns()
        worker.kill()
        self.deaths[name] = Death(name, worker.pid, sent, time.monotonic_ns())


class Run:
    """One run of the loop, and its three records."""

    def __init__(self, processes: Processes) -> None:
        self.url = processes.redis()
        self.journal = Journal(processes.folder)
        self.server: Server = processes.serve("--no-worker", redis=self.url, tasks=self.journal.tasks)
        self.crew = Crew(processes, self.url, self.journal)
        self.store = redis.Redis.from_url(self.url, protocol=2)
        self.announced = Announced(self.url)
        self.draw = random.Random(int(os.environ.get("WINDSOCK_KILL_SEED", "1")))
        self.most: dict[str, int] = {}  # attempts that a job may lose
        self.witnesses: list[tuple[Witness, list[str]]] = []
        self.ends: dict[str, dict[str, Any]] = {}
        self.tries: dict[str, list[Try]] = {}

    def submit(self) -> None:
        """All jobs, before anybody can run them, and clients that look at them."""
        jobs = [self._submission(number) for number in range(JOBS)]
        answer = ask(self.server.url, "POST", "/api/jobs", jobs)
        assert answer.status == 202, answer
        self.most = {job["id"]: job["max_attempts"] for job in answer.body["jobs"]}
        ids = list(self.most)
        for first in range(0, JOBS, GROUP):
            group = ids[first : first + GROUP]
            wishes: list[Frame] = [
                {"type": "subscribe", "sub": sub, "job": job_id} for sub, job_id in enumerate(group, 1)
            ]
            feed = {"type": "subscribe", "sub": FEED, "feed": {"tag": f"group:{first // GROUP}"}, "limit": GROUP}
            self.witnesses.append((Witness(self.server.url, *wishes, feed), group))

    def _submission(self, number: int) -> dict[str, Any]:
        return {
            "task": "piece_in_thread" if number % 8 == 0 else "piece",
            "args": {"pause_s": round(self.draw.uniform(0.1, 0.8), 3)},
            "max_attempts": 2 if number % 3 == 0 else 1000,
            "tags": [f"group:{number // GROUP}"],
        }

    @property
    def ended(self) -> int:
        """How many jobs."""
        return int(self.store.zcard(f"{TAG}:ended"))

    @property
    def held(self) -> int:
        """How many jobs run, in the store's eyes."""
        return sum(self.store.zcard(f"{TAG}:index:{state}:all") for state in ("running", "cancelling"))

    def kill_on_and_on(self) -> None:
        """Until all have ended. At each third turn all workers at once, and none comes before all is taken back."""
        self.crew.fill_up()
        for turn in itertools.count(1):
            goal = min(JOBS, self.ended + self.draw.randint(3, 18))
            wait_for(lambda goal=goal: self.ended >= goal, f"{goal} ends", PATIENCE_S)
            if self.ended == JOBS:
                return
            if turn % 3:
                self.crew.kill(self.draw.choice(list(self.crew.workers)))
            else:
                wait_for(lambda: self.held, "something that runs")
                for name in list(self.crew.workers):
                    self.crew.kill(name)
                wait_for(lambda: not self.held, "everything to be taken back")
            self.crew.fill_up()

    def settle(self) -> None:
        """Read the records."""
        self.ends = {job_id: self.server.end(job_id) for job_id in self.most}
        for witness, group in self.witnesses:
            wait_for(lambda w=witness, g=group: w.types().count("end") == len(g), "all ends at the client")
            wait_for(lambda w=witness, g=group: w.told_ends() == set(g), "all ends in the feed")
        self.tries = self.journal.read()

    def close(self) -> None:
        for witness, _ in self.witnesses:
            witness.close()
        self.announced.close()
        self.store.close()
