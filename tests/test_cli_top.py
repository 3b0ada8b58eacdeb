"""`windsock top` as a person has it: a real server, a real terminal."""

import json
import re
import signal
import subprocess
import sys
from typing import Any

import pytest
from processes import ROOT, Processes, Server, ask, lasting, processes
from terminals import Terminal, terminals

__all__ = ["lasting", "processes", "terminals"]


@pytest.fixture(scope="module")
def served(lasting: Processes) -> Server:
    return lasting.serve()


def top(terminals: list[Terminal], server: Server, *words: str, **options: Any) -> Terminal:
    terminals.append(Terminal("top", "--url", server.url, *words, **options))
    return terminals[-1]


def test_jobs_are_shown_opened_and_cancelled(terminals: list[Terminal], served: Server) -> None:
    job_id = served.submit("count", {"to": 10_000})
    terminal = top(terminals, served)
    terminal.until(job_id[-8:])
    terminal.press("\r")
    terminal.until("number ")
    terminal.press("c")
    terminal.until("cancel count")
    terminal.press("y")
    terminal.until(f"{job_id}: cancelling")
    assert served.end(job_id)["state"] == "cancelled"
    terminal.press("\x1b")
    terminal.until("showing all")
    terminal.press("f")
    terminal.until("showing running")
    terminal.until("no jobs: running")
    terminal.press("q")
    assert terminal.end() == 0


def test_a_key_that_is_held_down_is_read_whole(terminals: list[Terminal], served: Server) -> None:
    job_id = served.submit("count", {"to": 1_000_000})
    terminal = top(terminals, served)
    terminal.until(job_id[-8:])
    terminal.press("\r")
    terminal.until("number ")
    terminal.press("\x1b[A" * 40)  # cut anywhere, its first byte alone would be escape
    terminal.press("c")
    terminal.until("cancel count")
    terminal.press("n")
    terminal.until("not cancelled")
    terminal.press("k")
    terminal.until("esc back")
    assert ask(served.url, "POST", f"/api/jobs/{job_id}/cancel").status == 202
    terminal.press("q")
    assert terminal.end() == 0


def test_a_cancel_that_comes_too_late_is_told(terminals: list[Terminal], served: Server) -> None:
    job_id = served.submit("count", {"to": 1_000_000})
    terminal = top(terminals, served)
    terminal.until(job_id[-8:])
    terminal.press("c")
    terminal.until("cancel count")
    assert ask(served.url, "POST", f"/api/jobs/{job_id}/cancel").status == 202
    served.end(job_id)
    terminal.press("y")
    terminal.until("(conflict)")
    terminal.press("q")
    assert terminal.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(terminals: list[Terminal], served: Server, number: int) -> None:
    terminal = top(terminals, served)
    terminal.until("● live")
    terminal.send(number)
    assert terminal.end() == 130


def test_no_color_is_respected(terminals: list[Terminal], served: Server) -> None:
    terminal = top(terminals, served, NO_COLOR="1")
    terminal.until("● live")
    terminal.press("q")
    assert terminal.end() == 0
    colours = [
        code for code in re.findall(r"\x1b\[([0-9;]*)m", terminal.raw) if re.search(r"(^|;)[34][0-9]($|;)", code)
    ]
    assert colours == []


def test_without_a_server_it_says_so_in_a_line(terminals: list[Terminal]) -> None:
    terminals.append(Terminal("top", "--url", "http://127.0.0.1:9"))
    assert terminals[0].end() == 4
    assert "no server answers at" in terminals[0].read()
    assert "\x1b[?1049h" not in terminals[0].raw


def test_a_server_that_goes_and_comes_back_is_waited_for(terminals: list[Terminal], processes: Processes) -> None:
    server = processes.serve("--no-worker", redis=processes.redis())
    terminal = top(terminals, server)
    terminal.until("● live")
    server.kill()
    terminal.until("○ offline")
    processes.serving("--no-worker", port=server.port, redis=processes.redis_url).ready()
    job_id = server.submit("echo", {"value": 1})
    terminal.until(job_id[-8:], 30)
    terminal.press("q")
    assert terminal.end() == 0


def test_in_a_pipe_it_is_lines_of_columns(served: Server) -> None:
    job_id = served.submit("echo", {"value": 1})
    served.end(job_id)
    told = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "top", "--url", served.url, "--limit", "1"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split("\t") for line in told.stdout.splitlines()]
    assert {line[0] for line in lines} == {"stats", "node", "job"}
    assert ["job", job_id, "echo", "succeeded"] == lines[-1][:4]
    assert "\x1b" not in told.stdout
    assert told.stderr == ""


def test_json_is_one_object(served: Server) -> None:
    words = ["top", "--json", "--show", "ended", "--url", served.url]
    told = subprocess.run([sys.executable, str(ROOT / "run.py"), *words], capture_output=True, text=True, check=True)
    value = json.loads(told.stdout)
    assert set(value) == {"stats", "nodes", "jobs"}
    assert value["nodes"][0]["name"] == "node"
