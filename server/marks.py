"""A mark on each attempt, by which its code is known again on any stack, and in whatever its function starts.

An attempt runs under a function whose name is its place: `place_17`. That name stands in its frames. What the function
starts on the loop (tasks, callbacks) inherits a context variable. Neither costs anything per step.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import chain
from types import CodeType, FrameType, FunctionType
from typing import Any, TypeVar

from server.frames import Spot
from server.registry import Task

Result = TypeVar("Result")
PLACES = 512  # a place is used again after so many attempts; that of a stack was begun before the stack was taken
FILE = __file__  # in which all places are
_NAME = "place_"


@dataclass(eq=False, slots=True)
class Mark:
    """One attempt, as those know it who look at stacks."""

    job_id: str
    attempt: int
    task: Task
    begun: float  # monotonic seconds
    place: "Place"
    running: bool = True  # its function has not returned
    work: Any = None  # the asyncio task it runs in
    thread: int | None = None  # identifier of the thread its function has begun in; None: on the loop
    block: Any = None  # the time it blocks the loop now, or did a moment ago and nobody was told yet
    wish: str | None = None  # how this whole run is to be profiled
    traced: Any = None  # what traces its calls, if anything does
    made: Any = None  # the profile that its process has made
    blocks: list[float] = field(default_factory=list)  # seconds of each time that was told …
    worst: Any = None  # … and the longest of them

    @property
    def own_file(self) -> str:
        """The file of its task."""
        return code_of(self.task).co_filename


def code_of(task: Task) -> CodeType:
    """The code of a task's function, below its decorators."""
    function: Any = task.function
    while not hasattr(function, "__code__") or hasattr(function, "__wrapped__"):
        below = getattr(function, "__wrapped__", None) or getattr(function, "func", None)
        if below is None:
            break
        function = below
    code: CodeType = getattr(function, "__code__", _call.__code__)
    return code


async def _wait(work: Callable[[], Awaitable[Any]]) -> Any:
    return await work()


def _call(work: Callable[[], Any]) -> Any:
    return work()


class Place:
    """Two functions with one name of their own: `wait` runs a coroutine under it, `call` a function."""

    __slots__ = ("call", "number", "wait")

    def __init__(self, number: int) -> None:
        self.number = number
        self.wait: Callable[[Callable[[], Awaitable[Any]]], Coroutine[Any, Any, Any]] = _named(_wait, number)
        self.call: Callable[[Callable[[], Any]], Any] = _named(_call, number)


def _named(template: Any, number: int) -> Any:
    return FunctionType(template.__code__.replace(co_name=f"{_NAME}{number}"), {})


def place_in(frames: Iterable[FrameType]) -> int | None:
    """The place under which a live stack runs."""
    return next((number for frame in frames if (number := _number(frame.f_code)) is not None), None)


def place_among(spots: Sequence[Spot]) -> int | None:
    """The same of a stack that was written down."""
    return next((int(one.function[len(_NAME) :]) for one in spots if _is_place(one.file, one.function)), None)


def _number(code: CodeType) -> int | None:
    return int(code.co_name[len(_NAME) :]) if _is_place(code.co_filename, code.co_name) else None


def _is_place(file: str, function: str) -> bool:
    return file == __file__ and function.startswith(_NAME)


class Marks:
    """Owns the marks of a process's attempts. The loop writes, other threads only look up."""

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}  # made when they are needed
        self._marks: list[Mark | None] = [None] * PLACES
        self._next = 0
        self.running: dict[str, Mark] = {}  # by job id

    def begin(self, job_id: str, attempt: int, task: Task, now: float) -> Mark:
        """A new mark."""
        number = self._free_place()
        self._next = (number + 1) % len(self._marks)
        mark = self._marks[number] = Mark(job_id, attempt, task, now, self._place(number))
        self.running[job_id] = mark
        return mark

    def _free_place(self) -> int:
        """The next one whose attempt has ended: a long one keeps its place."""
        for number in chain(range(self._next, len(self._marks)), range(self._next)):
            mark = self._marks[number]
            if mark is None or not mark.running:
                return number
        self._marks += [None] * PLACES
        return len(self._marks) - PLACES

    def _place(self, number: int) -> Place:
        if number not in self._places:
            self._places[number] = Place(number)
        return self._places[number]

    def end(self, mark: Mark) -> None:
        """Its function has returned."""
        mark.running = False
        mark.work = None
        if self.running.get(mark.job_id) is mark:
            del self.running[mark.job_id]

    def at(self, place: int | None, taken: float) -> Mark | None:
        """Whose stack runs under a place; None where that is not known any more.

        Args:
            taken: monotonic seconds when the stack was seen.
        """
        mark = None if place is None else self._marks[place]
        return mark if mark is not None and mark.begun <= taken else None

    def in_thread(self, thread: int) -> Mark | None:
        """Whose function a thread of the pool runs, or has just run."""
        return next((mark for mark in list(self.running.values()) if mark.thread == thread), None)


MARK: ContextVar[Mark | None] = ContextVar("windsock_mark", default=None)
