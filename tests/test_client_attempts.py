"""What is asked again, and when."""

import pytest

from windsock.attempts import Attempts
from windsock.backoff import Backoff
from windsock.errors import Busy, Unreachable

LOST = Unreachable("lost", sent=True)
ABSENT = Unreachable("nobody", reason="absent")


def busy(after_s: float | None = None) -> Busy:
    return Busy("not now", code="unavailable", status=503, after_s=after_s)


def attempts(*, repeatable: bool = True, until: float = 10.0) -> Attempts:
    return Attempts(repeatable, until, Backoff(dice=lambda low, high: high))


def test_waits_grow_and_end_with_the_time() -> None:
    tried = attempts()
    assert [tried.delay_s(ABSENT, now) for now in (0.0, 1.0, 3.0)] == [0.5, 1.0, 2.0]
    assert tried.delay_s(ABSENT, 9.5) == 0.5  # the last try comes at the end of the time
    assert tried.delay_s(ABSENT, 10.0) is None


@pytest.mark.parametrize(("repeatable", "again"), [(True, True), (False, False)])
def test_a_lost_answer_is_asked_for_again_only_where_that_does_no_harm(repeatable: bool, again: bool) -> None:
    assert (attempts(repeatable=repeatable).delay_s(LOST, 0.0) is not None) is again


@pytest.mark.parametrize("failure", [ABSENT, busy()])
def test_what_was_not_done_may_always_be_asked_again(failure: Busy | Unreachable) -> None:
    assert attempts(repeatable=False).delay_s(failure, 0.0) is not None


def test_a_server_is_left_alone_for_as_long_as_it_asks() -> None:
    assert attempts().delay_s(busy(after_s=3.0), 0.0) == 3.5
    assert attempts().delay_s(busy(after_s=11.0), 0.0) is None  # that is too long for us


def test_without_time_there_is_one_try() -> None:
    assert attempts(until=0.0).delay_s(ABSENT, 0.0) is None
