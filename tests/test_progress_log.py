"""The log of a job on its way to the store: what a task says, and what the store still lacks."""

import math
from typing import Any

import msgpack
import pytest

from server.codec import MSGPACK
from server.progress import Progress


@pytest.fixture
def progress() -> Progress:
    return Progress("01J", 1, lambda: None)


def entries(progress: Progress) -> list[Any]:
    return [MSGPACK.decode(packed) for packed in progress.unsent(1 << 30)[1]]


# The log


def test_a_line_has_its_time_level_and_text(progress: Progress) -> None:
    progress.log("hello")
    progress.log(42, "warning")
    first, second = entries(progress)
    assert (first["level"], first["text"], second["level"], second["text"]) == (
        "info",
        "hello",
        "warning",
        "42",
    )
    assert first["at"] > 1_600_000_000_000


def test_an_unknown_level_is_refused(progress: Progress) -> None:
    with pytest.raises(ValueError, match="loud"):
        progress.log("hello", "loud")
    assert entries(progress) == []


def test_an_emitted_value_stands_in_order_with_the_lines(progress: Progress) -> None:
    progress.log("one")
    progress.emit({"two": [2]})
    progress.log("three")
    assert [entry.get("text", entry.get("value")) for entry in entries(progress)] == [
        "one",
        {"two": [2]},
        "three",
    ]


@pytest.mark.parametrize("value", [math.nan, {1: 2}, b"x", object(), "\ud800", 2**64])
def test_what_is_not_a_json_value_is_not_emitted(progress: Progress, value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        progress.emit(value)
    assert not progress.pending


def test_a_value_over_the_limit_is_not_emitted(progress: Progress) -> None:
    with pytest.raises(ValueError, match="the limit is 16384"):
        progress.emit("x" * 16384)


@pytest.mark.parametrize("text", ["x" * 100_000, "é" * 100_000, "🜚" * 100_000])
@pytest.mark.parametrize("limit", [256, 16384])
def test_a_long_line_is_cut_to_the_limit_and_says_so(text: str, limit: int) -> None:
    progress = Progress("01J", 1, lambda: None, entry_bytes=limit)
    progress.log(text)
    ((packed,),) = (progress.unsent(1)[1:],)
    assert len(packed[0]) <= limit
    assert "(cut, " in MSGPACK.decode(packed[0])["text"]


def test_a_lone_surrogate_in_a_line_is_replaced(progress: Progress) -> None:
    progress.log("file \udcff.txt")
    assert entries(progress)[0]["text"] == "file ?.txt"


# What the store lacks


def test_entries_are_handed_out_from_the_first_that_the_store_lacks(progress: Progress) -> None:
    for number in range(5):
        progress.log(number)
    assert progress.unsent(1 << 20)[0] == 1
    progress.stored(3)
    first, packed = progress.unsent(1 << 20, 3)
    assert (first, [msgpack.unpackb(one)["text"] for one in packed]) == (4, ["3", "4"])


def test_entries_are_handed_out_in_portions_of_at_least_one(progress: Progress) -> None:
    for _ in range(3):
        progress.log("x" * 100)
    assert len(progress.unsent(1)[1]) == 1
    assert len(progress.unsent(300)[1]) == 2


@pytest.mark.parametrize("through", [0, -5])
def test_an_old_confirmation_drops_nothing(progress: Progress, through: int) -> None:
    progress.log("a")
    progress.stored(through)
    assert progress.unsent(1000)[0] == 1
    assert progress.pending


def test_nothing_is_pending_when_the_store_has_all(progress: Progress) -> None:
    progress.log("a")
    progress.stored(1)
    assert not progress.pending
    assert progress.unsent(1000, 1) == (2, [])
