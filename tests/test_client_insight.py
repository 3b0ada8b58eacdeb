"""Stacks and profiles by the client and the command line, against a real server."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clients import client
from processes import ROOT, Processes, Server, lasting

from windsock import Conflict, Options

__all__ = ["client", "lasting"]
TASKS = '''

@task
def busy(seconds: float, progress: Progress) -> int:
    """Keeps a thread busy."""
    end, turns = time.monotonic() + seconds, 0
    progress.log("busy")
    while time.monotonic() < end:
        turns += sum(range(1000))
        progress.update(turns)
    return turns
'''


@pytest.fixture(scope="module")
def served(lasting: Processes) -> Server:
    lasting.tasks.write_text(lasting.tasks.read_text() + TASKS)
    return lasting.serve()


def run(served: Server, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "run.py"), *words, "--url", served.url]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_running_job_shows_where_it_stands(client: Any, served: Server) -> None:
    handle = client.submit("busy", seconds=20)
    served.running(handle.id)
    stack = client.stack(handle.id)
    assert any(frame["function"] == "busy" for frame in stack["frames"])
    shown = run(served, "stack", handle.id)
    assert (shown.returncode, "in busy" in shown.stdout) == (0, True)
    handle.cancel()
    handle.wait(10)
    with pytest.raises(Conflict):
        client.stack(handle.id)
    assert run(served, "stack", handle.id).returncode == 2


def test_a_running_job_is_profiled_into_a_file(client: Any, served: Server, tmp_path: Path) -> None:
    handle = client.submit("busy", seconds=20)
    served.running(handle.id)
    path = tmp_path / "flame.html"
    told = run(served, "profile", handle.id, "--seconds", "0.5", "--out", str(path))
    assert (told.returncode, told.stdout) == (0, f"{path}\n"), told.stderr
    assert "busy" in path.read_text()
    (kept,) = client.profiles(handle.id)
    assert kept["samples"] > 0
    assert b"busy" in client.profile_file(handle.id, kept["number"], "json")
    handle.cancel()
    listed = run(served, "profile", handle.id, "--list")
    assert listed.stdout.startswith(f"{kept['number']}\tsampled\t1\t")


def test_a_job_may_be_submitted_with_a_profile(client: Any) -> None:
    handle = client.submit("busy", Options(profile="cprofile"), seconds=0.2)
    handle.wait(10)
    (kept,) = client.profiles(handle.id)
    assert kept["kind"] == "cprofile"
    assert client.profile_file(handle.id, kept["number"], "pstats")
