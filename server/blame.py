"""Who blocked the loop, for how long and where: from stacks to a warning, a log line, a name in the metrics. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from server.frames import CARRIERS, Spot, called_at, culprit, text_of
from server.marks import Mark, code_of, place_among

NO_JOB = "(no job)"  # in the metrics; no task can have this name
MAX_STACK = 8192  # characters of a stack that are kept; its end is what helps
_CHECKS, _ENDS = "bind", "returned"  # functions of ours that do a job's work for it


@dataclass(frozen=True, slots=True)
class Blame:
    """One time that the loop stood still, when it was over."""

    mark: Mark | None  # whose code it was; None: no job's
    seconds: float
    spot: Spot | None  # the frame to name
    doing: str  # what it did there: `time.sleep`
    stack: str  # outermost first

    @property
    def task(self) -> str:
        """The label of the metrics."""
        return NO_JOB if self.mark is None else self.mark.task.name

    @property
    def where(self) -> str:
        """`jobs.py:41`."""
        return "?" if self.spot is None else self.spot.where

    @property
    def place(self) -> str:
        """`jobs.py:41, time.sleep`."""
        return f"{self.where}, {self.doing}" if self.doing else self.where

    def warning(self) -> dict[str, Any]:
        """What the job says of it beside kind, time and attempt: the longest time, and how often there was one."""
        assert self.mark is not None
        times = self.mark.blocks
        message = f"blocked the loop {_span(self.seconds)} at {self.place}"
        if len(times) > 1:
            message += f" (the longest of {len(times)} times, {_span(sum(times))} in all)"
        return {"message": message, "seconds": round(self.seconds, 3), "where": self.where}


def _span(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"


@dataclass(eq=False, slots=True)
class Block:
    """A time that the loop stands still: looked at until it is over."""

    mark: Mark | None
    since: float  # monotonic seconds
    seen: float  # when it was looked at last
    looks: "Counter[tuple[str, int]]" = field(default_factory=Counter)  # by the frame to name
    stacks: dict[tuple[str, int], Sequence[Spot]] = field(default_factory=dict)
    told: bool = False
    sure: bool = False  # it is the mark's, whatever the frames say
    because: str = ""  # what it was, where no frame says so

    def look(self, spots: Sequence[Spot], now: float) -> None:
        """The stack, outermost first, as it is now."""
        self.seen = now
        own = self.mark.own_file if self.mark is not None else None
        spot = culprit(own_part(spots), own)
        key = (spot.file, spot.line) if spot is not None else ("", 0)
        self.looks[key] += 1
        self.stacks.setdefault(key, spots)

    def blame(self, seconds: float) -> Blame:
        """The verdict: the frame that was seen most often is named."""
        spots = self.stacks[self.looks.most_common(1)[0][0]] if self.looks else ()
        part = own_part(spots)
        mark, stack = self.mark, text_of(part)[-MAX_STACK:]
        found = None if mark is None else _of_job(mark, part, sure=self.sure)
        if found is not None:
            return Blame(mark, seconds, *found, stack)
        spot = culprit(part, None) or next((one for one in reversed(part) if one.ours), part[-1] if part else None)
        return Blame(None, seconds, spot, self.because or ("" if spot is None else called_at(spot)), stack)


def _of_job(mark: Mark, part: Sequence[Spot], *, sure: bool) -> tuple[Spot, str] | None:
    """The frame to name, and what it did; None where it is not the job's but what we do to run it. Checking its
    arguments and its result is its own business."""
    found = culprit(part, mark.own_file)
    if found is not None:
        return found, called_at(found)
    functions = {spot.function for spot in part if spot.ours}
    doing = "its result" if _ENDS in functions else "its arguments" if _CHECKS in functions else ""
    code = code_of(mark.task)
    return (Spot(code.co_filename, code.co_firstlineno, code.co_name), doing) if doing or sure else None


def own_part(spots: Sequence[Spot]) -> Sequence[Spot]:
    """A stack without what stands above a job's own frames, or above a callback of the loop."""
    place = place_among(spots)
    if place is not None:
        first = next(i for i, spot in enumerate(spots) if place_among([spot]) is not None) + 1
        rest = [spot for spot in spots[first:] if not spot.file.endswith(CARRIERS)]
        return rest or spots[first:]
    last = max(
        (i for i, one in enumerate(spots) if one.function == "_run" and one.file.endswith("asyncio/events.py")),
        default=-1,
    )
    return spots[last + 1 :]
