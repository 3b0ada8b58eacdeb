"""Ends: what a function returned or raised, also in another process."""

import pytest

from server.codec import MSGPACK
from server.job import JobState
from server.outcome import End, TaskFailed, is_a, name_of, raised, returned, type_names


class Broken(ValueError):
    """Of a task file."""


def there(error: Exception) -> TaskFailed:
    """The exception, as one that was raised in another process."""
    return TaskFailed(End(JobState.FAILED), type_names(error))


def test_an_exception_of_another_process_is_known_by_its_class_and_their_bases() -> None:
    error = there(Broken("x"))
    assert is_a(error, (Broken,))
    assert is_a(error, (OSError, ValueError))
    assert is_a(error, (Exception,))
    assert not is_a(error, (OSError, KeyError))
    assert not is_a(error, ())


def test_one_of_this_process_is_looked_at_itself() -> None:
    assert is_a(Broken("x"), (ValueError,))
    assert not is_a(Broken("x"), (KeyError,))


def test_another_class_of_the_same_name_is_another() -> None:
    other = type("Broken", (ValueError,), {"__module__": "elsewhere"})
    assert not is_a(there(Broken("x")), (other,))


def test_a_log_line_names_the_class() -> None:
    assert name_of(there(Broken("x"))) == name_of(Broken("x")) == "Broken"


def test_what_another_process_judged_stands() -> None:
    end = End(JobState.SUCCEEDED, MSGPACK.encode("x" * 100), 102)
    assert returned(end, 10) is end
    assert raised(TaskFailed(end), ()) is end


@pytest.mark.parametrize("value", [1, "text", [1, {"a": None}]])
def test_a_json_value_is_a_success(value: object) -> None:
    end = returned(value, 1000)
    assert (end.state, MSGPACK.decode(end.outcome or b"")) == (JobState.SUCCEEDED, value)
    assert end.result_bytes == len(end.outcome or b"")
