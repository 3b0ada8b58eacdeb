"""Servers that are given work on and on while their processes are killed, replaced and started again."""

import itertools
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPException

import pytest
from processes import Answer, Processes, Server, ask, processes, wait_for
from workforce import children, pids, rolled

__all__ = ["processes"]
TASKS = '''
import asyncio
from pathlib import Path
from windsock import Progress, task

@task
async def note(file: str, progress: Progress) -> None:
    """Writes a line for each time it runs."""
    await asyncio.sleep(0.02)
    with open(file, "a") as out:
        out.write(f"{progress.job_id} {progress.attempt}\\n")

@task(unique=True)
async def only_one(file: str) -> str:
    """Whoever wants the same has the same job, until there is a file."""
    while not Path(file).exists():
        await asyncio.sleep(0.02)
    return file
'''


class Load:
    """Clients that submit on and on, each submit with a key and again until it is answered."""

    def __init__(self, url: str, file: str) -> None:
        self.accepted: dict[str, str] = {}  # keys to ids
        self._url = url
        self._body = {"task": "note", "args": {"file": file}}
        self._numbers = itertools.count()
        self._enough = threading.Event()

    @contextmanager
    def coming(self, clients: int) -> Iterator[None]:
        """While this lasts, jobs come."""
        threads = [threading.Thread(target=self._submit_on_and_on) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._enough.set()
            for thread in threads:
                thread.join()

    def _submit_on_and_on(self) -> None:
        while not self._enough.is_set():
            self._submit(f"k{next(self._numbers)}")

    def _submit(self, key: str) -> None:
        while key not in self.accepted:
            with suppress(OSError, HTTPException):  # nobody is there, or it went away over it
                answer = ask(self._url, "POST", "/api/jobs", self._body, key=key)
                if answer.status in (200, 202):
                    self.accepted[key] = answer.body["id"]
                    return
                assert answer.status == 503, answer
            if self._enough.wait(0.05):  # then what has no answer may be there or not
                return

    def more(self, count: int) -> None:
        """Wait until so many more are accepted."""
        wanted = len(self.accepted) + count
        wait_for(lambda: len(self.accepted) >= wanted, f"{wanted} accepted", 60)


@pytest.mark.timeout(240)
def test_no_job_that_was_accepted_is_lost_by_a_kill_a_replacement_and_a_restart(processes: Processes) -> None:
    processes.tasks.write_text(TASKS)
    server = processes.serving("--workers", "4", drain_s=20).ready(60)
    file = processes.folder / "ran"
    load = Load(server.url, str(file))
    with load.coming(clients=4):
        load.more(100)
        os.kill(pids(server)[0], signal.SIGKILL)
        wait_for(lambda: sum(child["restarts"] for child in children(server)) == 1, "another process", 60)
        before = pids(server)
        server.send(signal.SIGUSR1)
        wait_for(rolled(server, before), "all to be replaced", 60)
        load.more(50)
        server.send(signal.SIGTERM)
        assert server.wait(60) == 0
        again = processes.serving("--workers", "4", port=server.port).ready(60)
        load.more(100)
    ids = set(load.accepted.values())
    assert len(ids) == len(load.accepted)
    counts = wait_for(lambda: _ended(again), "all jobs to end", 60)
    assert set(counts) <= {"succeeded"}
    stored = counts["succeeded"]
    assert len(ids) <= stored <= len(ids) + 4  # of a submit that nobody waits for any more the answer is not known
    attempts = [tuple(line.split()) for line in file.read_text().splitlines()]
    assert set(Counter(attempts).values()) == {1}
    ran = Counter(job_id for job_id, _ in attempts)
    assert ids <= set(ran)
    assert len(ran) == stored
    assert all(again.job(job_id)["attempt"] > 1 for job_id, times in ran.items() if times > 1)


def _ended(server: Server) -> dict[str, int]:
    """How many jobs there are of each state, once all have ended."""
    counts: dict[str, int] = {state: n for state, n in server.get("/api/jobs?limit=1").body["counts"].items() if n}
    return {} if {"queued", "running", "scheduled", "cancelling"} & set(counts) else counts


@pytest.fixture
def doors(processes: Processes) -> list[Server]:
    """Two servers on one Redis, which run jobs both."""
    processes.tasks.write_text(TASKS)
    url = processes.redis()
    return [processes.serve(redis=url, name=name) for name in ("left", "right")]


def _at_once(doors: list[Server], body: dict[str, object], key: str | None) -> list[Answer]:
    """The answers to one submit that goes to both servers, four times to each, at the same moment."""
    gate = threading.Barrier(8)

    def submit(door: Server) -> Answer:
        gate.wait()
        return ask(door.url, "POST", "/api/jobs", body, key=key)

    with ThreadPoolExecutor(8) as clients:
        return list(clients.map(submit, doors * 4))


def test_of_submits_with_one_key_to_two_servers_at_once_one_makes_the_job(
    processes: Processes, doors: list[Server]
) -> None:
    file = processes.folder / "ran"
    ids = set()
    for number in range(20):
        answers = _at_once(doors, {"task": "note", "args": {"file": str(file)}}, f"key {number}")
        assert sorted(answer.status for answer in answers) == [200] * 7 + [202]
        assert len({answer.body["id"] for answer in answers}) == 1
        ids.add(answers[0].body["id"])
    assert [doors[0].end(job_id)["state"] for job_id in ids] == ["succeeded"] * 20
    assert len(file.read_text().splitlines()) == 20


def test_of_submits_of_a_unique_task_to_two_servers_at_once_one_makes_the_job(
    processes: Processes, doors: list[Server]
) -> None:
    for number in range(10):
        file = processes.folder / f"go {number}"
        answers = _at_once(doors, {"task": "only_one", "args": {"file": str(file)}}, None)
        file.touch()
        assert sorted(answer.status for answer in answers) == [200] * 7 + [202]
        (job_id,) = {answer.body["id"] for answer in answers}
        assert doors[1].end(job_id)["result"] == str(file)
    assert sum(doors[0].get("/api/jobs?limit=1").body["counts"].values()) == 10
