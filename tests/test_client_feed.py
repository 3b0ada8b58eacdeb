"""What is held of a feed, and what a program is told of it."""

from typing import Any

import pytest

from windsock import Connection, Feed, Gone, NotFound, Refused, Reset, Stats, Update
from windsock.events import events
from windsock.feed import WatchedFeed, WatchedStats
from windsock.watch import Watch
from windsock.watched import Watched


def job(number: int, version: int = 1, state: str = "running") -> dict[str, Any]:
    return {"id": f"J{number}", "task": "t", "state": state, "attempt": 1, "cursor": f"k-1.{version}.0"}


def snapshot(*jobs: dict[str, Any]) -> dict[str, Any]:
    return {"type": "snapshot", "sub": 1, "how": "fresh", "jobs": list(jobs), "counts": {"running": len(jobs)}}


def update(*jobs: dict[str, Any], gone: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"type": "update", "sub": 1, "jobs": list(jobs), "gone": list(gone), "counts": None}


@pytest.fixture
def feed() -> WatchedFeed:
    feed = WatchedFeed(1, {"task": "t"}, 10)
    feed.apply(snapshot(job(1), job(3)))
    return feed


def ids(feed: WatchedFeed) -> list[str]:
    return [one.id for one in feed.window]


def test_jobs_come_newest_first_and_leave(feed: WatchedFeed) -> None:
    feed.apply(update(job(2), job(4), gone=("J1",)))
    assert ids(feed) == ["J4", "J3", "J2"]
    assert [one.id for one in feed.changed] == ["J2", "J4"]
    assert feed.gone == ("J1",)


def test_an_older_summary_is_passed_over(feed: WatchedFeed) -> None:
    feed.apply(update(job(1, 5, "succeeded")))
    feed.apply(update(job(1, 4)))
    assert feed.jobs["J1"].state == "succeeded"
    assert feed.changed == ()


def test_a_snapshot_begins_anew_and_live_says_that_it_is_whole(feed: WatchedFeed) -> None:
    feed.apply({"type": "live", "sub": 1})
    assert feed.live
    feed.apply(snapshot(job(9)))
    assert (feed.live, ids(feed)) == (False, ["J9"])


def test_wishes_say_what_was_chosen(feed: WatchedFeed) -> None:
    assert feed.subscribe() == {"type": "subscribe", "sub": 1, "feed": {"task": "t"}, "limit": 10}
    assert WatchedFeed(1, {}, rate=4).subscribe()["rate"] == 4
    assert WatchedStats(2).subscribe() == {"type": "subscribe", "sub": 2, "stats": True}
    assert not feed.done
    assert not WatchedStats(2).done


def test_frames_become_events(feed: WatchedFeed) -> None:
    (event,) = events(feed, {"type": "live", "sub": 1})
    assert isinstance(event, Feed)
    assert event.jobs == feed.window
    assert list(events(WatchedStats(2), {"type": "stats", "sub": 2, "queued": 3})) == [Stats(2, {"queued": 3})]
    assert list(events(None, {"type": "stale", "why": "no Redis"})) == [Connection("stale", "no Redis")]


def test_a_refused_feed_is_an_error_and_a_refused_job_an_event(feed: WatchedFeed) -> None:
    refused = {"type": "error", "sub": 1, "code": "invalid", "message": "no such state", "retryable": False}
    with pytest.raises(Refused, match="no such state"):
        list(events(feed, refused))
    one = Watched("J", 1)
    one.apply({"type": "error", "sub": 1, "code": "not_found", "message": "no such job"})
    (event,) = events(one, {"type": "error", "sub": 1})
    assert isinstance(event, Gone)
    assert isinstance(event.error, NotFound)


def test_a_reset_comes_before_the_new_state() -> None:
    frame = {"type": "snapshot", "sub": 1, "how": "reset", "log_from": 4, "job": job(1), "cursor": "c"}
    assert [type(event) for event in events(Watched("J1", 1), frame)] == [Reset, Update]


def test_what_is_dropped_is_asked_for_no_more(feed: WatchedFeed) -> None:
    watch = Watch()
    watch.add(WatchedStats(watch.free()))
    watch.add(WatchedFeed(watch.free(), {}))
    assert watch.drop(1) == {"type": "unsubscribe", "id": 1, "sub": 1}
    assert [one["sub"] for one in watch.hello()["subscribe"]] == [2]
    assert watch.free() == 3
    assert watch.apply({"type": "stats", "sub": 1}) is None
