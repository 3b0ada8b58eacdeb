"""`windsock top` as it looks."""

import io
from typing import Any

import pytest
from rich.console import Console
from test_cli_panel import feed, job, line

from cli.panel import Panel
from cli.panel_view import view
from windsock import events

STATS = {
    **{"submitted": 12.5, "started": 3, "succeeded": 2, "failed": 0, "queued": 4, "running": 2, "scheduled": 0},
    **{"pickup_ms": {"p50": 2, "p99": 9}, "run_ms": {"p50": 1500, "p99": None}},
}
NODE = {
    **{"name": "web-1", "clients": 3, "loop_lag_ms": 0.4, "draining": False},
    "worker": {"running": 2, "lanes": {"coroutine": {"slots": 100}, "thread": {"slots": 8}}},
}
PROGRESS = {"done": 37, "total": 120, "unit": "images", "note": "cat.png", "rate": 12.0, "eta_s": 8.0}


def panel(*jobs: Any, **more: Any) -> Panel:
    made = Panel("http://127.0.0.1:8765", **more)
    made.take(feed(*jobs, counts={"failed": 1, "succeeded": 1234}))
    made.take(events.Stats(2, STATS))
    made.nodes = [NODE]
    return made


def shown(panel: Panel, width: int = 80, height: int = 24, **options: Any) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, markup=False, _environ={}, **options)
    console.print(view(panel, width, height, now=10.0))
    return out.getvalue().split("\n")[:-1]


def running(number: int, **more: Any) -> Any:
    return job(number, **{"started_at": 4000, "updated_at": 9000, "progress": PROGRESS, **more})


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 12), (200, 60)])
@pytest.mark.parametrize("count", [0, 3, 200])
def test_it_fills_the_terminal_and_no_more(width: int, height: int, count: int) -> None:
    jobs = [running(number) for number in range(count, 0, -1)]
    lines = shown(panel(*jobs), width, height)
    assert len(lines) == height
    assert max(len(text.rstrip()) for text in lines) <= width


def test_it_tells_of_jobs_nodes_and_rates() -> None:
    lines = shown(panel(running(1)), 120)
    text = "\n".join(lines)
    assert "● live" in lines[0]
    assert "4 queued" in lines[1]
    assert "1,234 succeeded" in lines[1]
    assert "12.50/s in" in lines[2]
    assert "pick-up 2 ms … 9 ms" in lines[2]
    assert "web-1  2/108 running" in lines[3]
    for part in ("▶ running", "JOB00000001"[-8:], "37/120 images", "12 images/s", "7.0 s left", "cat.png"):
        assert part in text


def test_the_chosen_row_stays_in_view() -> None:
    made = panel(*[running(number) for number in range(200, 0, -1)])
    for _ in range(150):
        made.press("down")
    assert [text[2:22] for text in shown(made) if text.startswith("▸")] == ["▶ running   00000050"]


def test_a_log_shows_its_last_lines_and_scrolls() -> None:
    made = panel(running(1))
    made.press("enter")
    for offset in range(1, 101):
        made.take(line(offset))
    lines = shown(made)
    assert "line 100" in lines[-2]
    assert "JOB00000001" in lines[5]
    assert "esc back" in lines[-1]
    made.press("pageup")
    assert "line 90" in shown(made)[-2]
    made.press("end")
    made.take(events.Value("JOB00000001", 101, 0, {"a": "\x1b[31m"}, None))
    made.take(events.Gap("JOB00000001", 102, 103, "lost", "c"))
    text = "\n".join(shown(made))
    assert "lines 102 to 103 are missing" in text
    assert "\x1b" not in text


def test_a_failed_job_says_why_in_its_log() -> None:
    made = panel(running(1))
    made.press("enter")
    failed = job(1, "failed", error={"code": "exception", "message": "ValueError: no [b]luck"})
    made.take(events.End(failed, 0, "c"))
    assert any("exception: ValueError: no [b]luck" in text for text in shown(made))


def test_the_last_line_asks_tells_and_warns() -> None:
    made = panel(running(1))
    assert "q quit" in shown(made)[-1]
    made.press("c")
    assert "cancel render 00000001 (running)? y yes" in shown(made)[-1]
    made.press("n")
    assert "not cancelled" in shown(made)[-1]
    made.take(events.Connection("lost", "connection lost", 1.0))
    lines = shown(made)
    assert "⚠ connection lost" in lines[-1]
    assert "offline" in lines[0]


def test_many_nodes_are_cut_short_and_each_says_what_works_there() -> None:
    made = panel(running(1))
    made.nodes = [NODE] * 5 + [{"name": "door", "worker": None, "clients": 0, "loop_lag_ms": None, "draining": True}]
    text = "\n".join(shown(made))
    assert "… and 2 more nodes" in text
    made.nodes = made.nodes[-1:]
    assert any("door  no worker  0 clients  draining" in line for line in shown(made))
    made.nodes = [{**made.nodes[0], "children": [{"number": 1}, {"number": 2}]}]
    assert any("door  keeps 2 workers  0 clients" in line for line in shown(made))


def test_an_empty_list_says_for_which_filter() -> None:
    made = panel()
    assert any("no jobs" in text for text in shown(made))
    made.press("f")
    assert any(text.startswith("…") for text in shown(made))
    made.take(feed())
    assert any("no jobs: running, cancelling" in text for text in shown(made))
