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
from cli.cursors import CursorFile
from cli.exits import Exit
from cli.ndjson import NdjsonScreen
from cli.options import run
from cli.terminal import echo_lines
from windsock.errors import NotFound
from windsock.target import Target
from windsock.watch import Watch
from windsock.watched import Watched

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
        snapshot = {"type": "snapshot", "sub": 1, "how": "fresh", "job": job, "cursor": "k-1.1.0"}
        self.say({"type": "welcome", "heartbeat_s": 15}, snapshot)

    def say(self, *frames: dict[str, Any]) -> None:
        self.write_message(json.dumps(frames))

    def end(self, state: str) -> None:
        job = {"id": "JOB1", "task": "t", "state": state, "attempt": 1, "cursor": "k-1.2.0"}
        self.say({"type": "end", "sub": 1, "job": job, "last": 0, "cursor": job["cursor"]})


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
    watch = asyncio.create_task(watching.watch_jobs(Target.of(base_url), Watch.of(["JOB1"], "all")))
    await until(lambda: "▶ running" in screen.getvalue())
    connections[0].end("cancelled")
    assert await watch is Exit.CANCELLED
    assert "⊘ cancelled" in screen.getvalue()
    assert screen.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is back


@pytest.mark.gen_test
async def test_leaving_says_that_the_job_goes_on_and_how_to_come_back(
    base_url: str, http_server: object, screen: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = asyncio.create_task(watching.watch_jobs(Target.of(base_url), Watch.of(["JOB1"], "all")))
    await until(lambda: "▶ running" in screen.getvalue())
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
    again = f"windsock watch JOB1 --after k-1.1.0 --url {base_url}"
    assert capsys.readouterr().err == f"windsock: detached; the job goes on. To go on watching: {again}\n"
    assert "\x1b[?25h" in screen.getvalue()


@pytest.mark.gen_test
async def test_a_variable_that_is_no_address_does_not_spoil_the_leaving(
    base_url: str, http_server: object, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("WINDSOCK_URL", "ftp://x")
    watch = asyncio.create_task(watching.watch_jobs(Target.of(base_url), Watch.of(["JOB1"], "none")))
    await until(lambda: "▶ running" in screen.getvalue())
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
    assert capsys.readouterr().err.endswith(f"--log none --url {base_url}\n")


@pytest.mark.gen_test
async def test_leaving_with_a_cursor_file_names_it_and_has_the_cursor_in_it(
    base_url: str,
    http_server: object,
    screen: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("WINDSOCK_URL", base_url)
    path = tmp_path / "a cursor"
    begin = Watch.of(["JOB1"], 5)
    watch = asyncio.create_task(watching.watch_jobs(Target.of(base_url), begin, file=CursorFile(path)))
    await until(lambda: "▶ running" in screen.getvalue())
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
    assert capsys.readouterr().err.endswith(f"windsock watch JOB1 --cursor-file '{path}' --log 5\n")
    assert path.read_text() == "JOB1 k-1.1.0\n"


@pytest.mark.gen_test
async def test_the_cursor_file_is_kept_while_the_watch_lasts(
    base_url: str,
    http_server: object,
    connections: list[Endless],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(watching, "SAVE_S", 0.02)
    path = tmp_path / "cursor"
    begin = Watch.of(["JOB1"], "all")
    watch = asyncio.create_task(watching.watch_jobs(Target.of(base_url), begin, as_json=True, file=CursorFile(path)))
    await until(lambda: path.exists() and path.read_text() == "JOB1 k-1.1.0\n")
    connections[0].end("succeeded")
    assert await watch is Exit.SUCCEEDED
    assert path.read_text() == "JOB1 k-1.2.0\n"


@pytest.mark.gen_test
async def test_json_on_a_terminal_is_json(
    base_url: str,
    http_server: object,
    connections: list[Endless],
    screen: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    watch = asyncio.create_task(watching.watch_jobs(Target.of(base_url), Watch.of(["JOB1"], "all"), as_json=True))
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
    assert "--after" not in err.decode()  # what the pipe held was never read


def test_in_a_pipe_a_reset_and_a_refusal_are_told_beside_the_frames(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched("JOB1", 1, refusal=NotFound("no such job", code="not_found", status=0))
    NdjsonScreen().show(watched, {"type": "snapshot", "how": "reset", "log_from": 3})
    NdjsonScreen().show(watched, {"type": "error", "code": "not_found"})
    told = capsys.readouterr()
    assert [json.loads(line)["type"] for line in told.out.splitlines()] == ["snapshot", "error"]
    reset, refusal = told.err.splitlines()
    assert "JOB1 · the server has other lines from 3 on" in reset
    assert refusal == "windsock: JOB1: no such job"


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
