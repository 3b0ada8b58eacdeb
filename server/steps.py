"""The steps of a job, and the one bar they roll up into. Pure.

A bar is one level: what it counts itself, and the steps below it. How far a level is:

- with a plan: the shares of its steps that are filled, of all shares. A step that the plan does not name has none.
- while it counts and knows its total: done of total; steps below it are of one unit and say nothing more.
- without either: the weight that is done, of that and of one more step, as heavy as the heaviest so far. Nobody knows
  what is to come: the bar comes nearer to its end with each step, and is there only when the level is left.

The bar of the job is the top level's and never goes back: where it would, it stands.
"""

import math
import threading
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Optional

from server.job import MAX_NOTE, MAX_PATH, MAX_STEP, MAX_UNIT

MAX_PLAN = 1000  # steps that one level may plan
MAX_NESTED = 50  # steps around a step

Planned = Mapping[str, float] | Iterable["str | tuple[str, float]"]


class Bar:
    """How far one level of a job is."""

    __slots__ = (
        "_heaviest",
        "_open",
        "_past",
        "_plan",
        "closed",
        "depth",
        "done",
        "name",
        "note",
        "parent",
        "roll",
        "total",
        "unit",
        "weight",
    )

    def __init__(self, roll: "Roll", parent: Optional["Bar"] = None, name: str = "", weight: float = 1) -> None:
        self.roll = roll  # what it is part of
        self.parent = parent  # None for that of the job itself
        self.name = name
        self.weight = weight  # of this step among those of its level
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.closed = False  # the step is over
        self.done: float = 0
        self.total: float | None = None
        self.unit: str | None = None
        self.note: str | None = None
        self._plan: dict[str, list[float]] | None = None  # name: weight, part of it that is filled (0 … 1)
        self._open: dict[Bar, None] = {}  # steps below it that are not over
        self._past: float = 0  # weight done by steps that are over
        self._heaviest: float = 0  # weight of a step so far

    @property
    def path(self) -> list[str]:
        """The names of the steps around it, outermost first, and its own."""
        return [] if self.parent is None else [*self.parent.path, self.name]

    @property
    def _counted(self) -> float | None:
        """Done of total, 0 … 1; None where no total is known."""
        total = 0 if self.total is None else number(self.total)
        return None if total <= 0 else min(1.0, max(0.0, number(self.done) / total))

    @property
    def planned(self) -> bool:
        """Whether it knows how much there is in all."""
        return self._plan is not None or self._counted is not None

    def plan(self, steps: Planned) -> None:
        """What steps there will be, by name, and their weights (1 where none is given)."""
        pairs = steps.items() if isinstance(steps, Mapping) else [(s, 1.0) if isinstance(s, str) else s for s in steps]
        made = {words(name, MAX_STEP): [checked(weight), 0.0] for name, weight in pairs}
        if not 0 < len(made) <= MAX_PLAN:
            raise ValueError(f"a plan of {len(made)} steps; it must have 1 to {MAX_PLAN}, with different names")
        self._plan = made

    def fraction(self) -> float:
        """How far it is, 0 … 1."""
        if self._plan is not None:
            return self._planned(self._plan)
        counted = self._counted
        if counted is not None and (counted < 1 or not self._heaviest):
            return counted
        if not self._heaviest:
            return 0.0
        past = self._past + sum(step.weight * step.fraction() for step in self._open)
        return past / (past + self._heaviest)

    def _planned(self, plan: Mapping[str, list[float]]) -> float:
        for step in self._open:
            self._fill(step, step.fraction())
        return min(1.0, sum(w * filled for w, filled in plan.values()) / sum(w for w, _ in plan.values()))

    def _fill(self, step: "Bar", fraction: float) -> None:
        if self._plan is not None and step.name in self._plan:
            share = self._plan[step.name]
            share[1] = max(share[1], fraction)

    def begin(self, step: "Bar") -> None:
        """A step of this level begins."""
        self._open[step] = None
        self._heaviest = max(self._heaviest, step.weight)

    def end(self, step: "Bar", fraction: float) -> None:
        """A step of this level is over, with so much of it done."""
        del self._open[step]
        self._past += step.weight * fraction
        self._fill(step, fraction)

    def counts(self) -> dict[str, Any]:
        """What it counts, as the summary shows it."""
        return {
            "done": number(self.done),
            "total": None if self.total is None else number(self.total),
            "unit": None if self.unit is None else words(self.unit, MAX_UNIT),
            "note": None if self.note is None else words(self.note, MAX_NOTE),
        }


_HERE: ContextVar[Bar | None] = ContextVar("windsock_step", default=None)


class Roll:
    """Owns the steps of one attempt, and what their bars roll up into."""

    __slots__ = ("_last", "_lock", "_open", "_peak", "_shown", "_thread", "top", "used")

    def __init__(self) -> None:
        self._lock = threading.RLock()  # steps begin and end in the task's threads; the runner reads
        self._open: dict[Bar, None] = {}  # in the order in which they were begun
        self._last: Bar | None = None  # of these, the one begun last
        self._thread = threading.get_ident()  # where contexts tell who speaks: that of the loop, or of the function
        self._peak = 0.0  # the fraction never goes back
        self.top = Bar(self)
        self._shown = self.top  # whose counts the summary shows
        self.used = False  # there is a plan, or was a step

    def here(self) -> Bar:
        """The bar that the caller speaks of: that of the step around it.

        A thread that the task has started knows of none: it speaks of the step that was begun last.
        """
        bar = _HERE.get()
        if bar is None or bar.roll is not self:
            return self.top if threading.get_ident() == self._thread else self._last or self.top
        while bar.closed and bar.parent is not None:
            bar = bar.parent
        return bar

    def plan(self, bar: Bar, steps: Planned) -> None:
        """What steps a level will have."""
        with self._lock:
            bar.plan(steps)
            self.used = True

    def begin(self, parent: Bar, name: object, weight: float) -> Bar:
        """Begin a step below `parent`; the caller is in it from here on."""
        bar = Bar(self, parent, words(name, MAX_STEP), checked(weight))
        if bar.depth > MAX_NESTED:
            raise ValueError(f"steps within steps: {MAX_NESTED} levels at most")
        with self._lock:
            parent.begin(bar)
            self._open[bar] = None
            self._last = self._shown = bar
            self.used = True
        _HERE.set(bar)
        return bar

    def end(self, bar: Bar, *, whole: bool) -> None:
        """A step is over; not `whole`: it was left by an exception, and only what it had done counts."""
        with self._lock:
            bar.parent.end(bar, 1.0 if whole else bar.fraction())  # type: ignore[union-attr]  # the top is not ended
            bar.closed = True
            del self._open[bar]
            self._last = next(reversed(self._open), None)
            if self._last is not None:
                self._shown = self._last
            elif self.top.total is not None or self.top.done or self.top.note is not None:
                self._shown = self.top  # else the counts of the last step stay
        if _HERE.get() is bar:
            _HERE.set(bar.parent)

    def _fraction(self) -> float:
        self._peak = max(self._peak, self.top.fraction())
        return self._peak

    def told(self) -> dict[str, Any]:
        """The bar as the summary shows it."""
        if not self.used:
            return self.top.counts()
        with self._lock:
            told = self._shown.counts()
            told["fraction"] = math.floor(self._fraction() * 10_000) / 10_000
            if not self.top.planned:
                told["vague"] = True  # for the runner: what is left cannot be told from it
            if self._last is not None:
                path = self._last.path
                told["step"] = {"name": path[-1], "path": path[: MAX_PATH - 1] + path[MAX_PATH - 1 :][-1:]}
            return told


def checked(weight: float) -> float:
    """A weight, if it is one.

    Raises:
        ValueError: it is not a number above 0.
    """
    if not isinstance(weight, int | float) or not math.isfinite(weight) or weight <= 0:
        raise ValueError(f"a step's weight is a number above 0, not {weight!r}")
    return float(weight)


def number(value: float) -> float | int:
    """Numbers of every kind (numpy's too) as JSON knows them; nonsense as 0."""
    if type(value) is int and abs(value) < 2**63:
        return value
    try:
        known = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    if not math.isfinite(known):
        return 0
    return int(known) if known.is_integer() and abs(known) < 2**53 else known


def words(said: object, limit: int) -> str:
    """What a task gave as a text. It is read by the runner, which nothing in it may throw off."""
    try:
        text = clean(str(said))
        return text if len(text) <= limit else f"{text[: limit - 1]}…"
    except Exception:
        return "?"


def clean(text: str) -> str:
    """Text that every codec carries: lone surrogates (from file names) are replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
