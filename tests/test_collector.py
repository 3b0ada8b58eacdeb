"""Connections that stay are set aside from the garbage collector; circles among them are found all the same."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from handlers.collector import STEP, WHOLE_S, Collector


class Thing:
    """May be part of a circle."""

    def __init__(self) -> None:
        self.other: Thing | None = None


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def walked(thing: Thing) -> bool:
    return any(one is thing for one in gc.get_objects())


def circle() -> tuple[Thing, "weakref.ref[Thing]"]:
    """Two things that hold each other."""
    one, two = Thing(), Thing()
    one.other, two.other = two, one
    return one, weakref.ref(one)


def test_what_is_there_with_many_new_connections_is_not_walked_any_more() -> None:
    thing, collector = Thing(), Collector(lambda: False)
    collector.settle(STEP - 1, 0.0)
    assert walked(thing)
    collector.settle(STEP, 1.0)
    assert not walked(thing)
    later = Thing()
    collector.settle(2 * STEP - 1, 2.0)
    assert walked(later)
    collector.settle(2 * STEP, 3.0)
    assert not walked(later)


def test_rubbish_is_taken_out_and_not_set_aside() -> None:
    thing, gone = circle()
    del thing
    Collector(lambda: False).settle(STEP, 0.0)
    assert gone() is None


def test_nothing_is_set_aside_while_a_job_runs() -> None:
    thing, runs = Thing(), True
    collector = Collector(lambda: runs)
    collector.settle(10 * STEP, 0.0)
    assert walked(thing)
    runs = False
    collector.settle(10 * STEP, 1.0)
    assert not walked(thing)


def test_once_an_hour_a_circle_that_was_set_aside_is_found() -> None:
    thing, gone = circle()
    collector = Collector(lambda: False)
    collector.settle(STEP, 0.0)
    del thing
    gc.collect()
    collector.settle(STEP, WHOLE_S - 1)
    assert gone() is not None
    collector.settle(STEP, WHOLE_S)
    assert gone() is None


def test_when_most_connections_have_gone_all_is_walked() -> None:
    thing, gone = circle()
    collector = Collector(lambda: False)
    collector.settle(STEP, 0.0)
    del thing
    collector.settle(STEP // 2, 1.0)
    assert gone() is not None
    collector.settle(STEP // 2 - 1, 2.0)
    assert gone() is None


def test_what_is_set_aside_is_freed_when_it_is_let_go_of() -> None:
    thing, collector = Thing(), Collector(lambda: False)
    gone = weakref.ref(thing)
    collector.settle(STEP, 0.0)
    del thing
    assert gone() is None
