"""What a person sees on a terminal."""

import io
from typing import Any

import pytest
from rich.console import Console

from cli import jobs, tasks, terminal
from cli.bars import BarsScreen
from windsock.watch import Watch


def screen(*job_ids: str, height: int = 20) -> tuple[BarsScreen, Watch, io.StringIO]:
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, width=100, height=height, markup=False, highlight=False, _environ={}
    )
    watch = Watch.of(job_ids, "all")
    return BarsScreen(console, watch), watch, out


def summary(job_id: str, state: str = "running", **more: Any) -> dict[str, Any]:
    told = {"done": 1, "total": 4, "unit": "files", "note": "[red]\x1b]0;x\x07"}
    return {
        "id": job_id,
        "task": "sleep",
        "state": state,
        "attempt": 2,
        "progress": told,
        "started_at": 0,
        "finished_at": 2000,
        "updated_at": 2000,
        "warnings": [{"kind": "blocked_loop", "at": 1, "message": "blocked the loop 2.3 s", "where": "jobs.py:41"}],
        "cursor": "k-1.5.0",
        **more,
    }


def feed(bars: BarsScreen, watch: Watch, frame: dict[str, Any]) -> None:
    new = watch.apply(frame)
    assert new is not None
    bars.show(watch.jobs.get(frame.get("sub", 0)), new)


def test_a_bar_shows_state_progress_and_note_without_obeying_it() -> None:
    bars, watch, out = screen("JOB00000001")
    with bars:
        bars.refresh()
        feed(bars, watch, {"type": "snapshot", "sub": 1, "how": "fresh", "job": summary("JOB00000001")})
        bars.refresh()
    shown = out.getvalue()
    for told in ("connecting", "▶ running", "1/4 files", "attempt 2", "[red]\\x1b]0;x\\x07", "━"):
        assert told in shown
    assert "\x1b]0;" not in shown


def test_a_reset_is_told_above_the_bars() -> None:
    bars, watch, out = screen("JOB00000001")
    with bars:
        for first in (1, 7):
            reset = {"type": "snapshot", "sub": 1, "how": "reset", "log_from": first, "job": summary("JOB00000001")}
            feed(bars, watch, reset)
    assert "the cursor is not of this job as the server has it: the log begins anew" in out.getvalue()
    assert "other lines from 7 on than were shown: they come anew" in out.getvalue()


def test_log_gap_end_and_refusal_go_above_the_bars() -> None:
    bars, watch, out = screen("JOB00000001", "JOB00000002", "NOPE")
    with bars:
        entries = [{"at": 0, "level": "info", "text": "hello [b]x[/b]"}]
        feed(bars, watch, {"type": "log", "sub": 1, "first": 1, "entries": entries})
        feed(bars, watch, {"type": "gap", "sub": 1, "from": 2, "to": 3, "why": "slow"})
        done = summary("JOB00000001", "succeeded", result={"a": 1})
        feed(bars, watch, {"type": "end", "sub": 1, "job": done, "last": 3})
        failed = summary("JOB00000002", "failed", error={"code": "exception", "message": "no"})
        feed(bars, watch, {"type": "end", "sub": 2, "job": failed, "last": 0})
        feed(bars, watch, {"type": "error", "sub": 3, "code": "not_found", "message": "no such job"})
    shown = out.getvalue()
    for told in (
        "hello [b]x[/b]",
        "lines 2 to 3 are missing",
        "✔ succeeded",
        'result: {"a": 1}',
        "exception: no",
    ):
        assert told in shown
    assert "NOPE: no such job" in shown


def test_trouble_is_shown_below_the_bars_until_it_is_over() -> None:
    bars, watch, out = screen("JOB00000001")
    with bars:
        bars.lost("connection lost", 1.25)
        bars.back()
        feed(bars, watch, {"type": "stale", "why": "no Redis"})
        bars.refresh()
    assert "connection lost: trying again in 1.2 s" in out.getvalue()
    assert "stale: no Redis" in out.getvalue()


def test_more_jobs_than_the_terminal_has_lines_are_counted() -> None:
    bars, _, out = screen(*(f"JOB{number:08}" for number in range(30)), height=10)
    with bars:
        bars.refresh()
    assert "… and 24 more" in out.getvalue()


def terminal_stdout(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A stdout that is a terminal; made within the test, as pytest sets its own between fixture and test."""
    stdout = io.StringIO()
    monkeypatch.setattr(stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout", stdout)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stdout


def test_a_table_of_jobs_has_colours_and_no_color_takes_them_away(monkeypatch: pytest.MonkeyPatch) -> None:
    out = terminal_stdout(monkeypatch)
    whole = summary("J1", created_at=0, tags=["\x9bx"], queue="q")
    jobs._print_table([whole], {"running": 1, "failed": 2})
    assert "\x1b[36m▶ running" in out.getvalue()
    assert "\\x9bx" in out.getvalue()
    assert "1 running, 2 failed" in out.getvalue()
    out.truncate(0)
    monkeypatch.setenv("NO_COLOR", "1")
    jobs._print_table([whole], None)
    assert "\x1b[36m" not in out.getvalue()


def test_a_table_of_tasks_lists_each_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    out = terminal_stdout(monkeypatch)
    arguments = {
        "properties": {"a": {"type": "string"}, "b": {"type": "integer", "default": 1}},
        "required": ["a"],
    }
    tasks._print_table([{"name": "t", "kind": "thread", "summary": "[b]Does[/b]", "arguments": arguments}])
    tasks._print_table([])
    for told in ("a: string", "b: integer = 1", "[b]Does[/b]", "no tasks"):
        assert told in out.getvalue()


def test_force_color_does_not_colour_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stdout", pipe)
    monkeypatch.setenv("FORCE_COLOR", "1")
    terminal.make_console().print(terminal.state_cell("failed"))
    assert pipe.getvalue() == "✘ failed\n"


def test_rate_time_left_steps_pace_and_children_stand_in_the_bar() -> None:
    bars, watch, out = screen("JOB00000001")
    told = {"done": 1, "total": 4, "unit": "files", "fraction": 0.5, "rate": 2.0, "eta_s": 100_000.0}
    told["step"] = {"name": "inner", "path": ["outer", "inner"]}
    children = {"total": 3, "ended": 2, "failed": 1, "cancelled": 0, "running": 1}
    job = summary("JOB00000001", progress=told, pace="slow", children=children, finished_at=None, attempt=1)
    job["updated_at"] = 4_000_000_000_000  # later than now: nothing of the time left has passed
    with bars:
        feed(bars, watch, {"type": "snapshot", "sub": 1, "how": "fresh", "job": job})
        bars.refresh()
    for part in ("2 files/s", "1 d 03 h left", "outer / inner", "slow"):
        assert part in out.getvalue()


def test_a_warning_is_told_once_above_the_bars() -> None:
    bars, watch, out = screen("JOB00000001", "JOB00000002")
    with bars:
        for version in (5, 6):
            job = summary("JOB00000001", cursor=f"k-1.{version}.0")
            feed(bars, watch, {"type": "update", "sub": 1, "job": job})
    assert out.getvalue().count("00000001 ⚠ blocked the loop 2.3 s (jobs.py:41)") == 1
