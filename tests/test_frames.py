"""Stacks as data: what a frame was doing, and whose it is."""

import asyncio
import gc
import sys
import threading

import pytest

from server.frames import Spot, called_at, chain, culprit, spots_of, stack_in, stack_of, step_in, text_of


def here():
    return spots_of(stack_of(sys._getframe()))


class Thing:
    def show(self, value=None):
        return here()


def test_a_frame_says_what_it_was_calling():
    spots = Thing().show(len("x"))
    mine = next(spot for spot in spots if spot.function.startswith("test_a_frame"))
    assert called_at(mine) == "show"
    assert mine.code == 'spots = Thing().show(len("x"))'
    thing = Thing()
    spots = thing.show()
    mine = next(spot for spot in spots if spot.function.startswith("test_a_frame"))
    assert called_at(mine) == "thing.show"


def test_what_is_no_call_has_no_name():
    spots = next(iter([here()]))
    inside = [spot for spot in spots if spot.file == __file__][-2]
    assert called_at(inside) in ("", "here")


def test_the_frame_to_name_is_the_innermost_of_the_tasks_own_file():
    spots = [Spot("/app/jobs.py", 1, "job"), Spot("/app/more.py", 2, "more"), Spot(threading.__file__, 3, "wait")]
    assert culprit(spots, "/app/jobs.py") is spots[0]
    assert culprit(spots, "/app/else.py") is spots[1]
    assert culprit(spots[2:], None) is None


def test_a_stack_is_printed_as_python_does():
    line = here.__code__.co_firstlineno + 1
    text = text_of(here()[-1:])
    assert text == f'  File "{__file__}", line {line}, in here\n    return spots_of(stack_of(sys._getframe()))'


# no collection of garbage may come in between: it lets other threads go on, and their frames with them


@pytest.fixture
def collecting():
    """Makes collections of garbage as frequent as can be; where they came, by the function that allocated."""
    where, before = [], gc.get_threshold()

    def on_collection(phase, info):
        where.append(sys._getframe(1).f_code.co_name)

    gc.callbacks.append(on_collection)
    gc.set_threshold(1, 1, 1)
    yield where
    gc.set_threshold(*before)
    gc.callbacks.remove(on_collection)


async def outer():
    await inner()


async def inner():
    await asyncio.sleep(0)


def test_coroutines_are_read_without_a_collection_in_between(collecting):
    coroutine = outer()
    coroutine.send(None)
    assert [spot.function for spot in chain(coroutine)] == ["outer", "inner", "sleep", "__sleep0"]
    coroutine.close()
    assert collecting  # elsewhere
    assert {"_chain", "spot_of", "_columns"} & set(collecting) == set()


def test_the_step_of_a_loop_is_read_without_a_collection_in_between(collecting):
    async def look():
        return step_in(stack_in(threading.get_ident()))

    assert isinstance(asyncio.run(look()), asyncio.Handle)
    assert collecting
    assert {"_handle_in", "stack_of"} & set(collecting) == set()
