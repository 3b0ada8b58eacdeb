"""What the tests of whole processes share: servers and workers to start, talk to, kill and start again.

A test takes the fixture `processes`; whatever was started through it is gone at the test's end, and a redis-server
that outlived its node fails the test.
"""

import asyncio
import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from conftest import redis_program
from stream import Frame, Stream

ROOT = Path(__file__).parent.parent
SHORT = {
    "BEAT_S": "0.2",
    "LEASE_S": "1",
    "DRAIN_S": "5",
    "CANCEL_GRACE_S": "0.5",
    "DRAIN_WINDOW_S": "0.1",
    "NAME": "node",
}
TASKS = '''
import asyncio, time
from typing import Any
from windsock import Progress, task

@task
async def count(to: int, progress: Progress, pause_s: float = 0.02) -> int:
    """Counts, and logs each number."""
    for number in range(1, to + 1):
        progress.update(number, to)
        progress.log(f"number {number}")
        await asyncio.sleep(pause_s)
    return to

@task
async def block(seconds: float, progress: Progress) -> str:
    """Blocks the loop."""
    progress.log("blocks")
    await asyncio.sleep(0.1)
    time.sleep(seconds)
    return "done"

@task
async def stubborn(seconds: float, progress: Progress) -> str:
    """Heeds no cancel."""
    progress.log("stays")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            pass
    return "done"

@task
def deaf(seconds: float, progress: Progress) -> str:
    """Sits in its thread and heeds nobody."""
    progress.log("sits")
    time.sleep(seconds)
    return "done"

@task
async def echo(value: Any) -> Any:
    """Returns what it was given."""
    return value
'''
ENDED = ("succeeded", "failed", "cancelled")


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 10.0) -> Any:
    """What `condition` returns when it is true at last."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.01)
    return value


@dataclass(frozen=True)
class Answer:
    """An answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: Any


def ask(url: str, method: str, path: str, body: Any = None, timeout_s: float = 10.0, key: str | None = None) -> Answer:
    """One request on a connection of its own; `key` is its idempotency key."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=timeout_s)
    try:
        headers = {"Connection": "close", **({"Content-Type": "application/json"} if body is not None else {})}
        headers |= {"Idempotency-Key": key} if key is not None else {}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        data = response.read()
    finally:
        connection.close()
    is_json = "json" in response.headers.get("Content-Type", "")
    return Answer(response.status, response.headers, json.loads(data) if is_json and data else data)


class Process:
    """One `python run.py …`, in a process group of its own, with all that it says."""

    def __init__(self, words: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self.words = list(words)
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), *self.words],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def says(self, pattern: str, timeout_s: float = 15.0) -> re.Match[str]:
        """Wait for a line that matches."""

        def found() -> re.Match[str] | None:
            ended = self.ended
            hit = next((match for line in list(self.lines) if (match := re.search(pattern, line))), None)
            assert hit or not ended or self._reader.is_alive(), f"it ended without {pattern!r}:\n{self.output}"
            return hit

        match: re.Match[str] = wait_for(found, f"{pattern!r} of {self.words}", timeout_s)
        return match

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def press_ctrl_c(self) -> None:
        """As a terminal does it: to the whole process group."""
        os.killpg(self.pid, signal.SIGINT)

    def wait(self, timeout_s: float = 15.0) -> int:
        """Wait for its end; the exit status."""
        status = self._process.wait(timeout_s)
        self._reader.join(5)
        return status

    def kill(self) -> None:
        """kill -9."""
        self.send(signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        """Gone, whatever state it is in."""
        if not self.ended:
            self._process.kill()
        self._process.wait(10)
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Server(Process):
    """A `serve` process."""

    url = ""

    def ready(self, timeout_s: float = 15.0) -> "Server":
        """Wait until it answers."""
        self.url = self.says(r"Windsock answers on (http\S+)$", timeout_s).group(1)
        return self

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def get(self, path: str) -> Answer:
        return ask(self.url, "GET", path)

    def submit(self, task: str, args: Mapping[str, Any] | None = None, **more: Any) -> str:
        """The id of an accepted job."""
        answer = ask(self.url, "POST", "/api/jobs", {"task": task, "args": args or {}, **more})
        assert answer.status == 202, answer
        job_id: str = answer.body["id"]
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.get(f"/api/jobs/{job_id}")
        assert answer.status == 200, answer
        job: dict[str, Any] = answer.body
        return job

    def running(self, job_id: str, attempt: int = 1, timeout_s: float = 10.0) -> dict[str, Any]:
        """The job, when it runs and has spoken."""

        def spoken() -> dict[str, Any] | None:
            job = self.job(job_id)
            assert job["state"] not in ENDED, job
            return job if job["state"] == "running" and job["attempt"] >= attempt and _has_log(job) else None

        job: dict[str, Any] = wait_for(spoken, f"{job_id} running", timeout_s)
        return job

    def end(self, job_id: str, timeout_s: float = 15.0) -> dict[str, Any]:
        """The job, when it has ended."""

        def ended() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["state"] in ENDED else None

        job: dict[str, Any] = wait_for(ended, f"end of {job_id}", timeout_s)
        return job

    def log(self, job_id: str) -> list[str]:
        """The texts of the log."""
        return [entry["text"] for entry in self.get(f"/api/jobs/{job_id}/log?limit=1000").body["entries"]]


def _has_log(job: Mapping[str, Any]) -> bool:
    return bool(job["progress"]) or not str(job["cursor"]).endswith(".0")


class Watcher:
    """A WebSocket client in a thread of its own; `frames` grows as they come."""

    stays_s = 60.0

    def __init__(self, url: str, *subscribe: Frame) -> None:
        self.frames: list[Frame] = []
        self.close_code: int | None = None
        self._url = url.replace("http", "ws", 1) + "/api/stream"
        self._subscribe = list(subscribe)
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()))
        self._thread.start()
        self.until(lambda frame: frame["type"] == "welcome")

    async def _listen(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._stop = lambda: loop.call_soon_threadsafe(task.cancel)
        stream = await Stream.open(self._url, hello=self._subscribe)
        self.frames = stream.frames
        try:
            with suppress(asyncio.CancelledError):
                self.close_code = await stream.closed(self.stays_s)
        finally:
            await stream.close()

    @property
    def closed(self) -> bool:
        return not self._thread.is_alive()

    def until(self, wanted: "str | Callable[[Frame], Any]", timeout_s: float = 10.0, after: int = 0) -> Frame:
        """The first frame, from the one with index `after` on, of this type or for which this is true."""

        def found() -> Frame | None:
            return next((frame for frame in list(self.frames)[after:] if fits(frame)), None)

        def fits(frame: Frame) -> bool:
            return frame["type"] == wanted if isinstance(wanted, str) else bool(wanted(frame))

        try:
            frame: Frame = wait_for(found, f"{wanted} over WebSocket", timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; closed: {self.closed} {self.close_code}; came: {self.frames}") from None
        return frame

    def types(self) -> list[str]:
        return [frame["type"] for frame in list(self.frames)]

    def numbers(self) -> list[int]:
        """The offsets of the log entries that came, in the order they came."""
        return [
            frame["first"] + index
            for frame in list(self.frames)
            if frame["type"] == "log"
            for index in range(len(frame["entries"]))
        ]

    def close(self) -> None:
        if not self.closed:
            with suppress(RuntimeError):  # its loop has just closed
                self._stop()
        self._thread.join(10)
        assert self.closed, "the watcher does not end"


def redis_of(data_dir: Path) -> list[psutil.Process]:
    """The redis-servers that live in a data directory: it is their working directory."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(data_dir):
                found.append(process)
    return found


class Processes:
    """Starts servers, workers, a shared redis-server and watchers, and ends them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.tasks = folder / "work.py"
        self.tasks.write_text(TASKS)
        self._started: list[Process] = []
        self._watchers: list[Watcher] = []
        self._redis: list[subprocess.Popen[bytes]] = []
        self._numbers = itertools.count(1)

    def start(self, *words: str, kind: type[Process] = Process, **settings: Any) -> Any:
        """`python run.py WORDS` with `WINDSOCK_*` settings; not waited for."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("WINDSOCK_")}
        env["WINDSOCK_REDIS_SERVER"] = redis_program()
        env |= {f"WINDSOCK_{name}": value for name, value in SHORT.items()}
        env |= {f"WINDSOCK_{name.upper()}": str(value) for name, value in settings.items()}
        process = kind([str(word) for word in words], env, self.folder)
        self._started.append(process)
        return process

    def serving(self, *flags: str, **settings: Any) -> Server:
        """A `serve` process, not waited for: the tasks above, on a free port, by default with a private Redis."""
        given = {"port": 0, "tasks": self.tasks, "data_dir": self.data_dir, **settings}
        server: Server = self.start("serve", *flags, kind=Server, **given)
        return server

    def serve(self, *flags: str, **settings: Any) -> Server:
        """A server that answers."""
        return self.serving(*flags, **settings).ready()

    def work(self, *flags: str, **settings: Any) -> Process:
        """A worker that takes jobs, with a name of its own: worker-1, worker-2 …"""
        name = f"worker-{next(self._numbers)}"
        worker: Process = self.start("worker", *flags, **{"tasks": self.tasks, "name": name, **settings})
        worker.says("takes jobs")
        return worker

    def watch(self, server: Server, *subscribe: Frame) -> Watcher:
        """A client that has been welcomed."""
        watcher = Watcher(server.url, *subscribe)
        self._watchers.append(watcher)
        return watcher

    @property
    def redis_url(self) -> str:
        """Where the redis-server to share listens."""
        return f"unix://{self.folder / 'redis' / 'redis.sock'}"

    def redis(self) -> str:
        """Start a redis-server to share; its URL."""
        folder = self.folder / "redis"
        folder.mkdir()
        path = folder / "redis.sock"
        words = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
        self._redis.append(subprocess.Popen([redis_program(), *words], stdout=subprocess.DEVNULL))
        wait_for(path.exists, "redis-server")
        return self.redis_url

    def private_redis(self) -> psutil.Process:
        """The redis-server in the data directory."""
        (found,) = wait_for(lambda: redis_of(self.data_dir), "a private redis-server")
        process: psutil.Process = found
        return process

    def no_orphan(self, timeout_s: float = 5.0) -> None:
        """Wait until no redis-server is left in the data directory."""
        wait_for(lambda: not redis_of(self.data_dir), "the private redis-server to end", timeout_s)

    def close(self) -> None:
        """End all of it, also what stands behind one that does not end."""
        with ExitStack() as ends:  # the last one first
            ends.callback(self._end_orphans)
            for redis in self._redis:
                ends.callback(redis.wait, 10)
                ends.callback(redis.kill)
            for process in self._started:
                ends.callback(process.close)
            for watcher in self._watchers:
                ends.callback(watcher.close)

    def _end_orphans(self) -> None:
        try:
            self.no_orphan()
        finally:
            for orphan in redis_of(self.data_dir):
                orphan.kill()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts real processes."""
    made = Processes(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Starts real processes that all tests of a file may use, as long as they leave them alive."""
    made = Processes(tmp_path_factory.mktemp("lasting"))
    yield made
    made.close()
