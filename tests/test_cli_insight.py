"""`windsock stack` and `profile`, against a server of recorded answers."""

import json
import webbrowser
from pathlib import Path
from typing import Any

import pytest
from test_cli_commands import Cli, Server, app, cli, server

__all__ = ["app", "cli", "server"]
STACK = {
    **{"job": "J1", "attempt": 2, "node": "web-1", "kind": "coroutine", "at": 1, "idle_s": 12.0},
    **{"frames": [], "text": 'File "jobs.py", line 41, in render\n    \x1b[31mtime.sleep(2)\n'},
}
KEPT = {"number": 3, "kind": "sampled", "attempt": 1, "at": 1, "seconds": 0.2, "samples": 40, "bytes": 900}


@pytest.mark.gen_test
async def test_a_stack_is_printed_safely_innermost_last(cli: Cli, server: Server) -> None:
    server.answers["GET /api/jobs/J1/stack"] = (200, STACK)
    result = await cli("stack", "J1")
    assert result.exit_code == 0
    assert result.output.splitlines() == ['File "jobs.py", line 41, in render', "    \\x1b[31mtime.sleep(2)"]
    whole = await cli("stack", "J1", "--json")
    assert json.loads(whole.output) == STACK


@pytest.mark.gen_test
async def test_a_job_that_does_not_run_has_no_stack(cli: Cli, server: Server) -> None:
    server.answers["GET /api/jobs/J1/stack"] = (409, {"code": "conflict", "detail": "it does not run", "status": 409})
    result = await cli("stack", "J1")
    assert (result.exit_code, result.stderr) == (2, "windsock: it does not run (conflict)\n")


@pytest.mark.gen_test
async def test_a_profile_is_made_waited_for_and_written(cli: Cli, server: Server, tmp_path: Path) -> None:
    looks: list[Any] = []

    def kept(query: dict[str, str]) -> dict[str, Any]:
        looks.append(query)
        return {"profiles": [KEPT] if len(looks) > 1 else []}

    server.answers |= {
        "POST /api/jobs/J1/profile": (202, {"profile": 3, "seconds": 0.2}),
        "GET /api/jobs/J1/profiles": (200, kept),
        "GET /api/jobs/J1/profiles/3.html": (200, "<!doctype html>"),
    }
    path = tmp_path / "flame.html"
    result = await cli("profile", "J1", "--seconds", "0.2", "--out", str(path))
    assert (result.exit_code, result.output) == (0, f"{path}\n")
    assert path.read_text() == "<!doctype html>"
    assert server.body_of("POST /api/jobs/J1/profile") == {"seconds": 0.2}
    assert len(looks) == 2


@pytest.mark.gen_test
async def test_the_newest_profile_is_taken_and_opened(
    cli: Cli, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("cli.insight.webbrowser.open", lambda url: opened.append(url) or True)
    monkeypatch.chdir(tmp_path)
    server.answers |= {
        "GET /api/jobs/J1/profiles": (200, {"profiles": [{**KEPT, "number": 1}, KEPT]}),
        "GET /api/jobs/J1/profiles/3.json": (200, {"speed": "scope"}),
    }
    result = await cli("profile", "J1", "--last", "--format", "json", "--open")
    assert result.output == "profile-J1-3.json\n"
    assert json.loads((tmp_path / "profile-J1-3.json").read_text()) == {"speed": "scope"}
    assert opened == [(tmp_path / "profile-J1-3.json").as_uri()]


@pytest.mark.gen_test
async def test_without_a_browser_the_file_to_open_is_named(
    cli: Cli, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "_tryorder", [])
    monkeypatch.setenv("PATH", str(tmp_path))
    server.answers |= {
        "GET /api/jobs/J1/profiles": (200, {"profiles": [KEPT]}),
        "GET /api/jobs/J1/profiles/3.html": (200, "<!doctype html>"),
    }
    path = tmp_path / "flame.html"
    result = await cli("profile", "J1", "--last", "--open", "--out", str(path))
    assert (result.exit_code, result.stdout) == (0, f"{path}\n")
    assert result.stderr == f"windsock: no browser is found here; open {path} in one\n"


@pytest.mark.gen_test
async def test_profiles_are_listed_and_none_is_said(cli: Cli, server: Server) -> None:
    server.answers["GET /api/jobs/J1/profiles"] = (200, {"profiles": [KEPT]})
    assert (await cli("profile", "J1", "--list")).output == "3\tsampled\t1\t0.2\t40\t900\n"
    server.answers["GET /api/jobs/J1/profiles"] = (200, {"profiles": []})
    result = await cli("profile", "J1", "--last")
    assert (result.exit_code, "has no profile" in result.stderr) == (2, True)


@pytest.mark.gen_test
async def test_a_profile_that_does_not_come_is_not_waited_for_for_ever(
    cli: Cli, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.insight.LATE_S", 0.1)
    server.answers |= {
        "POST /api/jobs/J1/profile": (202, {"profile": 3, "seconds": 0.1}),
        "GET /api/jobs/J1/profiles": (200, {"profiles": []}),
    }
    result = await cli("profile", "J1", "--seconds", "0.1")
    assert (result.exit_code, "did not come" in result.stderr) == (2, True)


@pytest.mark.gen_test
async def test_a_place_that_cannot_be_written_is_told(cli: Cli, server: Server, tmp_path: Path) -> None:
    server.answers |= {
        "GET /api/jobs/J1/profiles": (200, {"profiles": [KEPT]}),
        "GET /api/jobs/J1/profiles/3.html": (200, "x"),
    }
    result = await cli("profile", "J1", "--last", "--out", str(tmp_path / "no" / "x.html"))
    assert (result.exit_code, "--out" in result.stderr) == (2, True)
