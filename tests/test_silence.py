"""What tells a step that blocks from one that is in the way of nobody."""

import threading
import time

import pytest

from server.silence import Bell, Effort, Labour


def effort(own=0.0, whole=0.0, waited=0.0):
    return Effort(own, whole, waited)


@pytest.mark.parametrize(
    ("after", "moved", "hindered"),
    [
        (effort(), False, False),  # it sleeps
        (effort(), True, False),  # again and again
        (effort(own=0.3, whole=0.3), True, False),  # it computes
        (effort(waited=0.2), False, True),  # the machine was busy elsewhere
        (effort(own=0.05, whole=0.3), True, True),  # threads took turns with it
        (effort(own=0.0, whole=0.3), False, False),  # it sleeps while a thread computes
    ],
)
def test_a_step_is_not_to_blame_for_what_kept_it_waiting(after, moved, hindered):
    assert effort().hinders(after, 0.3, 0.2, moved=moved) is hindered


def test_the_thread_that_works_is_told_from_those_that_wait():
    labour, waits, stop = Labour(), threading.Event(), threading.Event()

    def work():
        while not stop.is_set():
            sum(range(1000))

    threads = [threading.Thread(target=waits.wait), threading.Thread(target=work)]
    for one in threads:
        one.start()
    try:
        labour.look()
        assert not stop.wait(0.3)
        assert labour.most() == threads[1].ident
    finally:
        waits.set()
        stop.set()
        for one in threads:
            one.join()


def test_the_bell_rings_late_behind_code_that_keeps_the_gil():
    bell, rung = Bell(), []
    bell.open(lambda frame: rung.append((bell.late(), frame.f_code.co_name)))
    try:
        bell.wind(0.05)
        sum(range(10**7 * 2))
        assert rung == [(True, "test_the_bell_rings_late_behind_code_that_keeps_the_gil")]
    finally:
        bell.close()


def test_the_bell_is_not_late_in_code_that_lets_signals_in():
    bell, rung = Bell(), []
    bell.open(lambda frame: rung.append(bell.late()))
    try:
        bell.wind(0.05)
        deadline = time.monotonic() + 10
        while not rung and time.monotonic() < deadline:
            sum(range(100))
        assert rung == [False]
    finally:
        bell.close()


def test_there_is_one_bell_in_a_process():
    first, second, rung = Bell(), Bell(), []
    first.open(lambda frame: rung.append("first"))
    second.open(lambda frame: rung.append("second"))
    try:
        second.wind(0.01)
        sum(range(10**6))
        assert rung == []
        second.close()
        first.wind(0.01)
        deadline = time.monotonic() + 10
        while not rung and time.monotonic() < deadline:
            sum(range(1000))
        assert rung == ["first"]
    finally:
        first.close()
