"""How fast a job goes, when it will be done, and whether that is as usual: with clocks of the tests' own."""

import random
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.pace import NO_HISTORY, Going, History, Pace, Sampling

USUAL = History([90, 95, 98, 100, 100, 101, 103, 105, 110, 120, 99, 100])


def bar(done: float, total: float | None = None, **given: Any) -> dict[str, Any]:
    return {"done": done, "total": total, "unit": None, "note": None, **given}


def run(
    place: Callable[[float], dict[str, Any] | None],
    until: float,
    history: History = NO_HISTORY,
    every: float = 1.0,
    pace: Pace | None = None,
) -> list[tuple[float, dict[str, Any]]]:
    """What is told, second by second, of a job whose bar at a time `place` gives."""
    pace = pace or Pace(0.0)
    seen, now = [], 0.0
    while now < until:
        now += every
        pace.look(now, place(now))
        seen.append((now, pace.told(now, history)))
    return seen


# Rate


def test_a_steady_job_has_its_rate() -> None:
    for now, told in run(lambda now: bar(int(50 * now), 5000), 20):
        assert now < 3 or told["rate"] == pytest.approx(50, rel=0.05)


def test_bursts_do_not_shake_the_rate() -> None:
    seen = run(lambda now: bar(100 * int(now / 10), 10_000), 200)
    rates = [told["rate"] for now, told in seen if now > 60]
    assert all(8 < rate < 13 for rate in rates)


def test_the_rate_follows_a_job_that_has_become_slower() -> None:
    seen = run(lambda now: bar(10 * now if now < 100 else 1000 + (now - 100), 10_000), 300)
    assert seen[-1][1]["rate"] == pytest.approx(1, rel=0.2)


def test_other_units_begin_a_rate_of_their_own() -> None:
    def steps(now: float) -> dict[str, Any]:
        name = "read" if now <= 10 else "write"
        done = 1000 * now if now <= 10 else now - 10
        return bar(done, step={"name": name, "path": [name]}, fraction=now / 100)

    assert run(steps, 20)[-1][1]["rate"] == pytest.approx(1, rel=0.1)


def test_there_is_no_rate_where_nothing_is_counted() -> None:
    assert all("rate" not in told for _, told in run(lambda now: bar(0), 20))
    assert all(told == {} for _, told in run(lambda now: None, 20))


# Time left


def test_nothing_is_said_of_a_job_that_says_nothing_and_has_no_past() -> None:
    assert all("eta_s" not in told for _, told in run(bar, 60))


def test_nothing_is_said_in_the_first_seconds_of_a_job_without_a_past() -> None:
    seen = run(lambda now: bar(now, 10), 3, every=0.1)
    assert all("eta_s" not in told for now, told in seen if now < 2)
    assert "eta_s" in seen[-1][1]


def test_a_steady_job_is_done_when_it_was_said_to_be() -> None:
    for now, told in run(lambda now: bar(now, 100), 100):
        if now > 3:
            assert told["eta_s"] == pytest.approx(100 - now, abs=1)
            assert told["eta_low_s"] <= told["eta_s"] <= told["eta_high_s"]


def test_the_band_becomes_narrow_towards_the_end() -> None:
    seen = dict(run(lambda now: bar(now, 100), 100))
    width = [seen[at]["eta_high_s"] - seen[at]["eta_low_s"] for at in (10, 50, 90)]
    assert width[0] > width[1] > width[2]


def test_of_a_silent_job_the_others_of_its_task_tell() -> None:
    seen = dict(run(lambda now: None, 130, USUAL))
    assert seen[1]["eta_s"] == pytest.approx(99, abs=2)
    assert seen[1]["eta_low_s"] < seen[1]["eta_s"] < seen[1]["eta_high_s"]
    assert seen[50]["eta_s"] == pytest.approx(50, abs=3)
    assert "eta_s" not in seen[125]  # longer than any before: nobody knows


def test_early_on_the_past_counts_and_later_the_job_itself() -> None:
    seen = dict(run(lambda now: bar(now, 400), 400, USUAL))  # four times slower than usual
    assert seen[3]["eta_s"] < 150
    assert seen[200]["eta_s"] == pytest.approx(200, rel=0.1)


def test_too_few_of_its_task_tell_nothing() -> None:
    assert all(told == {} for _, told in run(lambda now: None, 60, History([100] * 4)))


def test_a_bar_that_began_anew_says_nothing_of_the_whole() -> None:
    seen = run(lambda now: bar(now % 10, 10), 58)
    assert all("eta_s" not in told for now, told in seen if now > 10)
    assert seen[-1][1]["rate"] == pytest.approx(1, rel=0.2)


def test_a_total_that_grows_is_still_a_total() -> None:
    seen = run(lambda now: bar(now, 100 if now < 50 else 200), 150)
    assert seen[-1][1]["eta_s"] == pytest.approx(50, rel=0.2)


def test_steps_that_are_not_planned_do_not_tell_what_is_left() -> None:
    seen = run(lambda now: bar(0, fraction=now / (now + 10), vague=True), 60)
    assert all("eta_s" not in told for _, told in seen)


def test_planned_steps_do() -> None:
    seen = run(lambda now: bar(0, fraction=now / 100), 50)
    assert seen[-1][1]["eta_s"] == pytest.approx(50, abs=2)


def jumps(seen: Iterable[tuple[float, dict[str, Any]]]) -> list[float]:
    """How far the promised end moved from one second to the next, as part of what was left."""
    ends = [(now + told["eta_s"], told["eta_s"]) for now, told in seen if "eta_s" in told]
    return [abs(end - before) / max(left, 10) for (before, left), (end, _) in pairwise(ends)]


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([NO_HISTORY, USUAL]), st.sampled_from([0.05, 0.5, 1.0]))
def test_the_time_left_never_jumps_wildly(seed: int, history: History, every: float) -> None:
    chance = random.Random(seed)
    place = [0.0]

    def bursts(_: float) -> dict[str, Any]:
        if chance.random() < 0.2:
            place[0] += chance.choice([0, 1, 1, 2, 20])
        return bar(min(place[0], 1000), 1000)

    seen = run(bursts, 200, history, every)
    assert all(jump <= 0.5 for jump in jumps(seen))
    for _, told in seen:
        if "eta_s" in told:
            assert 0 <= told["eta_low_s"] <= told["eta_s"] <= told["eta_high_s"]


# Slow, stalled


def going(
    place: Callable[[float], dict[str, Any] | None], until: int, history: History = NO_HISTORY
) -> list[Going | None]:
    """How it goes at the end of each second."""
    pace, seen = Pace(0.0), []
    for now in range(1, until + 1):
        pace.look(float(now), place(now))
        seen.append(pace.going(float(now), history, 10.0))
    return seen


def test_a_job_that_takes_longer_than_95_of_100_of_its_task_is_slow() -> None:
    seen = going(lambda now: None, 130, USUAL)
    assert seen.index(Going.SLOW) == 120
    assert set(seen[120:]) == {Going.SLOW}


def test_with_too_few_of_its_task_none_is_slow() -> None:
    assert set(going(lambda now: None, 500, History([1] * 9))) == {None}


def test_a_job_that_stands_for_several_of_its_steps_is_stalled() -> None:
    seen = going(lambda now: bar(min(now, 20)), 60)
    assert seen.index(Going.STALLED) == 30  # never sooner than ten seconds


def test_a_job_that_moves_seldom_is_stalled_later() -> None:
    seen = going(lambda now: bar(min(now, 400) // 60), 900)
    assert 360 + 290 < seen.index(Going.STALLED) < 360 + 310


def test_it_is_not_stalled_any_more_when_it_moves() -> None:
    seen = going(lambda now: bar(min(now, 20) if now < 50 else now), 60)
    assert (seen[48], seen[50]) == (Going.STALLED, None)


def test_a_job_that_never_said_much_is_not_stalled() -> None:
    assert set(going(lambda now: bar(min(now, 3)), 500)) == {None}
    assert set(going(lambda now: None, 500)) == {None}


def test_a_job_that_waits_for_others_does_not_stand() -> None:
    pace = Pace(0.0)
    for now in range(1, 100):
        pace.look(float(now), bar(min(now, 20)))
        if 20 < now < 80:
            pace.rest(float(now))
        assert (pace.going(float(now), NO_HISTORY, 10.0) is Going.STALLED) == (now > 89)


def test_a_line_in_the_log_is_a_move() -> None:
    pace = Pace(0.0)
    for now in range(1, 100):
        pace.look(float(now), None, said=now // 3)
        assert pace.going(float(now), NO_HISTORY, 10.0) is None
    pace.look(120.0, None, said=33)
    assert pace.going(120.0, NO_HISTORY, 10.0) is Going.STALLED


# What is worth telling


def test_the_time_left_of_a_silent_job_is_told_once_it_is_known() -> None:
    pace = Pace(0.0)
    pace.look(1.0, None)
    assert pace.is_news(1.0, USUAL)
    pace.told(1.0, USUAL)
    assert not any(pace.is_news(1.0 + now, USUAL) for now in range(60))


def test_a_job_that_comes_to_stand_is_told_of_seldom() -> None:
    pace = Pace(0.0)
    for now in range(1, 51):
        pace.look(float(now), bar(now, 100))
        pace.told(float(now), NO_HISTORY)
    told = []
    for now in range(51, 151):
        pace.look(float(now), bar(50, 100))
        if pace.is_news(float(now), NO_HISTORY):
            pace.told(float(now), NO_HISTORY)
            told.append(now)
    assert 3 < len(told) < 20
    assert all(b - a >= 5 for a, b in pairwise(told))


def test_only_some_durations_are_kept() -> None:
    sampling = Sampling(3)
    assert [sampling.take("a", 0.1 * n) for n in range(5)] == [True, True, True, False, False]
    assert sampling.take("b", 0.5)
    assert sampling.take("a", 1.3)
