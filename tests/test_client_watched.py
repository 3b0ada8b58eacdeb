"""Frames change what is held: never a lower version, each offset once, an end always ends."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windsock.errors import NotFound
from windsock.watch import Watch
from windsock.watched import Watched, version

Frame = dict[str, Any]


def summary(version_number: int, state: str = "running", *, epoch: str = "k3f9-1", offset: int = 0) -> Frame:
    return {"id": "J", "task": "t", "state": state, "cursor": f"{epoch}.{version_number}.{offset}"}


def snapshot(version_number: int, how: str = "fresh", **more: Any) -> Frame:
    return {"type": "snapshot", "sub": 1, "how": how, "job": summary(version_number), "cursor": "c1", **more}


def update(version_number: int, state: str = "running", cursor: str = "c2") -> Frame:
    return {"type": "update", "sub": 1, "job": summary(version_number, state), "cursor": cursor}


def log(first: int, count: int, cursor: str = "c3") -> Frame:
    entries = [{"at": 0, "text": str(offset)} for offset in range(first, first + count)]
    return {"type": "log", "sub": 1, "first": first, "entries": entries, "cursor": cursor}


def end(state: str) -> Frame:
    return {"type": "end", "sub": 1, "job": summary(99, state), "last": 0, "cursor": "c9"}


def watched() -> Watched:
    return Watched("J", 1)


def test_a_first_subscription_has_no_cursor_and_a_later_one_hands_back_the_last() -> None:
    one = watched()
    assert one.subscribe() == {"type": "subscribe", "sub": 1, "job": "J", "log": "all"}
    one.apply(snapshot(5))
    one.apply(log(1, 2, cursor="k.5.2"))
    assert one.subscribe()["after"] == "k.5.2"


def test_a_newer_summary_is_taken_and_an_older_one_is_not_shown() -> None:
    one = watched()
    assert one.apply(snapshot(5)) is not None
    assert one.apply(update(7)) is not None
    assert one.apply(update(6)) is None
    assert one.apply(snapshot(6, "resumed")) is None
    assert version(one.summary) == 7


def test_a_reset_takes_the_summary_of_another_store_whatever_its_version() -> None:
    one = watched()
    one.apply(snapshot(900))
    assert one.apply(snapshot(5, "reset", log_from=1)) is not None
    assert version(one.summary) == 5


def test_a_terminal_summary_wins_over_any() -> None:
    one = watched()
    one.apply(snapshot(5))
    one.apply(update(6, "succeeded"))
    assert one.apply(update(7)) is None
    assert one.apply(snapshot(8, "reset")) is None
    assert one.summary is not None
    assert one.summary["state"] == "succeeded"


def test_log_entries_that_came_already_are_cut_off() -> None:
    one = watched()
    one.apply(log(1, 3))
    assert one.apply(log(2, 2)) is None
    new = one.apply(log(2, 4))
    assert new is not None
    assert (new["first"], [entry["text"] for entry in new["entries"]]) == (4, ["4", "5"])


def test_a_gap_is_told_once_and_moves_the_offset() -> None:
    one = watched()
    one.apply(log(1, 3))
    gap = {"type": "gap", "sub": 1, "from": 2, "to": 9, "why": "trimmed", "cursor": "c"}
    new = one.apply(gap)
    assert new is not None
    assert (new["from"], new["to"], one.offset) == (4, 9, 9)
    assert one.apply(gap) is None


def test_a_reset_brings_the_log_again_from_where_it_says() -> None:
    one = watched()
    one.apply(log(1, 8))
    one.apply(snapshot(5, "reset", log_from=5))
    new = one.apply(log(5, 2))
    assert new is not None
    assert new["first"] == 5


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_an_end_ends_in_its_state(state: str) -> None:
    one = watched()
    one.apply(snapshot(100))
    assert one.apply(end(state)) is not None
    assert one.outcome == state
    assert one.apply(update(101)) is None


def test_a_final_error_refuses_and_a_retryable_one_does_not() -> None:
    one = watched()
    one.apply({"type": "error", "sub": 1, "code": "unavailable", "message": "later", "retryable": True})
    assert not one.done
    one.apply({"type": "error", "sub": 1, "code": "not_found", "message": "no such job", "retryable": False})
    assert one.outcome == "refused"
    assert isinstance(one.refusal, NotFound)
    assert one.refusal.detail == "no such job"


def test_frames_of_a_later_protocol_are_ignored() -> None:
    assert watched().apply({"type": "confetti", "sub": 1}) is None


def test_hello_asks_only_for_what_is_not_done() -> None:
    watch = Watch.of(["A", "B", "A"], "none")
    assert [one["job"] for one in watch.hello()["subscribe"]] == ["A", "B"]
    watch.apply(end("failed"))
    assert [one["job"] for one in watch.hello()["subscribe"]] == ["B"]
    assert not watch.done


def test_a_watch_is_done_when_all_of_it_is() -> None:
    watch = Watch.of(["A", "B", "C"], "none")
    watch.apply({**end("succeeded"), "sub": 1})
    watch.apply({**end("cancelled"), "sub": 2})
    watch.apply({"type": "error", "sub": 3, "code": "not_found", "message": "x"})
    assert watch.done
    assert [one.outcome for one in watch.jobs.values()] == ["succeeded", "cancelled", "refused"]


def test_stale_lasts_until_fresh_or_a_new_connection() -> None:
    watch = Watch.of(["A"], "none")
    assert watch.apply({"type": "stale", "why": "no Redis"}) is not None
    assert watch.stale == "no Redis"
    assert watch.apply({"type": "fresh"}) is not None
    assert watch.apply({"type": "fresh"}) is None
    watch.apply({"type": "stale", "why": "no Redis"})
    assert watch.apply({"type": "welcome"}) is None
    assert watch.stale == ""


def test_a_frame_of_an_unknown_subscription_or_of_none_is_ignored() -> None:
    watch = Watch.of(["A"], "none")
    assert watch.apply({"type": "live", "sub": 7}) is None
    assert watch.apply({"type": "heartbeat", "now": 1}) is None


def test_a_watch_goes_on_from_the_cursors_given_and_has_them_as_shown() -> None:
    watch = Watch.of(["A", "B"], "none", {"A": "k-1.5.2", "C": "k-1.1.1"})
    assert [wish.get("after") for wish in watch.hello()["subscribe"]] == ["k-1.5.2", None]
    assert [one.shown for one in watch.jobs.values()] == ["k-1.5.2", None]


def test_a_cursor_that_cannot_be_read_has_no_version() -> None:
    assert version(None) is None
    assert version({"cursor": "garbage"}) is None
    assert version({"cursor": "a-1.12.3"}) == 12


FRAMES = st.one_of(
    st.builds(log, st.integers(1, 30), st.integers(0, 8)),
    st.builds(
        lambda first, more: {"type": "gap", "sub": 1, "from": first, "to": first + more, "why": "slow"},
        st.integers(1, 30),
        st.integers(0, 8),
    ),
    st.builds(update, st.integers(1, 30)),
    st.builds(snapshot, st.integers(1, 30), st.sampled_from(["fresh", "resumed"])),
)


@given(st.lists(FRAMES))
def test_whatever_comes_offsets_grow_and_versions_do_not_fall(frames: list[Frame]) -> None:
    one, told, versions = watched(), [], []
    for frame in frames:
        new = one.apply(frame)
        if new is not None and new["type"] == "log":
            told += [int(entry["text"]) for entry in new["entries"]]
        elif new is not None and new["type"] == "gap":
            told += range(new["from"], new["to"] + 1)
        elif new is not None:
            versions.append(version(new["job"]))
    assert told == sorted(set(told))
    assert versions == sorted(versions)
