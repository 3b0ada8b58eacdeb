"""What a runner holds of a log: what the store lacks, what it may lose, and what is sent to whatever it has."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from server.backlog import Backlog, Keep


def backlog(count: int = 0, keep: Keep = Keep(), **limits: int) -> Backlog:  # noqa: B008  frozen
    """A backlog of one-byte entries a, b, c …"""
    made = Backlog(limits.get("max_entries", 100), limits.get("max_bytes", 1000), keep)
    for number in range(count):
        made.append(bytes([97 + number]))
    return made


def test_over_the_limit_of_entries_the_oldest_go() -> None:
    held = backlog(3, max_entries=2)
    assert (held.first, list(held.unsent), held.size) == (2, [b"b", b"c"], 2)


def test_over_the_limit_of_bytes_the_oldest_go() -> None:
    held = backlog(max_bytes=10)
    for size in (4, 4, 4, 99):
        held.append(b"x" * size)
    assert (held.first, list(held.unsent), held.size) == (5, [], 0)


def test_a_store_that_has_all_so_far_gets_what_is_new() -> None:
    held = backlog(3)
    held.stored(2, 0)
    assert held.after(2, 100) == (3, [b"c"])
    held.stored(3, 0)
    assert held.after(3, 100) == (4, [])


def test_a_store_that_lost_its_tail_gets_it_again() -> None:
    held = backlog(5)
    held.stored(4, 0)
    assert held.after(1, 100) == (2, [b"b", b"c", b"d", b"e"])


def test_it_goes_in_portions_of_at_least_one() -> None:
    held = backlog(5)
    held.stored(4, 0)
    assert held.after(1, 2) == (2, [b"b", b"c"])
    assert held.after(1, 0) == (2, [b"b"])


def test_what_was_sent_long_ago_is_forgotten() -> None:
    held = backlog(3, Keep(seconds=5))
    held.stored(1, 0)
    held.stored(2, 3)
    held.stored(3, 6)
    assert held.after(0, 100) == (2, [b"b", b"c"])


def test_while_the_store_has_less_than_it_had_nothing_is_forgotten() -> None:
    held = backlog(3, Keep(seconds=5))
    held.stored(3, 0)
    held.stored(1, 60)
    assert held.after(1, 100) == (2, [b"b", b"c"])


@pytest.mark.parametrize("keep", [Keep(entries=2), Keep(bytes=2)])
def test_of_what_was_sent_only_so_much_is_kept(keep: Keep) -> None:
    held = backlog(5, keep)
    held.stored(5, 0)
    assert held.after(0, 100) == (4, [b"d", b"e"])


def test_what_was_thrown_away_between_is_passed_over() -> None:
    held = backlog(2, max_entries=2)
    held.stored(2, 0)
    for entry in (b"c", b"d", b"e"):
        held.append(entry)
    assert held.after(1, 100) == (2, [b"b"])
    assert held.after(2, 100) == (4, [b"d", b"e"])


def test_where_nothing_is_left_the_next_offset_is_told() -> None:
    held = backlog(3, Keep(seconds=0, entries=0))
    held.stored(3, 0)
    assert held.after(1, 100) == (4, [])


def test_half_full_it_presses() -> None:
    held = backlog(1, max_entries=4)
    assert not held.pressing
    held.append(b"b")
    assert held.pressing
    held.stored(2, 0)
    assert not held.pressing


class Replay(RuleBasedStateMachine):
    """A store that may lose its tail at any time, and a runner that sends what the store lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.held = Backlog(6, 30, Keep(seconds=5, entries=4, bytes=20))
        self.said: list[bytes] = []
        self.store: list[bytes | None] = []  # None: a gap
        self.known = 0  # the tail, as the runner heard it last
        self.now = 0.0

    @rule(size=st.integers(1, 9))
    def say(self, size: int) -> None:
        entry = len(self.said).to_bytes(1, "big") * size
        self.said.append(entry)
        self.held.append(entry)

    @rule(seconds=st.floats(0, 6))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(lost=st.integers(1, 6))
    def lose(self, lost: int) -> None:
        self.store = self.store[: max(0, len(self.store) - lost)]

    @rule(most=st.integers(0, 40), heard=st.booleans())
    def report(self, most: int, heard: bool) -> None:
        """One report, as `append_log` takes it; the answer may be lost, and then it comes again."""
        first, entries = self.held.after(self.known, most)
        if first > len(self.store) + 1 and first > self.known + 1 and len(self.store) >= self.known:
            self.store += [None] * (first - 1 - len(self.store))
        if first <= len(self.store) + 1:
            self.store += entries[len(self.store) - first + 1 :]
        if heard:
            self.known = len(self.store)
            self.held.stored(self.known, self.now)

    @invariant()
    def the_log_is_as_it_was_said(self) -> None:
        assert all(stored in (None, said) for stored, said in zip(self.store, self.said, strict=False))
        assert len(self.store) <= len(self.said)

    @invariant()
    def nothing_that_is_held_is_a_gap(self) -> None:
        gaps = {offset for offset, stored in enumerate(self.store, 1) if stored is None}
        held = {offset for offset, _, _ in self.held.sent}
        assert not gaps & held

    @invariant()
    def it_stays_within_its_limits(self) -> None:
        held = self.held
        assert held.size == sum(map(len, held.unsent)) <= held.max_bytes
        assert held.sent_size == sum(len(entry) for _, _, entry in held.sent) <= held.keep.bytes
        assert len(held.unsent) <= held.max_entries
        assert len(held.sent) <= held.keep.entries

    @invariant()
    def what_is_unsent_is_the_end_of_what_was_said(self) -> None:
        assert list(self.held.unsent) == self.said[self.held.first - 1 :]

    def teardown(self) -> None:
        """Three reports more, and the store has everything that anybody still has."""
        while self.known < len(self.said) or len(self.store) < len(self.said):
            before = (self.known, len(self.store))
            self.report(1000, True)
            assert before != (self.known, len(self.store)), "it does not get on"


TestReplay = Replay.TestCase
TestReplay.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
