"""What lists, `show` and `stack` look like to a person: a real server, a real terminal."""

import json
import subprocess
import sys

import pytest
from processes import ROOT, Processes, Server, lasting, processes
from terminals import Terminal, terminals

__all__ = ["lasting", "processes", "terminals"]
WEEK_S = 7 * 86_400


@pytest.fixture(scope="module")
def served(lasting: Processes) -> Server:
    return lasting.serve()


def shown(terminals: list[Terminal], server: Server, *words: str, width: int = 100) -> str:
    """All that a command shows on a terminal."""
    terminals.append(Terminal(*words, "--url", server.url, width=width, height=50))
    assert terminals[-1].end() == 0
    return terminals[-1].read()


def test_jobs_are_a_table_with_their_counts(terminals: list[Terminal], served: Server) -> None:
    done = served.submit("count", {"to": 3}, tags=["user:7"])
    served.end(done)
    told = shown(terminals, served, "jobs")
    row = next(line for line in told.splitlines() if done in line)
    assert "✔ succeeded" in row
    assert "user:7" in row
    assert "3/3" in row
    assert "all in all: " in told


def test_a_list_of_nothing_says_so(terminals: list[Terminal], processes: Processes) -> None:
    server = processes.serve("--no-worker")
    assert shown(terminals, server, "jobs").split("\r\n") == ["no jobs", ""]


def test_in_a_narrow_terminal_the_id_stays_whole(terminals: list[Terminal], served: Server) -> None:
    job_id = served.submit("count", {"to": 1})
    assert job_id in shown(terminals, served, "jobs", width=40)


def test_tasks_are_a_table_with_what_they_take(terminals: list[Terminal], served: Server) -> None:
    told = shown(terminals, served, "tasks")
    assert "to: integer" in told
    assert "pause_s: number = 0.02" in told
    assert "Counts, and logs each number." in told


def test_a_job_that_is_to_come_is_shown_with_its_time(terminals: list[Terminal], served: Server) -> None:
    job_id = served.submit("echo", {"value": "ö \u202e"}, delay_s=WEEK_S)
    told = shown(terminals, served, "show", job_id)
    assert "◷ scheduled" in told
    assert "scheduled 2" in told
    assert '{"value": "ö \\u202e"}' in told
    for absent in ("started", "ran ", "tags", "log, the last", "result", "error"):
        assert absent not in told


def test_a_job_that_has_ended_is_shown_with_its_log_and_its_result(terminals: list[Terminal], served: Server) -> None:
    job_id = served.submit("count", {"to": 30}, tags=["a", "b"])
    served.end(job_id)
    told = shown(terminals, served, "show", job_id)
    assert "tags      a b" in told
    assert "log, the last 20 of 30" in told
    assert "number 11" in told
    assert "number 10" not in told
    assert told.rstrip().endswith("30")


def test_a_job_that_was_cancelled_has_no_traceback(terminals: list[Terminal], served: Server) -> None:
    job_id = served.submit("count", {"to": 1_000_000})
    served.running(job_id)
    assert f"{job_id} cancelling" in shown(terminals, served, "cancel", job_id).expandtabs(1)
    served.end(job_id)
    told = shown(terminals, served, "show", job_id)
    assert "⊘ cancelled" in told
    assert "traceback" not in told


def test_a_stack_says_whose_it_is_above_its_frames(terminals: list[Terminal], served: Server) -> None:
    job_id = served.submit("count", {"to": 1_000_000})
    served.running(job_id)
    first, *frames = shown(terminals, served, "stack", job_id).strip().split("\r\n")
    assert first.startswith("coroutine on node, attempt 1")
    assert any("await asyncio.sleep(pause_s)" in line for line in frames)
    shown(terminals, served, "cancel", job_id)


def test_json_is_ascii_and_the_same_value_whatever_is_in_it(served: Server) -> None:
    value = {"text": "ö \u2028 \U0001f600 \u001b[31m", "big": 2**53, "small": 1e-9, "deep": [[[None, True]]]}
    words = ["submit", "echo", "--json", json.dumps({"value": value}), "--watch", "--url", served.url]
    told = subprocess.run([sys.executable, str(ROOT / "run.py"), *words], capture_output=True, check=True)
    assert told.stdout.isascii()
    assert json.loads(told.stdout.splitlines()[-1])["job"]["result"] == value


def test_what_the_terminal_has_no_sign_for_is_escaped(terminals: list[Terminal], served: Server) -> None:
    job_id = served.submit("echo", {"value": "h\u00f6"}, tags=["\u6f22"])
    served.end(job_id)
    terminals.append(Terminal("show", job_id, "--url", served.url, PYTHONIOENCODING="iso-8859-1"))
    assert terminals[0].end() == 0
    told = terminals[0].read()
    assert "\\u2714 succeeded" in told
    assert "\\u6f22" in told
