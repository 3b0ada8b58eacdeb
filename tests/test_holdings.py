"""What the store leases to a worker against what it holds."""

from server.holdings import Holdings


def test_what_agrees_is_not_noted():
    holdings = Holdings()
    holdings.look({"a", "b"}, {"a", "b"})
    assert (holdings.unheld, holdings.unleased) == ({}, {})


def test_beats_in_a_row_are_counted_job_by_job():
    holdings = Holdings()
    holdings.look({"a"}, {"x"})
    holdings.look({"a", "b"}, {"x", "y"})
    assert (holdings.unheld, holdings.unleased) == ({"a": 2, "b": 1}, {"x": 2, "y": 1})


def test_a_beat_that_agrees_begins_the_count_anew():
    holdings = Holdings()
    holdings.look({"a"}, {"x"})
    holdings.look({"x"}, {"x", "a"} - {"a"})
    holdings.look({"a"}, {"x"})
    assert (holdings.unheld, holdings.unleased) == ({"a": 1}, {"x": 1})
