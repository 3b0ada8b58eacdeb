"""A watch as a program: bars or NDJSON, to the end or until it is left."""

import asyncio
import io
import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from cli import watching
from cli.exits import Exit
from cli.options import run
from cli.terminal import echo_lines

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "from cli.watch import watch; watch(prog_name='windsock watch')"


class Endless(WebSocketHandler):
    """A server with a job that runs until it is told to end."""

    connections: list["Endless"]

    def initialize(self, connections: list["Endless"]) -> None:
        self.connections = connections

    def select_subprotocol(self, subprotocols: list[str]) -> str:
        return subprotocols[0]

    def on_message(self, message: str | bytes) -> None:
        self.connections.append(self)
        job = {"id": "JOB1", "task": "t", "state": "running", "attempt": 1, "cursor": "k-1.1.0"}
        self.say({"type": "welcome", "heartbeat_s": 15}, {"type": "snapshot", "sub": 1, "how": "fresh", "job": job})

    def say(self, *frames: dict[str, Any]) -> None:
        self.write_message(json.dumps(frames))

    def end(self, state: str) -> None:
        job = {"id": "JOB1", "task": "t", "state": state, "attempt": 1, "cursor": "k-1.2.0"}
        self.say({"type": "end", "sub": 1, "job": job, "last": 0})


@pytest.fixture
def connections() -> list[Endless]:
    return []


@pytest.fixture
def app(connections: list[Endless]) -> Application:
    return Application([("/api/stream", Endless, {"connections": connections})])


async def until(condition: Any, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


async def start(url: str, stdout: int) -> asyncio.subprocess.Process:
    arguments = ("-c", PROGRAM, "JOB1", "--url", url)
    stderr = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdout=stdout, stderr=stderr)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal of 100 columns gets."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=20, markup=False, _environ={})
    monkeypatch.setattr(watching, "is_terminal", lambda: True)
    monkeypatch.setattr(watching, "make_console", lambda: console)
    return out


@pytest.mark.gen_test
async def test_on_a_terminal_there_are_bars_to_the_end(
    base_url: str, http_server: object, connections: list[Endless], screen: io.StringIO
) -> None:
    watch = asyncio.create_task(watching.watch_jobs(base_url, ["JOB1"], "all"))
    await until(lambda: "▶ running" in screen.getvalue())
    connections[0].end("cancelled")
    assert await watch is Exit.CANCELLED
    assert "⊘ cancelled" in screen.getvalue()
    assert screen.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is back


@pytest.mark.gen_test
async def test_leaving_says_that_the_job_goes_on_and_how_to_come_back(
    base_url: str, http_server: object, screen: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = asyncio.create_task(watching.watch_jobs(base_url, ["JOB1"], "all"))
    await until(lambda: "▶ running" in screen.getvalue())
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
    assert capsys.readouterr().err == ("windsock: detached; the job goes on. Come back with: windsock watch JOB1\n")
    assert "\x1b[?25h" in screen.getvalue()


@pytest.mark.gen_test
async def test_json_on_a_terminal_is_json(
    base_url: str,
    http_server: object,
    connections: list[Endless],
    screen: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    watch = asyncio.create_task(watching.watch_jobs(base_url, ["JOB1"], "all", as_json=True))
    await until(lambda: connections)
    connections[0].close(4200)
    await until(lambda: len(connections) == 2)
    connections[1].end("succeeded")
    assert await watch is Exit.SUCCEEDED
    told = capsys.readouterr()
    assert [json.loads(line)["type"] for line in told.out.splitlines()] == ["snapshot", "snapshot", "end"]
    assert "trying again in" in told.err
    assert "connected again" in told.err


@pytest.mark.gen_test
async def test_ctrl_c_detaches_with_130(base_url: str, http_server: object, connections: list[Endless]) -> None:
    process = await start(base_url, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert b"snapshot" in await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert err.decode().count("\n") == 1
    assert "the job goes on" in err.decode()


@pytest.mark.gen_test
async def test_a_reader_that_leaves_ends_the_watch_quietly(
    base_url: str, http_server: object, connections: list[Endless]
) -> None:
    reader, writer = os.pipe()
    process = await start(base_url, stdout=writer)
    os.close(writer)
    await asyncio.to_thread(os.read, reader, 1)
    os.close(reader)
    connections[0].say({"type": "live", "sub": 1})
    _, err = await process.communicate()
    assert process.returncode == 130
    assert err.decode().count("\n") == 1
    assert "the job goes on" in err.decode()


@pytest.mark.parametrize("left", [KeyboardInterrupt, asyncio.CancelledError, BrokenPipeError])
def test_work_that_is_left_exits_130(left: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.options.quiet_stdout", lambda: None)

    async def work() -> None:
        raise left

    # in a thread: asyncio.run here would drop the main thread's loop, which pytest-tornado leaves open
    with ThreadPoolExecutor(1) as thread, pytest.raises(SystemExit) as exit_info:
        thread.submit(lambda: run(work())).result()
    assert exit_info.value.code == Exit.DETACHED


def test_a_list_whose_reader_leaves_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        echo_lines(["a" * 100_000])
        assert os.write(pipe.fileno(), b"x") == 1  # stdout leads nowhere now, and takes all
