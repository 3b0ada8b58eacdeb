"""Numbers, times and log lines as people read them."""

import pytest

from cli import words
from cli.loglines import end_lines, gap_line, log_lines


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (12.9, "12 s"),
        (185, "3 m 05 s"),
        (7620, "2 h 07 m"),
        (97200, "1 d 03 h"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (None, ""),
        ({"done": 0, "total": None, "unit": None}, ""),
        ({"done": 37, "total": 120, "unit": "images"}, "37/120 images"),
        ({"done": 1234, "total": None}, "1,234"),
        ({"done": 1.5, "total": 3}, "1.50/3"),
        ({"done": 1536, "total": 3 * 1024, "unit": "bytes"}, "1.5/3.0 KiB"),
        ({"done": 5, "total": None, "unit": "bytes"}, "5 B"),
        ({"done": 1, "total": 2, "unit": "\x1b[31m"}, "1/2 \\x1b[31m"),
    ],
)
def test_progress(told: dict[str, object] | None, said: str) -> None:
    assert words.progress(told) == said


def test_what_was_today_needs_no_date() -> None:
    noon = 1_790_000_000_000
    assert words.recent(noon, noon / 1000) == words.moment(noon)[11:]
    assert words.recent(noon, noon / 1000 + 90_000) == words.moment(noon)[:16]


def test_share_stays_between_nothing_and_all() -> None:
    assert words.share({"done": 5, "total": 0}) is None
    assert words.share({"done": 500, "total": 100}) == 1.0
    assert words.share({"done": -5, "total": 100}) == 0.0


def test_a_run_is_measured_to_its_end_or_to_now() -> None:
    assert words.run_seconds({"started_at": None}, 9.0) is None
    assert words.run_seconds({"started_at": 1000, "finished_at": None}, 9.0) == 8.0
    assert words.run_seconds({"started_at": 1000, "finished_at": 3000}, 9.0) == 2.0


def test_log_entries_are_safe_and_their_markup_is_text() -> None:
    entries = [
        {"at": 0, "level": "error", "text": "[red]no\x1b[2J\nsecond"},
        {"at": 0, "value": {"n": "\x9b"}},
    ]
    first, second, value = (line.plain for line in log_lines(entries, "AB "))
    assert first.endswith("AB error: [red]no\\x1b[2J")
    assert second.strip() == "second"
    assert value.endswith('AB → {"n": "\\x9b"}')


def test_a_gap_names_its_range_and_why() -> None:
    assert gap_line({"from": 2, "to": 9, "why": "trimmed"}).plain == "· lines 2 to 9 are missing: no longer kept"
    assert gap_line({"from": 2, "to": 2, "why": "moth\x1b"}).plain == "· line 2 is missing: moth\\x1b"


def test_an_end_shows_result_or_error_and_where_there_is_more() -> None:
    def said(**job: object) -> list[str]:
        return [line.plain for line in end_lines({"id": "J", **job})]

    assert said(state="succeeded", result={"a": 1}) == ['result: {"a": 1}']
    assert said(state="succeeded", result=None) == []
    assert said(state="succeeded", result_bytes=40_000) == ["a result of 40000 bytes: windsock show J"]
    assert said(state="succeeded", result="x" * 9000)[0].endswith("… (windsock show J has it all)")
    assert said(state="cancelled", error=None) == []
    failed = said(state="failed", error={"code": "exception", "message": "\x1bno", "traceback": "…"})
    assert failed == ["exception: \\x1bno", "the traceback: windsock show J"]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (None, ""),
        ({"done": 1}, ""),
        ({"rate": 0}, ""),
        ({"rate": 12.0, "unit": "images"}, "12 images/s"),
        ({"rate": 0.1234}, "0.123/s"),
        ({"rate": 1234.5, "unit": "rows"}, "1,234 rows/s"),
        ({"rate": 1536, "unit": "bytes"}, "1.5 KiB/s"),
        ({"rate": 1, "unit": "\x1b"}, "1 \\x1b/s"),
    ],
)
def test_a_rate_is_short(told: dict[str, object] | None, said: str) -> None:
    assert words.rate(told) == said


def test_the_time_left_runs_down_from_what_was_expected() -> None:
    job = {"state": "running", "updated_at": 10_000, "finished_at": None, "progress": {"eta_s": 30.0}}
    assert words.left(job, 15.0) == "25 s left"
    assert words.left(job, 99.0) == "0.0 s left"
    assert words.left(job, 5.0) == "30 s left"
    assert words.left({**job, "finished_at": 11_000}, 15.0) == ""
    assert words.left({**job, "progress": {}}, 15.0) == ""
    assert words.left({**job, "pace": "stalled"}, 15.0) == ""


def test_what_a_job_is_at_is_told_in_few_words() -> None:
    progress = {"note": "cat.png", "step": {"name": "inner", "path": ["outer", "inner"]}}
    children = {"total": 10, "ended": 7, "failed": 1, "cancelled": 0}
    job = {"state": "running", "attempt": 2, "pace": "stalled", "progress": progress, "children": children}
    said = ["outer / inner", "cat.png", "stalled", "7/10 children, 1 failed", "attempt 2", "⚠ 1"]
    assert words.doing({**job, "warnings": [{}]}) == said
    assert words.doing({"state": "queued", "progress": None}) == []
    assert words.doing({"state": "queued", "start_in_s": 12.3}) == ["starts in about 12 s"]
    assert words.doing({"state": "scheduled", "scheduled_at": 0}) == [f"at {words.moment(0)}"]


def test_a_warning_says_where_unless_its_message_does() -> None:
    assert words.warning({"message": "blocked the loop", "where": "jobs.py:41"}) == "blocked the loop (jobs.py:41)"
    assert words.warning({"message": "blocked at jobs.py:41", "where": "jobs.py:41"}) == "blocked at jobs.py:41"
    assert words.warning({"kind": "retry"}) == "retry"
