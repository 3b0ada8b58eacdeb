"""What a node knows of a watched job: the newest summary and the end of its log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from job_values import job

from server.job import JobState
from server.topic import RING_BYTES, RING_ENTRIES, Entry, Gap, Ring, Run, Topic, runs


def entries(first, last, size=10):
    """Entries that say their offset."""
    return [Entry({"n": offset}, size) for offset in range(first, last + 1)]


def offsets(run):
    """The offsets a run says it holds, checked against what is in it."""
    assert [entry.value["n"] for entry in run.entries] == list(range(run.first, run.last + 1))
    return list(range(run.first, run.last + 1))


def told(found):
    """Runs and gaps in short."""
    return [
        ("run", one.first, one.last) if isinstance(one, Run) else (one.why.value, one.first, one.last) for one in found
    ]


def rows(*kept):
    """Rows of the store: an offset, or (first, last) of a lost stretch."""
    return [(one, Entry({"n": one}, 1), None) if isinstance(one, int) else (one[1], None, one[0]) for one in kept]


@pytest.mark.parametrize(
    ("after", "first_kept", "last", "kept", "wanted"),
    [
        (0, 1, 3, [1, 2, 3], [("run", 1, 3)]),
        (2, 1, 3, [3], [("run", 3, 3)]),
        (3, 1, 3, [], []),
        (0, 4, 5, [4, 5], [("trimmed", 1, 3), ("run", 4, 5)]),
        (0, 1, 6, [1, (2, 4), 5, 6], [("run", 1, 1), ("lost", 2, 4), ("run", 5, 6)]),
        (3, 1, 6, [(2, 4), 5, 6], [("lost", 4, 4), ("run", 5, 6)]),
        (0, 3, 6, [(3, 5), 6], [("trimmed", 1, 2), ("lost", 3, 5), ("run", 6, 6)]),
        (0, 6, 5, [], [("trimmed", 1, 5)]),
        (9, 1, 5, [], []),
        (0, 1, 4, [(1, 2), (3, 4)], [("lost", 1, 2), ("lost", 3, 4)]),
    ],
)
def test_a_piece_of_the_store_becomes_runs_and_a_gap_for_all_that_is_missing(after, first_kept, last, kept, wanted):
    assert told(runs(first_kept, last, after, rows(*kept))) == wanted


def test_a_ring_gives_what_it_holds_from_any_offset():
    ring = Ring()
    ring.extend(1, entries(1, 5))
    assert offsets(ring.run(0, 1000)) == [1, 2, 3, 4, 5]
    assert offsets(ring.run(3, 1000)) == [4, 5]
    assert ring.run(5, 1000) is None


def test_a_ring_fills_a_room_and_gives_one_entry_at_least():
    ring = Ring()
    ring.extend(1, entries(1, 5, size=10))
    assert offsets(ring.run(0, 25)) == [1, 2]
    assert offsets(ring.run(0, 1)) == [1]


def test_a_ring_passes_over_what_it_knows():
    ring = Ring()
    ring.extend(1, entries(1, 3))
    ring.extend(2, entries(2, 5))
    ring.extend(1, entries(1, 2))
    assert offsets(ring.run(0, 1000)) == [1, 2, 3, 4, 5]


def test_a_hole_drops_what_was_before_it():
    ring = Ring()
    ring.extend(1, entries(1, 3))
    ring.extend(6, entries(6, 7))
    assert (ring.first, ring.tail) == (6, 7)
    assert ring.run(2, 1000) is None
    assert offsets(ring.run(5, 1000)) == [6, 7]


def test_a_skip_leaves_only_the_tail():
    ring = Ring()
    ring.extend(1, entries(1, 3))
    ring.skip(9)
    assert (ring.first, ring.tail) == (10, 9)
    ring.skip(5)
    assert ring.tail == 9


def test_a_ring_is_bounded_by_count_and_bytes():
    ring = Ring()
    ring.extend(1, entries(1, RING_ENTRIES + 50))
    assert len(offsets(ring.run(ring.first - 1, 10**9))) == RING_ENTRIES
    ring = Ring()
    ring.extend(1, entries(1, 20, size=RING_BYTES // 4))
    assert offsets(ring.run(ring.first - 1, 10**9)) == [17, 18, 19, 20]


@given(st.lists(st.tuples(st.sampled_from(["extend", "skip", "rewind"]), st.integers(0, 30), st.integers(0, 9))))
def test_a_ring_never_gives_an_entry_for_another_offset(steps):
    ring = Ring()
    for what, at, count in steps:
        if what == "extend":
            ring.extend(at + 1, entries(at + 1, at + count))
        elif what == "skip":
            ring.skip(at)
        else:
            ring.rewind(at)
        assert ring.first <= ring.tail + 1
        run = ring.run(ring.first - 1, 10**9)
        assert run is None or offsets(run)[-1] == ring.tail


def test_a_topic_takes_only_newer_summaries():
    topic = Topic("x")
    assert not topic.loaded
    assert topic.apply(job(version=5))
    assert not topic.apply(job(version=5))
    assert not topic.apply(job(version=4))
    assert topic.apply(job(version=6))
    assert topic.loaded


def test_a_terminal_summary_wins_over_any():
    topic = Topic("x")
    topic.apply(job(version=9))
    assert topic.apply(job(version=5, state=JobState.FAILED))
    assert not topic.apply(job(version=20))
    assert topic.job.state is JobState.FAILED


def test_another_store_begins_anew_whatever_its_versions():
    topic = Topic("x")
    topic.apply(job(version=9, offset=3))
    topic.ring.extend(1, entries(1, 3))
    assert topic.apply(job(version=2, store="s2", offset=3))
    assert topic.ring.run(0, 1000) is None


def test_a_newer_summary_with_a_shorter_log_takes_lost_entries_out_of_the_ring():
    topic = Topic("x")
    topic.apply(job(version=1, offset=5))
    topic.ring.extend(1, entries(1, 5))
    topic.apply(job(version=2, offset=3))
    assert offsets(topic.ring.run(0, 1000)) == [1, 2, 3]
    topic.ring.extend(4, entries(4, 4))
    assert offsets(topic.ring.run(0, 1000)) == [1, 2, 3, 4]


def test_a_new_attempt_takes_entries_out_of_the_ring_whose_place_others_have_taken():
    topic = Topic("x")
    topic.apply(job(version=1, offset=5))
    topic.ring.extend(1, entries(1, 5))
    topic.apply(job(version=2, offset=5, attempt=2, attempt_firsts=(1, 4)))
    assert offsets(topic.ring.run(0, 1000)) == [1, 2, 3]


def test_an_ended_topic_is_complete_only_with_its_outcome():
    topic = Topic("x")
    topic.apply(job(state=JobState.SUCCEEDED))
    assert topic.loaded
    assert not topic.complete
    topic.outcome = {"result": 1}
    assert topic.complete


def test_gaps_and_runs_know_their_last_offset():
    assert Run(3, entries(3, 5)).last == 5
    assert told([Gap(1, 2, runs(3, 2, 0, [])[0].why)]) == [("trimmed", 1, 2)]


def held(ring):
    """Offsets in the ring."""
    return [entry.value["n"] for entry in ring._entries]


def numbered(first, last, size=10):
    return Run(first, entries(first, last, size))


def ring_of(first, last):
    ring = Ring()
    ring.skip(first - 1)
    ring.extend(first, numbered(first, last).entries)
    return ring


@pytest.mark.parametrize(("first", "last"), [(1, 4), (2, 6), (1, 9)])
def test_what_was_read_joins_what_a_ring_holds(first, last):
    ring = ring_of(5, 8)
    ring.backfill(numbered(first, last))
    assert held(ring) == list(range(first, 9))
    assert (ring.first, ring.tail) == (first, 8)
    assert ring.run(first - 1, 10**6).entries == list(ring._entries)


def test_what_was_read_fills_an_empty_ring_up_to_its_tail():
    ring = Ring()
    ring.skip(8)
    ring.backfill(numbered(3, 8))
    assert held(ring) == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(("first", "last"), [(1, 3), (6, 8)])
def test_what_does_not_join_or_is_held_changes_nothing(first, last):
    ring = ring_of(5, 8)
    ring.backfill(numbered(first, last))
    assert held(ring) == [5, 6, 7, 8]


def test_a_ring_is_filled_from_its_newest_side_and_not_over_its_limits():
    ring = Ring()
    ring.skip(2000)
    ring.backfill(numbered(1, 2000))
    assert held(ring) == list(range(1001, 2001))
    ring = Ring()
    ring.skip(10)
    ring.backfill(numbered(1, 10, size=100_000))
    assert held(ring) == [9, 10]
