"""One contestant on one Redis for one row: started on the right cores, warmed up, and gone afterwards."""

import socket
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from fanout_peers import Missing
from fanout_running import CORES
from processes import ROOT
from queue_contestants import Contestant
from queue_peers.marks import Marks, create
from queue_program import Program
from queue_store import Store

FIRST, REST = CORES[:1], CORES[1:]
ANSWER_S, START_S = 120.0, 30.0
WARM = 20
SPARE = 20_000  # jobs that may be used up by warming up


class Stage:
    """Owns the Redis, the marks and the programs of one contestant; leaves nothing running."""

    def __init__(self, contestant: Contestant, folder: str, jobs: int, *, slots: int = 0) -> None:
        self.contestant = contestant
        self.jobs = jobs
        self._folder = tempfile.mkdtemp(dir=folder)
        self._slots = slots or contestant.slots
        marks = str(Path(self._folder, "marks"))
        self.marks: Marks = create(marks, jobs + SPARE)
        self._next = jobs
        self._programs: list[Program] = []
        self.store = Store(folder)
        self.url = self.store.url
        self._environ = {"QUEUE_MARKS": marks, "QUEUE_SLOTS": str(self._slots), "QUEUE_REDIS": self.url}
        self._environ["PYTHONPATH"] = f"{ROOT / 'benchmarks' / 'queue_peers'}:{ROOT / 'benchmarks'}:{ROOT}"

    def move_away(self) -> None:
        """From now on Redis is far from what is started.

        Raises:
            Missing: there is no compiler.
        """
        self.url = self._environ["QUEUE_REDIS"] = self.store.far_url()

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        for program in reversed(self._programs):
            program.kill()  # all that it holds is thrown away
        self.store.stop()

    def _start(self, command: list[str], cores: list[int] | None) -> Program:
        program = Program(command, self._folder, self._environ, cores)
        self._programs.append(program)
        return program

    def client(self, cores: list[int] | None = None, *, by_http: bool = False) -> Program:
        """What submits; by HTTP it needs the server first."""
        return self._start(self.contestant.client_command(by_http), cores or REST)

    def worker(self, cores: list[int] | None = None) -> Program:
        """A worker process."""
        return self._start(self.contestant.worker(self.url, self._slots), cores or FIRST)

    def server(self) -> tuple[Program, str]:
        """What takes jobs by HTTP, and its URL.

        Raises:
            Missing: it has none.
            RuntimeError: it does not start.
        """
        if self.contestant.server is None:
            raise Missing("has no HTTP")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        program = self._start(self.contestant.server(self.url, port), FIRST)
        url = self._environ["QUEUE_HTTP"] = f"http://127.0.0.1:{port}"
        until = time.monotonic() + START_S
        while True:
            with suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(f"{url}/api/jobs", timeout=5):
                return program, url
            if time.monotonic() > until or program.popen.poll() is not None:
                raise RuntimeError(f"the server did not start: {program.last_words()}")
            time.sleep(0.05)

    def end(self, program: Program) -> None:
        """Stop one of them now."""
        program.stop()
        self._programs.remove(program)

    def submit(self, client: Program, way: str, count: int, *, task: str = "noop", first: int = 0) -> dict[str, Any]:
        """Have jobs submitted."""
        return client.ask(ANSWER_S, way=way, task=task, first=first, count=count)

    def warm_up(self, client: Program) -> None:
        """Some jobs, until all have run.

        Raises:
            RuntimeError: they do not.
        """
        first, self._next = self._next, self._next + WARM
        self.submit(client, "one", WARM, first=first)
        self.until(lambda: sum(self.marks.runs[first : first + WARM]) >= WARM, START_S, "the worker runs nothing")

    def spare(self) -> int:
        """The number of a job that nobody counts."""
        self._next += 1
        return self._next - 1

    def until(self, holds: Any, within_s: float, otherwise: str) -> None:
        """Wait for a condition.

        Raises:
            RuntimeError: it does not come true in time.
        """
        until = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > until:
                words = [program.last_words() for program in self._programs]
                raise RuntimeError(f"{otherwise}: {next(filter(None, words), 'nobody says why')}")
            time.sleep(0.01)

    def ran(self) -> int:
        """How many different jobs have run so far."""
        return self.jobs - self.marks.runs[: self.jobs].tolist().count(0)

    def again(self) -> int:
        """How many of them ran more than once."""
        return sum(run > 1 for run in self.marks.runs[: self.jobs])
