"""The state behind `windsock top`."""

from typing import Any

import pytest

from cli.panel import LINES_KEPT, Panel, Wish
from windsock import events
from windsock.errors import NotFound
from windsock.job import Job


def job(number: int, state: str = "running", **more: Any) -> Job:
    return Job.of(
        {"id": f"JOB{number:08}", "task": "render", "state": state, "attempt": 1, "cursor": "k-1.1.0", **more}
    )


def feed(*jobs: Job, counts: Any = None) -> events.Feed:
    return events.Feed(1, jobs, jobs, (), counts, True)


def line(offset: int) -> events.Log:
    return events.Log("JOB00000001", offset, 0, "info", f"line {offset}", None)


@pytest.fixture
def panel() -> Panel:
    panel = Panel("http://here")
    panel.take(feed(job(3), job(2), job(1, "failed")))
    return panel


def pressed(panel: Panel, *keys: str) -> list[Wish | None]:
    return [panel.press(key) for key in keys]


def test_the_newest_job_is_chosen_and_keys_move(panel: Panel) -> None:
    assert panel.chosen == "JOB00000003"
    pressed(panel, "down", "j", "down")
    assert panel.chosen == "JOB00000001"
    pressed(panel, "up", "k", "up")
    assert panel.chosen == "JOB00000003"
    pressed(panel, "end")
    assert panel.index == 2
    pressed(panel, "home")
    assert panel.index == 0


def test_the_chosen_job_stays_chosen_when_others_come(panel: Panel) -> None:
    pressed(panel, "down")
    panel.take(feed(job(5), job(4), job(3), job(2)))
    assert (panel.chosen, panel.index) == ("JOB00000002", 3)
    panel.take(feed(job(5)))
    assert panel.chosen == "JOB00000005"
    panel.take(feed())
    assert panel.chosen is None
    assert pressed(panel, "down", "enter", "c") == [None, None, None]


def test_filters_go_round(panel: Panel) -> None:
    seen = []
    for _ in range(5):
        assert panel.press("f") is Wish.FILTER
        seen.append(panel.filter)
    assert seen == ["running", "waiting", "failed", "ended", "all"]


def test_a_cancel_is_asked_for_and_only_y_is_yes(panel: Panel) -> None:
    assert panel.press("c") is None
    assert panel.asked is not None
    assert panel.press("enter") is None
    assert (panel.asked, panel.note) == (None, "not cancelled")
    assert pressed(panel, "c", "y") == [None, Wish.CANCEL]


def test_an_ended_job_is_not_cancelled(panel: Panel) -> None:
    assert pressed(panel, "end", "c") == [None, None]
    assert (panel.asked, panel.note) == (None, "it has ended")


def test_a_log_opens_follows_and_scrolls_back(panel: Panel) -> None:
    assert panel.press("enter") is Wish.OPEN
    for offset in range(1, 4):
        panel.take(line(offset))
    pressed(panel, "up")
    panel.take(line(4))
    assert panel.scrolled == 2  # it stays with what is read
    pressed(panel, "end")
    assert panel.scrolled == 0
    panel.take(events.Update(job(3, "cancelling"), "c"))
    assert panel.opened is not None
    assert panel.opened.state == "cancelling"
    assert panel.press("escape") is Wish.CLOSE
    assert (panel.opened, panel.lines) == (None, [])


def test_a_log_is_kept_to_a_bound_and_a_reset_takes_lines_back(panel: Panel) -> None:
    panel.press("enter")
    for offset in range(1, LINES_KEPT + 10):
        panel.take(line(offset))
    assert len(panel.lines) == LINES_KEPT
    panel.take(events.Reset("JOB00000003", LINES_KEPT, "c"))
    assert panel.lines[-1] == line(LINES_KEPT - 1)
    panel.take(events.Gap("JOB00000003", LINES_KEPT, LINES_KEPT + 5, "lost", "c"))
    panel.take(events.Reset("JOB00000003", LINES_KEPT, "c"))
    assert panel.lines[-1] == line(LINES_KEPT - 1)


def test_events_of_a_log_that_was_closed_change_nothing(panel: Panel) -> None:
    panel.take(line(1))
    assert panel.lines == []
    panel.press("enter")
    panel.take(events.Gone("JOB00000003", NotFound("no such job", code="not_found", status=0)))
    assert panel.note == "no such job"


def test_the_connection_is_told_in_words(panel: Panel) -> None:
    assert (panel.live, panel.trouble) == (True, "")
    panel.take(events.Connection("lost", "connection lost", 2.0))
    assert (panel.live, panel.trouble) == (False, "connection lost: trying again in 2.0 s")
    panel.take(events.Connection("back", ""))
    assert (panel.live, panel.trouble) == (True, "")
    panel.take(events.Connection("stale", "no Redis"))
    assert "may be old: no Redis" in panel.trouble
    panel.take(feed())
    assert (panel.live, panel.trouble) == (True, "")


def test_q_quits_from_everywhere(panel: Panel) -> None:
    assert panel.press("q") is Wish.QUIT
    assert pressed(panel, "enter", "q")[-1] is Wish.QUIT
    assert pressed(panel, "c", "ctrl-c")[-1] is Wish.QUIT


def test_stats_are_taken(panel: Panel) -> None:
    panel.take(events.Stats(2, {"queued": 1}))
    assert panel.stats == {"queued": 1}
