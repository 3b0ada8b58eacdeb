"""What a task says of its progress, and what the runner reads of it."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.codec import check_value
from server.progress import JobCancelled, Progress


class Wakes:
    """Counts how often the runner was woken."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def wakes() -> Wakes:
    return Wakes()


@pytest.fixture
def progress(wakes: Wakes) -> Progress:
    return Progress("01J", 1, wakes)


def bar(
    done: float = 0, total: float | None = None, unit: str | None = None, note: str | None = None
) -> dict[str, Any]:
    return {"done": done, "total": total, "unit": unit, "note": note}


# The bar


def test_there_is_no_bar_until_the_task_has_spoken(progress: Progress) -> None:
    assert progress.take() is None


def test_a_log_line_is_no_bar(progress: Progress) -> None:
    progress.log("hello")
    assert progress.take() is None


def test_what_is_not_given_stays_as_it_was(progress: Progress) -> None:
    progress.update(1, 10, unit="images", note="cat.png")
    progress.update(2)
    assert progress.take() == bar(2, 10, "images", "cat.png")


def test_advance_counts_on(progress: Progress) -> None:
    progress.advance()
    progress.advance(2.5, note="dog.png")
    assert progress.take() == bar(3.5, note="dog.png")


def test_a_note_alone_is_a_bar(progress: Progress) -> None:
    progress.note("thinking")
    assert progress.take() == bar(note="thinking")


def test_the_runner_is_woken_once_until_it_has_taken(progress: Progress, wakes: Wakes) -> None:
    for _ in range(100):
        progress.advance()
        progress.log("line")
    assert wakes.count == 1
    progress.take()
    progress.advance()
    assert wakes.count == 2


def test_notes_and_units_are_cut_and_look_so(progress: Progress) -> None:
    progress.update(unit="u" * 99, note="n" * 999)
    taken = progress.take()
    assert taken == bar(unit="u" * 19 + "…", note="n" * 199 + "…")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (2.0, 2),
        (0.5, 0.5),
        (True, 1),
        (math.nan, 0),
        (math.inf, 0),
        (-math.inf, 0),
        (10**400, 0),
        (2**63, float(2**63)),
        ("half", 0),
        ([], 0),
        (1j, 0),
    ],
)
def test_numbers_of_every_kind_become_jsons(progress: Progress, said: Any, shown: float) -> None:
    progress.update(said, said)
    assert progress.take() == bar(shown, shown)


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(("said", "shown"), [(7, "7"), ("\ud800x", "?x"), (Unspeakable(), "?")])
def test_a_note_of_any_kind_becomes_text(progress: Progress, said: Any, shown: str) -> None:
    progress.update(note=said)
    assert progress.take() == bar(note=shown)


@given(st.floats() | st.integers() | st.text(), st.text() | st.none())
def test_whatever_was_said_can_be_stored(number: Any, note: str | None) -> None:
    progress = Progress("01J", 1, lambda: None)
    progress.update(number, number, note=note, unit=note)
    check_value(progress.take())


# Tracking


def test_tracking_counts_each_item_when_it_is_done(progress: Progress) -> None:
    seen = []
    for item in progress.track(["a", "b", "c"], unit="files"):
        seen.append((item, (progress.take() or {})["done"]))
    assert seen == [("a", 0), ("b", 1), ("c", 2)]
    assert progress.take() == bar(3, 3, "files")


def test_an_item_at_which_the_loop_was_left_is_not_done(progress: Progress) -> None:
    for item in progress.track(range(10)):
        if item == 4:
            break
    assert progress.take() == bar(4, 10)


def test_the_total_of_an_iterator_is_unknown_unless_given(progress: Progress) -> None:
    list(progress.track(iter("ab")))
    assert progress.take() == bar(2)
    list(progress.track(iter("ab"), total=2))
    assert progress.take() == bar(2, 2)


def test_tracking_anew_begins_anew(progress: Progress) -> None:
    list(progress.track(range(100)))
    progress.track(iter("ab"))
    assert progress.take() == bar(0, None)


def test_async_tracking_takes_async_and_plain_iterables(progress: Progress) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def run() -> list[int]:
        return [n async for n in progress.track(numbers())] + [n async for n in progress.track([3, 4])]

    assert asyncio.run(run()) == [1, 2, 3, 4]
    assert progress.take() == bar(2, 2)


def test_plain_tracking_of_an_async_iterable_says_how_to_do_it(progress: Progress) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="async for item in"):
        list(progress.track(numbers()))


def test_a_long_loop_of_short_steps_lets_others_run(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Iterator[float] = iter(n / 100 for n in range(10_000))
    monkeypatch.setattr("server.progress.time.monotonic", lambda: next(clock))
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    async def steps() -> None:
        async for _ in progress.track(range(50)):
            pass

    async def run() -> None:
        running = asyncio.create_task(other())
        await steps()
        running.cancel()

    with monkeypatch.context() as patched:
        patched.setattr("server.track.BREATHE_S", 0.0)
        asyncio.run(run())
    assert others > 10


# Cancelling


def test_after_a_stop_every_call_raises(progress: Progress) -> None:
    assert not progress.cancelled
    progress.stop()
    assert progress.cancelled
    calls = [
        progress.advance,
        progress.update,
        lambda: progress.log("x"),
        lambda: progress.emit(1),
        lambda: progress.note("x"),
    ]
    for call in calls:
        with pytest.raises(JobCancelled):
            call()
    assert not progress.pending


def test_a_stop_ends_a_tracked_loop_at_the_next_item(progress: Progress) -> None:
    seen = []
    with pytest.raises(JobCancelled):  # noqa: PT012
        for item in progress.track(range(10)):
            seen.append(item)
            progress.stop()
    assert seen == [0]


def test_a_cancelled_job_is_no_exception_that_a_task_would_swallow() -> None:
    assert not issubclass(JobCancelled, Exception)
