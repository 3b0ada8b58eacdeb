"""The resume table of the protocol, section 3, row by row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.cursor import Cursor, How, Resume, resume

STORE = "k3f9"
cursors = st.builds(
    Cursor,
    st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=16),
    st.integers(0, 10**9 - 1),
    st.integers(0, 10**16 - 1),
    st.integers(0, 10**16 - 1),
)


def at(attempt: int, offset: int, store: str = STORE) -> Cursor:
    return Cursor(store, attempt, 1_790_000_000_000, offset)


def test_a_cursor_reads_as_the_protocol_writes_it() -> None:
    assert str(Cursor("k3f9", 1, 1_790_000_003_000, 5)) == "k3f9-1.1790000003000.5"


@given(cursors)
def test_a_cursor_comes_back_as_it_went(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "x",
        "k3f9-1.2",
        "k3f9-1.2.3.4",
        "K3F9-1.2.3",
        "k3f9-1.2.-3",
        "k3f9-1.2.3\n",
        " k3f9-1.2.3",
        "k3f9-1.2.³",
        "k3f9-1.2." + "9" * 17,
    ],
)
def test_garbage_is_no_cursor(text: str | None) -> None:
    assert Cursor.parse(text) is None


@given(st.text(max_size=60))
def test_no_text_upsets_the_reader_of_cursors(text: str) -> None:
    cursor = Cursor.parse(text)
    assert cursor is None or Cursor.parse(str(cursor)) == cursor


def test_the_same_attempt_goes_on_after_the_offset() -> None:
    assert resume(at(1, 5), STORE, (1,)) == Resume(How.RESUMED, 5)


def test_an_offset_past_the_tail_is_kept_and_not_sent_again() -> None:
    assert resume(at(2, 900), STORE, (1, 6)) == Resume(How.RESUMED, 900)


def test_an_earlier_attempt_goes_on_after_the_offset() -> None:
    assert resume(at(1, 5), STORE, (1, 6)) == Resume(How.RESUMED, 5)


def test_an_earlier_attempt_whose_entries_were_lost_is_reset_to_the_next_attempts_first() -> None:
    assert resume(at(1, 8), STORE, (1, 6)) == Resume(How.RESET, 5, log_from=6)


def test_the_next_attempts_first_entry_is_not_the_one_the_client_holds() -> None:
    assert resume(at(1, 6), STORE, (1, 6)).how is How.RESET


def test_only_what_came_after_the_clients_attempt_counts() -> None:
    assert resume(at(2, 8), STORE, (1, 6)) == Resume(How.RESUMED, 8)
    assert resume(at(1, 8), STORE, (1, 9, 12)) == Resume(How.RESUMED, 8)


def test_a_loss_in_a_later_attempt_counts_for_a_client_of_an_earlier_one() -> None:
    assert resume(at(1, 5), STORE, (1, 9, 4)) == Resume(How.RESET, 3, log_from=4)


def test_another_store_is_a_reset_from_the_beginning() -> None:
    assert resume(at(1, 5, store="other"), STORE, (1,)) == Resume(How.RESET, 0, log_from=1)


@pytest.mark.parametrize("attempt", [0, 3, 999])
def test_an_attempt_the_store_does_not_know_is_a_reset_from_the_beginning(attempt: int) -> None:
    assert resume(at(attempt, 5), STORE, (1, 6)) == Resume(How.RESET, 0, log_from=1)


@given(cursors, st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_a_client_never_keeps_an_entry_that_a_later_attempt_wrote_anew(cursor: Cursor, firsts: list[int]) -> None:
    same_store = Cursor(STORE, cursor.attempt % 6, cursor.version, cursor.offset % 60)
    answer = resume(same_store, STORE, tuple(firsts))
    assert all(answer.offset < first for first in firsts[same_store.attempt :]) or answer.offset == 0
    assert answer.how is not How.FRESH
    assert answer.log_from == (answer.offset + 1 if answer.how is How.RESET else None)
