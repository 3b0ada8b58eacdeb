"""Commands that are left: by their reader, by a signal, by their terminal; a full disk, and no stdout at all."""

import fcntl
import os
import pty
import shlex
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import ROOT, Processes, Server, ask, lasting, wait_for
from terminals import Terminal, terminals

from cli.exits import Exit

__all__ = ["lasting", "terminals"]
PAGE = 4096  # a pipe is full when all its pages are in use


@pytest.fixture(scope="module")
def served(lasting: Processes) -> Server:
    return lasting.serve()


@pytest.fixture
def spoken(served: Server) -> Iterator[str]:
    """A job that runs on, whose log is longer than what `short_pipe` holds."""
    job_id = served.submit("count", {"to": 1_000_000, "pause_s": 0.005})
    wait_for(lambda: len(served.log(job_id)) > 200, "a log")
    yield job_id
    ask(served.url, "POST", f"/api/jobs/{job_id}/cancel")


@pytest.fixture
def short_pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is full soon: its reading and its writing end."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 2 * PAGE)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def start(server: Server, *words: str, **options: Any) -> "subprocess.Popen[str]":
    """A `windsock …` as a program."""
    command = [sys.executable, str(ROOT / "run.py"), *words, "--url", server.url]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def held(reader: int) -> int:
    """The bytes that wait in a pipe."""
    return int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, bytes(4)), sys.byteorder)


def told(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its exit code, and what it said on stderr."""
    _, err = process.communicate(timeout=30)
    return process.returncode, err


@pytest.mark.parametrize("words", [("show",), ("show", "--json"), ("jobs",), ("top", "--once")])
def test_a_reader_that_has_seen_enough_is_no_error(served: Server, words: tuple[str, ...]) -> None:
    job_id = served.submit("echo", {"value": "x" * 30_000})
    served.end(job_id)
    reader, writer = os.pipe()
    os.close(reader)
    process = start(served, *words, *([job_id] if words[0] == "show" else []), stdout=writer)
    os.close(writer)
    assert told(process) == (Exit.SUCCEEDED, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_watch_whose_reader_does_not_read_can_be_left(
    served: Server, spoken: str, short_pipe: tuple[int, int], number: int
) -> None:
    reader, writer = short_pipe
    process = start(served, "watch", spoken, stdout=writer)
    wait_for(lambda: held(reader) > PAGE, "a full pipe")
    process.send_signal(number)
    code, err = told(process)
    assert code == Exit.DETACHED
    assert err.count("\n") == 1
    assert "the job goes on" in err


def test_a_list_whose_reader_does_not_read_can_be_left(served: Server, short_pipe: tuple[int, int]) -> None:
    reader, writer = short_pipe
    for number in range(40):
        served.submit("echo", {"value": number})
    process = start(served, "jobs", "--json", stdout=writer)
    wait_for(lambda: held(reader) > 0, "a pipe that is being filled")
    process.send_signal(signal.SIGINT)
    assert told(process) == (Exit.DETACHED, "")


def test_a_hangup_that_is_ignored_stays_so(served: Server) -> None:
    job_id = served.submit("count", {"to": 1_000_000})

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does

    process = start(served, "watch", job_id, stdout=subprocess.PIPE, preexec_fn=ignore)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.stdout.readline()
    ask(served.url, "POST", f"/api/jobs/{job_id}/cancel")
    assert told(process) == (Exit.CANCELLED, "")


@pytest.mark.parametrize("words", [("jobs",), ("tasks", "--json"), ("submit", "echo", "value=1"), ("watch", "--json")])
def test_a_full_disk_is_told_in_a_line(served: Server, words: tuple[str, ...]) -> None:
    job_id = served.submit("count", {"to": 1})
    with Path("/dev/full").open("w") as full:
        code, err = told(start(served, *words, *([job_id] if words[0] == "watch" else []), stdout=full))
    assert code == Exit.REFUSED
    assert err.splitlines()[-1] == "windsock: cannot go on: No space left on device"
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [("jobs",), ("tasks",), ("submit", "echo", "value=1"), ("watch",)])
def test_without_stdout_a_command_says_nothing(served: Server, words: tuple[str, ...]) -> None:
    job_id = served.submit("count", {"to": 1})
    line = shlex.join([sys.executable, str(ROOT / "run.py"), *words, *([job_id] if words[0] == "watch" else [])])
    found = subprocess.run(
        ["sh", "-c", f"{line} --url {served.url} >&-"], check=False, capture_output=True, text=True, timeout=30
    )
    assert (found.returncode, found.stderr) == (Exit.SUCCEEDED, "")


@pytest.mark.parametrize("command", ["top", "watch"])
def test_a_terminal_that_is_gone_ends_what_is_shown_on_it(served: Server, spoken: str, command: str) -> None:
    ours, theirs = pty.openpty()
    words = [command, *([spoken] if command == "watch" else [])]
    environ = {**os.environ, "TERM": "xterm"}
    process = start(served, *words, stdin=theirs, stdout=theirs, env=environ, start_new_session=True)
    os.close(theirs)
    shown = b""
    while b"\x1b[?25l" not in shown:  # the cursor is hidden: it draws
        shown += os.read(ours, 4096)
    os.close(ours)
    code, err = told(process)
    assert code == Exit.DETACHED
    assert "Traceback" not in err


def test_a_terminal_that_cannot_redraw_is_told_what_there_is_now(terminals: list[Terminal], served: Server) -> None:
    terminals.append(Terminal("top", "--url", served.url, TERM="dumb"))
    assert terminals[0].end() == 0
    assert "node\tnode\t" in terminals[0].read().expandtabs(1).replace(" ", "\t")


def test_a_cancel_that_was_said_yes_to_is_sent_before_top_ends(terminals: list[Terminal], served: Server) -> None:
    job_id = served.submit("count", {"to": 1_000_000})
    terminals.append(Terminal("top", "--url", served.url))
    terminals[0].until(job_id[-8:])
    terminals[0].press("cyq")
    assert terminals[0].end() == 0
    assert served.end(job_id)["state"] == "cancelled"
