"""When a task with `cron` is due. Pure: times go in, times come out; `timetable` hands the jobs in.

A tick is a moment that the expression names, in the schedule's time zone. Expressions are those of Debian's cron, and
so is what happens when clocks change: what would run at a time that is left out runs when the clock has gone forward,
what would run at a time that comes twice runs once; `*` in minutes or hours goes on through both.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from ulid import ULID

GRACE_MS = 60_000  # a tick is missed when nobody has handed it in for this long
MOST_MISSED = 100  # ticks that are made good for, with `all`


class Missed(StrEnum):
    """What becomes of ticks at which no node was there to hand them in."""

    SKIP = "skip"
    ONCE = "once"  # the last one is run
    ALL = "all"  # each is run, the last 100 at most


@dataclass(frozen=True, slots=True)
class Schedule:
    """One cron expression of one task. Times are milliseconds since the epoch."""

    task: str  # its name
    expression: str
    zone: ZoneInfo
    missed: Missed = Missed.SKIP

    @property
    def name(self) -> str:
        """What the store knows it by."""
        return f"{self.task} {self.expression} {self.zone.key}"

    def next_after(self, at: int) -> int | None:
        """The first tick after a time; None when there is none within 50 years."""
        return next(self._ticks(at), None)

    def pending(self, last: int, now: int) -> list[int]:
        """The ticks to hand in now, when `last` was the last one."""
        if self.missed is Missed.SKIP:
            return self._between(max(last, now - GRACE_MS), now)
        if self.missed is Missed.ONCE:
            return self._between(self._from(last, now, 1), now)[-1:]
        return self._between(self._from(last, now, MOST_MISSED), now)[-MOST_MISSED:]

    def job_id(self, tick: int) -> str:
        """The id of the job of a tick: the same on every node, and in the order of time."""
        chance = blake2b(f"{self.name} {tick}".encode(), digest_size=10).digest()
        return str(ULID.from_bytes(tick.to_bytes(6, "big") + chance))

    def _from(self, last: int, now: int, most: int) -> int:
        """A time from which on there are about `most` ticks: after years away they are not all gone through."""
        back = CronSim(self.expression, _moment(now, self.zone) + timedelta(seconds=1), reverse=True)
        ticks = list(itertools.islice(back, most))
        return max(last, _ms(ticks[-1]) - 1 if ticks else 0)

    def _between(self, after: int, through: int) -> list[int]:
        return list(itertools.takewhile(lambda tick: tick <= through, self._ticks(after)))

    def _ticks(self, after: int) -> Iterator[int]:
        """Strictly later and later: where clocks go back the library may begin with what has been."""
        for moment in CronSim(self.expression, _moment(after, self.zone)):
            tick = _ms(moment)
            if tick > after:
                after = tick
                yield tick


def _moment(at: int, zone: ZoneInfo) -> datetime:
    return (datetime.fromtimestamp(at // 1000, UTC)).astimezone(zone)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


def make_schedules(task: str, cron: "str | Sequence[str]", timezone: str, missed: str) -> tuple[Schedule, ...]:
    """What the options of `@task` mean.

    Raises:
        TypeError: a value that cannot be.
    """
    expressions = tuple(cron) if isinstance(cron, list | tuple) else (cron,)
    if missed not in list(Missed):
        raise TypeError(f"task {task}: missed must be one of {', '.join(Missed)}")
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        raise TypeError(f"task {task}: {timezone!r} is no time zone") from None
    schedules = tuple(Schedule(task, " ".join(str(one).split()), zone, Missed(missed)) for one in expressions)
    for schedule in schedules:
        _check(schedule)
    return schedules


def _check(schedule: Schedule) -> None:
    what = f"task {schedule.task}: {schedule.expression!r}"
    try:
        first = schedule.next_after(0)
    except CronSimError as error:
        raise TypeError(f"{what} is no cron expression: {error}") from None
    if first is None:
        raise TypeError(f"{what} is never due")
