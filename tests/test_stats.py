"""The stats of a store, a second at a time: what is counted, what is told and how often."""

import pytest
from job_values import job

from server.job import JobState
from server.metrics import Traffic
from server.stats import SECONDS, Census, Recent, Stats, StatsSubscription
from server.window import Match

COUNTS = {"queued": 4, "scheduled": 3, "running": 2, "cancelling": 1, "failed": 9}


@pytest.fixture
def traffic():
    return Traffic()


@pytest.fixture
def stats(traffic):
    stats = Stats(traffic)
    stats.begin(100.0)
    return stats


def tick(stats, now=101.0, nodes=(), lag_ms=0.0):
    stats.tick(now, COUNTS, nodes, lag_ms)
    return stats.fields


def note(stats, was, state, **given):
    stats.note(job(state=JobState(state), **given), None if was is None else JobState(was), False)


def test_each_step_of_a_job_counts_once(stats):
    note(stats, None, "queued")
    note(stats, None, "scheduled")
    note(stats, "scheduled", "queued")
    note(stats, "queued", "running", started_at=1)
    note(stats, "running", "running", started_at=1)
    note(stats, "running", "cancelling", started_at=1)
    note(stats, "cancelling", "cancelled", started_at=1, finished_at=2)
    note(stats, "running", "succeeded", started_at=1, finished_at=2)
    note(stats, "running", "failed", started_at=1, finished_at=2)
    note(stats, "running", "queued", attempt=2)
    stats.note(job(state=JobState.FAILED), JobState.FAILED, True)
    told = tick(stats)
    steps = {"submitted": 2, "started": 1, "succeeded": 1, "failed": 1, "cancelled": 1}
    assert {name: told[name] for name in steps} == steps


def test_steps_are_told_as_a_rate_and_counted_anew_each_second(stats):
    for _ in range(3):
        note(stats, None, "queued")
    assert tick(stats, 102.0)["submitted"] == 1.5
    assert tick(stats, 103.0)["submitted"] == 0


def test_now_is_what_the_store_counts_and_cancelling_jobs_still_run(stats):
    told = tick(stats, nodes=[{"clients": 2, "subscriptions": 5}, {"clients": 1, "subscriptions": 1}, {}], lag_ms=1.5)
    assert (told["queued"], told["scheduled"], told["running"]) == (4, 3, 3)
    assert (told["nodes"], told["clients"], told["subscriptions"]) == (3, 3, 6)
    assert told["loop_lag_ms"] == 1.5


def test_traffic_is_told_by_the_second_too(stats, traffic):
    traffic.frames_out, traffic.bytes_out, traffic.conflated = 10, 1000, 4
    told = tick(stats, 102.0)
    assert (told["frames_out"], told["bytes_out"], told["conflated"]) == (5, 500, 2)
    traffic.frames_out = 13
    assert tick(stats, 103.0)["frames_out"] == 3


def test_times_are_those_of_first_starts_and_of_ends(stats):
    note(stats, "queued", "running", created_at=1000, scheduled_at=None, started_at=1030)
    note(stats, "queued", "running", created_at=1000, scheduled_at=5000, started_at=5030)
    note(stats, "queued", "running", created_at=1000, started_at=9000, attempt=2)
    note(stats, "queued", "cancelled", started_at=None, finished_at=9000)
    note(stats, "running", "failed", started_at=1000, finished_at=1007)
    told = tick(stats)
    assert told["pickup_ms"] == {"p50": 30, "p99": 30}
    assert told["run_ms"] == {"p50": 7, "p99": 7}


def test_without_any_there_are_no_percentiles(stats):
    assert tick(stats)["pickup_ms"] == {"p50": None, "p99": None}


def test_percentiles_are_near_and_their_memory_is_bounded():
    recent = Recent()
    for duration_ms in range(1, 100_001):
        recent.add(duration_ms)
    found = recent.percentiles()
    assert found["p50"] == pytest.approx(50_000, rel=0.02)
    assert found["p99"] == pytest.approx(99_000, rel=0.02)
    assert sum(map(len, recent._seconds)) < 500


@pytest.mark.parametrize("duration_ms", [0, 1, 63, 64, 1000, 123_456_789, -5])
def test_one_duration_is_told_as_it_was(duration_ms):
    recent = Recent()
    recent.add(duration_ms)
    assert recent.percentiles()["p99"] == pytest.approx(max(0, duration_ms), rel=0.02)


def test_percentiles_look_back_a_minute():
    recent = Recent()
    recent.add(5)
    for _ in range(SECONDS - 1):
        recent.next_second()
    assert recent.percentiles()["p50"] == 5
    recent.next_second()
    assert recent.percentiles()["p50"] is None


def test_a_new_beginning_knows_nothing_of_what_was(stats):
    note(stats, None, "queued")
    note(stats, "running", "failed", started_at=1, finished_at=5)
    tick(stats)
    note(stats, None, "queued")
    stats.begin(200.0)
    assert stats.fields is None
    told = tick(stats, 201.0)
    assert (told["submitted"], told["run_ms"]["p50"]) == (0, None)


def test_the_census_counts_and_holds_no_job(stats):
    census = Census(stats)
    census.start_page()
    census.apply(6, job(id="b", state=JobState.QUEUED), None, False)
    census.load(5, [], {"queued": 1}, True)
    census.apply(7, job(id="b", state=JobState.RUNNING, started_at=1), JobState.QUEUED, False)
    census.apply(8, job(id="a", state=JobState.FAILED), JobState.FAILED, True)
    assert (census.counts["queued"], census.counts["running"]) == (1, 1)
    assert (census.jobs, census.hungry, census.match) == ([], False, Match())
    told = tick(stats)
    assert (told["submitted"], told["started"]) == (1, 1)


def test_a_second_is_told_once(stats):
    subscription = StatsSubscription(7, stats)
    assert subscription.next(0.0, 1000) is None
    fields = tick(stats)
    assert subscription.next(1.0, 1000) == {"type": "stats", "sub": 7, **fields}
    assert subscription.next(1.0, 1000) is None
    assert subscription.due_s is None
    tick(stats, 102.0)
    assert subscription.next(2.0, 1000) is not None


def test_a_hidden_page_is_told_the_latest_when_it_is_due(stats):
    subscription = StatsSubscription(7, stats)
    tick(stats)
    subscription.next(1.0, 1000)
    for second in (2, 3, 4, 5):
        tick(stats, 100.0 + second)
        assert subscription.next(float(second), 1000, hidden_s=5.0) is None
        assert subscription.due_s == 6 - second
    assert subscription.next(6.0, 1000, hidden_s=5.0) is not None
    tick(stats, 107.0)
    assert subscription.next(6.1, 1000) is not None, "looked at again, it is told at once"
