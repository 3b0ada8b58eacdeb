"""Ends that are held for a while: within their bounds, the oldest first to go."""

from hypothesis import given
from hypothesis import strategies as st

from server.verdicts import Verdicts


def test_an_end_is_held_for_its_time() -> None:
    held: Verdicts[str] = Verdicts(60, 10, 1000)
    held.add("a", "A", 1, 0)
    held.add("b", "B", 1, 30)
    held.forget(61)
    assert (list(held), held["b"], held.size) == (["b"], "B", 1)


def test_over_the_number_the_oldest_goes() -> None:
    held: Verdicts[str] = Verdicts(60, 2, 1000)
    for job_id in "abc":
        held.add(job_id, job_id, 1, 0)
    assert list(held) == ["b", "c"]


def test_over_the_bytes_the_oldest_go() -> None:
    held: Verdicts[str] = Verdicts(60, 10, 100)
    for job_id, size in (("a", 40), ("b", 40), ("c", 90), ("d", 101)):
        held.add(job_id, job_id, size, 0)
    assert (list(held), held.size) == ([], 0)


def test_a_second_end_of_a_job_takes_the_place_of_the_first() -> None:
    held: Verdicts[str] = Verdicts(60, 10, 100)
    held.add("a", "one", 10, 0)
    held.add("a", "two", 20, 1)
    assert (len(held), held["a"], held.size) == (1, "two", 20)


def test_what_is_void_is_dropped() -> None:
    held: Verdicts[str] = Verdicts(60, 10, 100)
    held.add("a", "A", 10, 0)
    held.discard("a")
    held.discard("b")
    assert ("a" in held, held.size) == (False, 0)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 50), st.floats(0, 20)), max_size=40))
def test_the_bounds_hold_whatever_comes(steps: list[tuple[str, int, float]]) -> None:
    held: Verdicts[int] = Verdicts(60, 4, 100)
    sizes: dict[str, int] = {}
    now = 0.0
    for job_id, size, wait in steps:
        now += wait
        held.add(job_id, size, size, now)
        sizes[job_id] = size
        assert held.size == sum(sizes[one] for one in held) <= 100
        assert len(held) <= 4
