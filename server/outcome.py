"""How an attempt ended: from what a function returned or raised to the end the store keeps. Pure.

A function that runs in another process is judged there, by the same rules; what crosses over is the `End`.
"""

import traceback
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from server.codec import MAX_DEPTH, MSGPACK, check_value
from server.job import ErrorCode, JobState
from server.tree import ChildFailed

MAX_MESSAGE = 4000  # characters of an error message
MAX_TRACEBACK = 16_000  # characters of a traceback; its end is what helps


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended."""

    state: JobState
    outcome: bytes | None = None  # packed result or error
    result_bytes: int | None = None
    delay_s: float = 0.0  # of SCHEDULED: when another attempt follows; of FAILED: when the exception asked for one


class TaskFailed(Exception):
    """A function ended so in another process. Its exception stays there; its type is known by name."""

    def __init__(self, end: End, type_names: Sequence[str] = ()) -> None:
        super().__init__(type_names[0] if type_names else "no exception")
        self.end = end
        self.type_names = tuple(type_names)  # of the exception's class and of its bases, see `type_name`
        self.after_s = end.delay_s or None  # as `Retry` has it


class ProcessDied(Exception):
    """The process of a task ended under it: it was killed, ran out of memory, crashed or left by itself."""


def type_name(kind: type) -> str:
    """What a class is called in all processes that loaded the same tasks."""
    return f"{kind.__module__}.{kind.__qualname__}"


def type_names(error: BaseException) -> list[str]:
    """The names of an exception's class and of its bases, its own first."""
    return [type_name(kind) for kind in type(error).__mro__ if issubclass(kind, BaseException)]


def is_a(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    """Whether an exception is one of these, wherever it was raised."""
    if isinstance(error, TaskFailed):
        return any(type_name(kind) in error.type_names for kind in kinds)
    return isinstance(error, kinds)


def name_of(error: BaseException) -> str:
    """The class of an exception as a log line names it."""
    name = error.type_names[0] if isinstance(error, TaskFailed) and error.type_names else type(error).__name__
    return name.rpartition(".")[2]


def returned(result: Any, max_bytes: int) -> End:
    """The end that a result means: success, if it is a JSON value of at most `max_bytes` packed."""
    if isinstance(result, End):
        return result  # of another process
    try:
        value = to_jsonable_python(_finite(result))
        check_value(value, MAX_DEPTH)
        packed = MSGPACK.encode(value)
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        return failed(ErrorCode.BAD_RESULT, f"the result ({type(result).__name__}) is not a JSON value: {error}")
    if len(packed) > max_bytes:
        return failed(
            ErrorCode.RESULT_TOO_LARGE,
            f"a result of {len(packed)} bytes; the limit is {max_bytes} (result_bytes): store it and return where",
        )
    return End(JobState.SUCCEEDED, packed, len(packed))


def _finite(result: Any) -> Any:
    if isinstance(result, Iterator):  # it may have no end, and going through it would block the loop
        raise TypeError("an iterator has no value of its own: return a list")
    return result


def raised(error: BaseException, callers: Collection[str]) -> End:
    """The failure an exception means, with the traceback from the task's own frame on.

    Args:
        callers: file names, or their ends, of the frames above the task's.
    """
    if isinstance(error, TaskFailed):
        return error.end
    trace = error.__traceback__
    while (
        trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename.endswith(tuple(callers))
    ):
        trace = trace.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, trace))
        message = f"{type(error).__name__}: {error}"
    except Exception:  # a __str__ that raises
        text, message = "", type(error).__name__
    asked_s = getattr(error, "after_s", None)  # of `Retry`, which this rung does not know
    delay_s = max(float(asked_s), 0.001) if isinstance(asked_s, int | float) else 0.0
    code = ErrorCode.CHILD_FAILED if isinstance(error, ChildFailed) else ErrorCode.EXCEPTION
    return replace(failed(code, message, text), delay_s=delay_s)


def failed(code: ErrorCode, message: str, trace: str | None = None) -> End:
    """A failure in words."""
    error = {"code": code.value, "message": _text(message)[:MAX_MESSAGE]}
    if trace:
        error["traceback"] = _text(trace)[-MAX_TRACEBACK:]
    return End(JobState.FAILED, MSGPACK.encode(error))


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
