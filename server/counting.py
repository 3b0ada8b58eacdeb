"""What a task may say of how far it is, of the whole job or of one step of it. Pure: local writes."""

from collections.abc import AsyncIterable, Iterable, Sized
from types import TracebackType
from typing import Self, TypeVar

from server.steps import Bar, Planned
from server.track import Track

Item = TypeVar("Item")


class JobCancelled(BaseException):
    """Raised by the next progress call of a thread job that was cancelled or ran out of time.

    A BaseException, like `asyncio.CancelledError`: `except Exception` in a task must not swallow it.
    """


class Counting:
    """Counts units and names steps. Which bar that concerns, and who is told, is up to those below."""

    __slots__ = ()

    def _reach(self) -> Bar:
        """The bar that is meant.

        Raises:
            JobCancelled: the job was asked to end.
        """
        raise NotImplementedError

    def _touch(self) -> None:
        """Something was said."""
        raise NotImplementedError

    def update(
        self,
        done: float | None = None,
        total: float | None = None,
        *,
        unit: str | None = None,
        note: str | None = None,
    ) -> None:
        """Say how far the job, or the step that runs, is. What is not given stays as it was.

        Args:
            done: units of work finished.
            total: units of work in all; leave it out while unknown.
            unit: what is counted, such as "images" (20 characters are kept).
            note: what is being done now (200 characters are kept).

        Raises:
            JobCancelled: the job was asked to end (thread jobs).
        """
        bar = self._reach()
        if done is not None:
            bar.done = done
        if total is not None:
            bar.total = total
        if unit is not None:
            bar.unit = unit
        if note is not None:
            bar.note = note
        self._touch()

    def advance(self, by: float = 1, note: str | None = None) -> None:
        """Say that `by` more units are done."""
        bar = self._reach()
        bar.done += by
        if note is not None:
            bar.note = note
        self._touch()

    def note(self, text: str) -> None:
        """Say what is being done now."""
        self.update(note=text)

    def track(
        self,
        items: Iterable[Item] | AsyncIterable[Item],
        total: float | None = None,
        *,
        unit: str | None = None,
    ) -> Track[Item]:
        """Go through `items` and count them: `for item in progress.track(rows)`, or `async for` in a coroutine.

        `async for` takes plain iterables too, and lets the loop go on every 10 ms, so that a long loop of short steps
        blocks nobody. Inside a step they fill that step's share.

        Args:
            total: how many there are; taken from `len(items)` where it has one.
        """
        if total is None and isinstance(items, Sized):
            total = len(items)
        bar = self._reach()
        bar.total = total  # even None: what was tracked before says nothing of these
        at = At(self, bar)
        at.update(0, unit=unit)
        return Track(at, items)

    def plan(self, steps: Planned) -> None:
        """Say which steps there will be, so that each has its share of the bar from the start.

        Args:
            steps: names, or names with weights: `["fetch", "resize"]`, `{"fetch": 1, "resize": 3}`. At most 1,000.

        Raises:
            ValueError: there are none, or too many; a weight is not above 0.
        """
        bar = self._reach()
        bar.roll.plan(bar, steps)
        self._touch()

    def step(self, name: str, weight: float = 1) -> "Step":
        """A part of the job: `with progress.step("resize", weight=3):`. What is said inside fills its share of the bar.

        Args:
            name: what it is (40 characters are kept).
            weight: its share, as against the other steps of its level; a plan that names it knows better.
        """
        return Step(self, name, weight)


class At(Counting):
    """Says how far one bar is, wherever the caller stands."""

    __slots__ = ("_bar", "_voice")

    def __init__(self, voice: Counting, bar: Bar) -> None:
        self._voice = voice
        self._bar = bar

    def _reach(self) -> Bar:
        self._voice._reach()  # it may have to end
        return self._bar

    def _touch(self) -> None:
        self._voice._touch()


class Step(At):
    """One step of a job, inside a `with`."""

    __slots__ = ("_name", "_weight")

    def __init__(self, parent: Counting, name: str, weight: float) -> None:
        super().__init__(parent, parent._reach())
        self._name = name
        self._weight = weight

    def __enter__(self) -> Self:
        parent = self._bar
        self._bar = parent.roll.begin(parent, self._name, self._weight)
        self._touch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.roll.end(self._bar, whole=kind is None)
        self._voice._touch()
