"""The steps of a job, and the one bar they roll up into."""

import asyncio
import contextlib
import math
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.codec import JSON, check_value
from server.counting import Counting
from server.progress import JobCancelled, Progress


@pytest.fixture
def progress() -> Progress:
    return Progress("01J", 1, lambda: None)


def told(progress: Progress) -> dict[str, Any]:
    bar = progress.take()
    assert bar is not None
    return bar


def fraction(progress: Progress) -> float:
    return float(told(progress)["fraction"])


# With a plan


def test_each_step_of_a_plan_fills_its_share(progress: Progress) -> None:
    progress.plan({"fetch": 1, "resize": 3})
    assert fraction(progress) == 0
    with progress.step("fetch"):
        progress.update(1, 2)
        assert fraction(progress) == 0.125
    assert fraction(progress) == 0.25
    with progress.step("resize"):
        progress.update(1, 3)
        assert fraction(progress) == 0.5
    assert fraction(progress) == 1


def test_a_plan_of_names_has_equal_shares(progress: Progress) -> None:
    progress.plan(["a", ("b", 2), "c"])
    with progress.step("a"):
        pass
    assert fraction(progress) == 0.25


def test_the_plan_knows_the_weight_better_than_the_step(progress: Progress) -> None:
    progress.plan(["a", "b"])
    with progress.step("a", weight=50):
        pass
    assert fraction(progress) == 0.5


def test_a_step_that_the_plan_does_not_name_has_no_share(progress: Progress) -> None:
    progress.plan(["a", "b"])
    with progress.step("surprise"):
        progress.update(1, 2)
        assert told(progress)["step"] == {"name": "surprise", "path": ["surprise"]}
    assert fraction(progress) == 0


def test_a_step_that_is_begun_again_goes_on_where_it_was(progress: Progress) -> None:
    progress.plan(["fetch", "rest"])
    with contextlib.suppress(OSError), progress.step("fetch"):
        progress.update(3, 4)
        raise OSError
    assert fraction(progress) == 0.375
    with progress.step("fetch"):
        progress.update(1, 4)
        assert fraction(progress) == 0.375
    assert fraction(progress) == 0.5


def test_steps_within_a_step_fill_its_share(progress: Progress) -> None:
    progress.plan(["a", "b"])
    with progress.step("a"):
        progress.plan(["one", "two"])
        with progress.step("one"):
            progress.update(1, 2)
            assert fraction(progress) == 0.125
            assert told(progress)["step"] == {"name": "one", "path": ["a", "one"]}
    assert fraction(progress) == 0.5


def test_a_step_that_is_skipped_counts_when_its_level_is_left(progress: Progress) -> None:
    progress.plan(["a", "b"])
    with progress.step("a"):
        progress.plan(["cached", "used"])
        with progress.step("used"):
            pass
        assert fraction(progress) == 0.25
    assert fraction(progress) == 0.5


@pytest.mark.parametrize(
    "plan", [[], {"a": 0}, {"a": -1}, {"a": math.nan}, {"a": math.inf}, list(map(str, range(1001)))]
)
def test_a_plan_that_is_none_is_refused(progress: Progress, plan: Any) -> None:
    with pytest.raises(ValueError, match=r"plan of|weight"):
        progress.plan(plan)


# Without one


def test_without_a_plan_there_is_always_one_more_step_to_expect(progress: Progress) -> None:
    seen = []
    for number in range(4):
        with progress.step(f"step {number}"):
            pass
        seen.append(fraction(progress))
    assert seen == [0.5, 0.6666, 0.75, 0.8]


def test_without_a_plan_a_step_weighs_as_it_says(progress: Progress) -> None:
    with progress.step("light"):
        pass
    with progress.step("heavy", weight=3):
        pass
    assert fraction(progress) == math.floor(4 / 7 * 10_000) / 10_000


def test_a_heavier_step_than_any_before_lets_the_bar_stand_not_go_back(progress: Progress) -> None:
    with progress.step("light"):
        pass
    assert fraction(progress) == 0.5
    with progress.step("heavy", weight=9):
        assert fraction(progress) == 0.5
        progress.update(1, 9)
        assert fraction(progress) == 0.5
    assert fraction(progress) == math.floor(10 / 19 * 10_000) / 10_000


def test_steps_of_one_unit_each_leave_the_count_its_word(progress: Progress) -> None:
    seen = []
    with progress.step("files"):
        for name in progress.track(["a", "b", "c", "d"]):
            with progress.step(name):
                seen.append(fraction(progress))
    assert seen == [0, 0.2, 0.3333, 0.4285]  # a quarter each, of this step and one more
    assert fraction(progress) == 0.5


def test_what_is_over_when_a_job_succeeds_is_all_of_it(progress: Progress) -> None:
    with progress.step("only"):
        pass
    progress.complete()
    assert fraction(progress) == 1


def test_a_job_without_steps_has_no_fraction(progress: Progress) -> None:
    progress.update(1, 2)
    progress.complete()
    assert told(progress) == {"done": 1, "total": 2, "unit": None, "note": None}


# What is shown


def test_the_counts_shown_are_those_of_the_step_that_was_begun_last(progress: Progress) -> None:
    progress.update(1, 2, unit="files")
    with progress.step("read"):
        assert told(progress)["done"] == 0
        progress.update(5, 10, unit="lines")
        assert told(progress) | {"fraction": 0} == {
            "done": 5,
            "total": 10,
            "unit": "lines",
            "note": None,
            "fraction": 0,
            "step": {"name": "read", "path": ["read"]},
        }
    assert told(progress)["unit"] == "files"


def test_the_counts_of_the_last_step_stay_where_the_job_has_none(progress: Progress) -> None:
    with progress.step("read"):
        progress.update(10, 10, unit="lines")
    assert (told(progress)["done"], told(progress)["unit"], "step" in told(progress)) == (10, "lines", False)


def test_names_and_paths_are_cut(progress: Progress) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(8):
            stack.enter_context(progress.step(f"{number}" * 60))
        step = told(progress)["step"]
    assert step["name"] == "7" * 39 + "…"
    assert step["path"] == [str(number) * 39 + "…" for number in (0, 1, 2, 3, 7)]


def test_the_longest_bar_leaves_room_in_a_summary_of_four_kib(progress: Progress) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(progress.step("x" * 1000))
        progress.update(10**18, 10**18, unit="u" * 1000, note="n" * 1000)
        assert len(JSON.encode(told(progress))) < 1000


def test_steps_are_not_nested_without_end(progress: Progress) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(progress.step("deeper"))
        with pytest.raises(ValueError, match="50 levels"):
            stack.enter_context(progress.step("too deep"))
        assert fraction(progress) == 0


def test_nonsense_costs_nobody_the_bar(progress: Progress) -> None:
    with progress.step(object()):  # type: ignore[arg-type]
        progress.update("x", "y")  # type: ignore[arg-type]
        check_value(told(progress))


# Who is meant


def test_a_step_may_be_spoken_of_by_its_name(progress: Progress) -> None:
    progress.plan(["a", "b"])
    with progress.step("a") as a, progress.step("b") as b:  # b is a step of a
        a.update(0, 4, unit="files")
        b.advance(3)
        b.note("x")
        assert told(progress)["done"] == 3
        for _ in a.track(range(2)):
            pass
    assert told(progress)["done"] == 2


def test_coroutines_beside_each_other_fill_each_their_own_step(progress: Progress) -> None:
    async def part(name: str, done: int) -> None:
        with progress.step(name):
            await asyncio.sleep(0)
            progress.update(done, 4)
            await asyncio.sleep(0)
            seen[name] = fraction(progress)
            await asyncio.sleep(0)

    async def both() -> None:
        progress.plan(["a", "b"])
        await asyncio.gather(part("a", 1), part("b", 3))

    seen: dict[str, float] = {}
    asyncio.run(both())
    assert seen == {"a": 0.5, "b": 0.5}
    assert fraction(progress) == 1


def test_a_coroutine_that_outlives_the_step_it_was_started_in_speaks_of_the_level_above(progress: Progress) -> None:
    async def later() -> None:
        await asyncio.sleep(0)
        progress.update(7)

    async def main() -> None:
        with progress.step("outer"):
            with progress.step("inner"):
                task = asyncio.ensure_future(later())
            await task
            assert told(progress)["done"] == 7

    asyncio.run(main())


def test_a_thread_that_a_step_has_started_speaks_of_that_step(progress: Progress) -> None:
    progress.plan(["a", "b"])
    with progress.step("a"):
        progress.update(0, 2)
        thread = threading.Thread(target=progress.advance)
        thread.start()
        thread.join()
        assert fraction(progress) == 0.25


def test_steps_of_one_job_are_not_another_jobs(progress: Progress) -> None:
    other = Progress("02J", 1, lambda: None)
    with progress.step("mine"):
        other.update(5)
    assert told(other) == {"done": 5, "total": None, "unit": None, "note": None}
    assert told(progress)["done"] == 0


def test_a_step_that_is_to_end_says_so_as_any_call_does(progress: Progress) -> None:
    with progress.step("a") as step:
        progress.stop()
        with pytest.raises(JobCancelled):
            step.advance()
    with pytest.raises(JobCancelled):
        progress.step("b")


def test_beginning_and_ending_a_step_wakes_the_runner() -> None:
    woken: list[int] = []
    progress = Progress("01J", 1, lambda: woken.append(1))
    with progress.step("a"):
        assert len(woken) == 1
        progress.take()
    assert len(woken) == 2


def test_a_bar_of_another_process_is_taken_as_it_is(progress: Progress) -> None:
    there = Progress("01J", 1, lambda: None)
    with there.step("a"):
        there.update(1, 2)
        progress.relay(there.take(), [])
        assert progress.take() == there.take()
    progress.complete()
    assert fraction(progress) == 1


# Whatever a task does

names = st.sampled_from(["a", "b", "c", "d"])
weights = st.sampled_from([0.001, 0.5, 1, 3, 1000])
numbers = st.one_of(st.integers(-5, 200), st.floats(allow_nan=True), st.none())
Act = Callable[[Progress, list[Any]], None]


def begin(name: str, weight: float) -> Act:
    def act(progress: Progress, stack: list[Any]) -> None:
        if len(stack) < 6:
            step = progress.step(name, weight)
            step.__enter__()
            stack.append(step)

    return act


def end(failing: bool) -> Act:
    def act(progress: Progress, stack: list[Any]) -> None:
        if stack:
            error = OSError() if failing else None
            stack.pop().__exit__(type(error) if error else None, error, None)

    return act


def count(done: Any, total: Any, at: int) -> Act:
    def act(progress: Progress, stack: list[Any]) -> None:
        voice: Counting = stack[at % len(stack)] if stack and at else progress
        voice.update(done, total)

    return act


def plan(steps: dict[str, float]) -> Act:
    return lambda progress, stack: progress.plan(steps)


acts = st.lists(
    st.one_of(
        st.builds(begin, names, weights),
        st.builds(end, st.booleans()),
        st.builds(count, numbers, numbers, st.integers(0, 5)),
        st.builds(plan, st.dictionaries(names, weights, min_size=1)),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(acts)
def test_the_bar_never_goes_back_and_is_whole_when_the_job_has_succeeded(done: list[Act]) -> None:
    progress, stack = Progress("01J", 1, lambda: None), []  # type: ignore[var-annotated]
    seen: list[float] = []
    for act in done:
        act(progress, stack)
        bar = progress.take()
        if bar is not None and "fraction" in bar:
            check_value(bar)
            seen.append(bar["fraction"])
    while stack:
        stack.pop().__exit__(None, None, None)
        seen.append(fraction(progress))
    assert all(0 <= one <= 1 for one in seen)
    assert all(one <= other for one, other in pairwise(seen))
    progress.complete()
    if seen:
        assert fraction(progress) == 1


@settings(deadline=None)
@given(st.dictionaries(names, weights, min_size=1), st.data())
def test_a_plan_that_is_kept_to_fills_the_bar_whatever_the_weights(
    planned: dict[str, float], data: st.DataObject
) -> None:
    progress = Progress("01J", 1, lambda: None)
    progress.plan(planned)
    for name in data.draw(st.permutations(list(planned))):
        with progress.step(name):
            for _ in progress.track(range(data.draw(st.integers(0, 3)))):
                assert fraction(progress) < 1
    assert fraction(progress) == 1
