"""Marks: an attempt is known again by the place that its stack runs under."""

import asyncio
import sys

from server.frames import stack_of
from server.marks import PLACES, Marks, place_in
from server.registry import make_task
from windsock import task


@task
def job() -> None:
    """Does nothing."""


TASK = make_task(job)


def begun(marks, number=1, now=0.0):
    return [marks.begin(f"job-{i}", 1, TASK, now) for i in range(number)]


def place_of(mark):
    return mark.place.call(lambda: place_in(stack_of(sys._getframe())))


def test_a_stack_says_whose_it_is():
    marks = Marks()
    first, second = begun(marks, 2)
    assert marks.at(place_of(first), 1.0) is first
    assert marks.at(place_of(second), 1.0) is second


def test_so_does_that_of_a_coroutine():
    marks = Marks()
    (mark,) = begun(marks)

    async def inside():
        await asyncio.sleep(0)
        return place_in(stack_of(sys._getframe()))

    assert marks.at(asyncio.run(mark.place.wait(inside)), 1.0) is mark


def test_a_stack_outside_of_any_attempt_is_nobodys():
    assert Marks().at(place_in(stack_of(sys._getframe())), 1.0) is None


def test_who_began_later_is_not_taken_for_who_had_the_place_before():
    marks = Marks()
    (old,) = begun(marks)
    marks.end(old)
    place = place_of(old)
    for mark in begun(marks, PLACES, now=5.0):
        marks.end(mark)
    assert marks.at(place, 1.0) is None


def test_an_attempt_that_runs_long_keeps_its_place():
    marks = Marks()
    (long,) = begun(marks)
    for _ in range(2 * PLACES):
        (short,) = begun(marks)
        assert short.place is not long.place
        marks.end(short)
    assert marks.at(place_of(long), 1.0) is long


def test_there_are_places_for_all_that_run():
    marks = Marks()
    running = begun(marks, 3 * PLACES)
    assert len({mark.place.number for mark in running}) == 3 * PLACES
    assert all(marks.at(mark.place.number, 1.0) is mark for mark in running)
