"""How fast a job goes, when it will be done, and whether that is as usual. Pure: times are monotonic seconds.

What is said rests on two things: how far the job has come in what time, and how long others of its task have taken.
Early on the others count, later the job itself. Where neither says anything, nothing is said.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

LEAST = 5  # durations of a task below which they say nothing of the next one
LEAST_FOR_SLOW = 10  # … below which none of its jobs is called slow
LEAST_MOVES, LEAST_S = 3, 2.0  # changes, and seconds between the first and the last, before a job's own pace counts
OWN = 0.3  # part of the whole after which only the job's own pace counts
LATE = 0.7  # how much the pace of late counts, against that from the beginning
STALLED = 5.0  # times the usual time between two changes
STALLED_WIDEST = 2.0  # … and times the longest such time of late
TELL_S = 5.0  # a changed remaining time is told without news no sooner than this after the last time


class Going(StrEnum):
    """How a job goes, where that is not as usual."""

    SLOW = "slow"  # it has run longer than 95 of 100 of its task
    STALLED = "stalled"  # nothing has moved for several times the usual step


class History:
    """How long jobs of one task have taken of late."""

    __slots__ = ("durations_s",)

    def __init__(self, durations_s: Iterable[float] = ()) -> None:
        self.durations_s = sorted(durations_s)

    def __len__(self) -> int:
        return len(self.durations_s)

    @property
    def mean_s(self) -> float | None:
        """How long they took on average; None while too few are known."""
        return sum(self.durations_s) / len(self) if len(self) >= LEAST else None

    def is_slow(self, elapsed_s: float) -> bool:
        """Whether a job that still runs has taken longer than 95 of 100."""
        return len(self) >= LEAST_FOR_SLOW and elapsed_s > _quantile(self.durations_s, 0.95)

    def left(self, elapsed_s: float) -> tuple[float, float, float] | None:
        """What is left of a job that runs for so long: as of those that took longer; median, 10 % and 90 %."""
        longer = self.durations_s[bisect_right(self.durations_s, elapsed_s) :]
        if len(self) < LEAST or not longer:
            return None
        middle, low, high = (_quantile(longer, part) - elapsed_s for part in (0.5, 0.1, 0.9))
        return middle, low, high


NO_HISTORY = History()


def _quantile(durations: list[float], part: float) -> float:
    """The least one that is not exceeded by so large a part (nearest rank)."""
    return durations[max(0, math.ceil(part * len(durations)) - 1)]


class Speed:
    """Something per second, of late. What comes in a burst counts as if it had come over the time since the last."""

    __slots__ = ("_amount", "_time")

    def __init__(self) -> None:
        self._amount = self._time = 0.0

    def add(self, amount: float, seconds: float, memory_s: float) -> None:
        """So much more came in so many seconds; what was more than about `memory_s` ago fades."""
        kept = math.exp(-seconds / memory_s)
        self._amount = self._amount * kept + amount
        self._time = self._time * kept + seconds

    @property
    def value(self) -> float:
        """Per second; 0 where nothing is known."""
        return self._amount / self._time if self._time > 0 else 0.0


class Pace:
    """Owns what was seen of an attempt's progress. `look` at every report and every second, then `told`, `going`."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._looked = began
        self._mark: Any = None  # what it said last, to see whether it moves
        self._moves = 0
        self._moved = began  # when it did last
        self._gap_s = self._widest_s = 0.0  # the usual time between two changes; the longest of late
        self._counted: tuple[Any, float] | None = None  # whose units, and how many were done
        self._speed = Speed()  # units
        self._place: float | None = None  # part of the whole that is done; None: it cannot be known
        self._first: tuple[float, float] | None = None  # when it was known first, and what it was
        self._advance = Speed()  # of that part
        self._broken = False  # a bar that began anew says nothing of the whole
        self._end: float | None = None  # when it should be done, smoothed
        self._ended_at = began  # when that was made
        self.told_end: float | None = None  # as it was told last
        self._told_at = -math.inf

    def look(self, now: float, bar: Mapping[str, Any] | None, said: int = 0) -> None:
        """Take in how far the job is.

        Args:
            bar: as `Progress` shows it; None where it has not spoken.
            said: grows with everything else that the job says: its log.
        """
        seconds = max(0.0, now - self._looked)
        self._looked = now
        self._note_move(now, bar, said)
        memory_s = max(2.0, 4 * self._gap_s, min(60.0, (now - self._began) / 4))
        if bar is not None:
            self._follow(now, _place(bar), seconds, memory_s, anew=self._count(bar, seconds, memory_s))

    def rest(self, now: float) -> None:
        """It waits for others, and cannot move."""
        self._moved = now

    def _note_move(self, now: float, bar: Mapping[str, Any] | None, said: int) -> None:
        step = None if bar is None else (bar.get("fraction"), bar["done"], bar["note"], tuple(_path(bar)))
        if (step, said) == self._mark:
            return
        self._mark = (step, said)
        if self._moves:
            gap_s = now - self._moved
            self._gap_s = gap_s if self._moves == 1 else self._gap_s + 0.2 * (gap_s - self._gap_s)
            self._widest_s = max(gap_s, 0.9 * self._widest_s)
        self._moves += 1
        self._moved = now

    def _count(self, bar: Mapping[str, Any], seconds: float, memory_s: float) -> bool:
        """Take in the units; whether their count has begun anew."""
        whose, done = (_path(bar), bar["unit"]), bar["done"]
        known, self._counted = self._counted, (whose, done)
        anew = known is not None and (known[0] != whose or done < known[1])
        if known is None or anew:
            self._speed = Speed()  # of these units
        else:
            self._speed.add(done - known[1], seconds, memory_s)
        return anew

    def _follow(self, now: float, place: float | None, seconds: float, memory_s: float, *, anew: bool) -> None:
        if self._place is not None and place is not None and place < self._place:
            self._broken = self._broken or anew  # else its total has grown
            self._first = None
            self._advance = Speed()
        elif self._place is not None and place is not None:
            self._advance.add(place - self._place, seconds, memory_s)
        self._place = place
        if self._first is None and place is not None:
            self._first = (now, place)

    # what is said

    def told(self, now: float, history: History) -> dict[str, Any]:
        """`rate`, `eta_s`, `eta_low_s`, `eta_high_s`, as far as they are known."""
        told: dict[str, Any] = {}
        rate = self._speed.value
        if self._moves >= LEAST_MOVES and rate > 0 and now - self._began >= LEAST_S:
            told["rate"] = float(f"{rate:.3g}")
        left = self._left(now, history)
        self._told_at, self.told_end = now, None
        if left is not None:
            eta, low, high = left
            self.told_end = now + eta
            told |= {"eta_s": _shown(eta), "eta_low_s": _shown(low), "eta_high_s": _shown(high)}
        return told

    def _left(self, now: float, history: History) -> tuple[float, float, float] | None:
        """Seconds left: what is likely, and from where to where it may be."""
        left = self._blend(self._own(now), history.left(now - self._began))
        if left is None:
            self._end = None
            return None
        eta, low, high = left
        if self._end is not None:  # nobody believes a clock that jumps
            share = 1 - math.exp(-(now - self._ended_at) / max(2.0, 0.1 * eta))
            self._end += share * (now + eta - self._end)
        else:
            self._end = now + eta
        self._ended_at = now
        eta = max(0.0, self._end - now)
        return eta, max(0.0, min(low, eta)), max(high, eta)

    def _own(self, now: float) -> tuple[float, float, float] | None:
        """What the job's own way says: its pace from the beginning, and that of late."""
        if self._broken or self._place is None or self._first is None:
            return None
        since, first = self._first
        done, todo, seconds = self._place - first, 1 - self._place, now - since
        if done <= 0 or seconds < LEAST_S or self._moves < LEAST_MOVES:
            return None
        overall_s = todo * seconds / done
        recent = self._advance.value
        recent_s = min(4 * overall_s, max(overall_s / 4, todo / recent)) if recent > 0 else 4 * overall_s
        doubt = 1 + 0.5 * todo  # the less is done, the less is known
        low, high = min(overall_s, recent_s) / doubt, max(overall_s, recent_s) * doubt
        return overall_s ** (1 - LATE) * recent_s**LATE, low, high

    def _blend(
        self, own: tuple[float, float, float] | None, others: tuple[float, float, float] | None
    ) -> tuple[float, float, float] | None:
        if own is None or others is None:
            return own or others
        weight = min(1.0, (self._place or 0.0) / OWN)
        eta, low, high = (weight * mine + (1 - weight) * theirs for mine, theirs in zip(own, others, strict=True))
        return eta, low, high

    def going(self, now: float, history: History, stall_s: float) -> Going | None:
        """Whether it goes as usual (None), is slow, or stalled.

        Args:
            stall_s: it is not called stalled sooner than this after its last change.
        """
        still_s = now - self._moved
        if self._moves > LEAST_MOVES and still_s > max(stall_s, STALLED * self._gap_s, STALLED_WIDEST * self._widest_s):
            return Going.STALLED
        return Going.SLOW if history.is_slow(now - self._began) else None

    def is_news(self, now: float, history: History) -> bool:
        """Whether the remaining time should be told though the job is silent: it was unknown, or was another."""
        if now - self._told_at < TELL_S:
            return False
        left = self._left(now, history)
        if left is None or self.told_end is None:
            return (left is None) != (self.told_end is None)
        return abs(now + left[0] - self.told_end) > max(2.0, 0.25 * left[0])


class Sampling:
    """Which durations are worth keeping: the first of each task, then one a second. Others would say the same."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._taken: dict[str, tuple[int, float]] = {}

    def take(self, task: str, now: float) -> bool:
        """Whether to keep the duration of a job that has just ended."""
        count, last = self._taken.get(task, (0, -math.inf))
        if count >= self._first and now - last < 1:
            return False
        self._taken[task] = (count + 1, now)
        return True


def _path(bar: Mapping[str, Any]) -> list[str]:
    step = bar.get("step")
    return list(step["path"]) if step else []


def _place(bar: Mapping[str, Any]) -> float | None:
    """The part of the whole that is done; None where it cannot be told from the bar."""
    if "fraction" in bar:
        return None if bar.get("vague") else float(bar["fraction"])
    if not bar["total"] or bar["total"] < 0:
        return None
    return min(1.0, max(0.0, float(bar["done"]) / float(bar["total"])))


def _shown(seconds: float) -> float:
    return round(seconds, 1) if seconds < 10 else round(seconds)
