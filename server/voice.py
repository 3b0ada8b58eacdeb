"""One attempt's line to the store: what it has to say, and what of it the store has. Sends nothing itself."""

from collections.abc import Callable
from typing import Any

from server.broker import Lease, Report, ReportAnswer
from server.job import MAX_WARNINGS
from server.pace import NO_HISTORY, Going, Pace
from server.progress import Progress

SILENT = {"done": 0, "total": None, "unit": None, "note": None}  # the bar of a task that has not spoken
MAX_WARNING = 200  # characters: five of them travel with each summary
NO_MORE = ("fenced", "gone")  # answers after which an attempt may write nothing more


class Voice:
    """One attempt's line to the store: its progress, and what of it the store has."""

    __slots__ = (
        "_going",
        "_known",
        "_pace",
        "_paced",
        "_stall_s",
        "began",
        "closed",
        "due",
        "goal",
        "history",
        "lease",
        "on_fenced",
        "progress",
        "resting",
        "stored",
        "told",
        "took_ms",
        "warnings",
    )

    def __init__(
        self,
        lease: Lease,
        progress: Progress,
        on_fenced: Callable[[str], None],
        *,
        now: float = 0.0,
        stall_s: float = 10.0,
    ) -> None:
        self.lease = lease
        self.progress = progress
        self.on_fenced = on_fenced  # called with the store's answer when this attempt may write no more
        self.goal = lease.log_last + 1  # next offset when it reported last
        self.told = float("-inf")  # monotonic seconds of the last report
        self.due = 0.0  # monotonic seconds before which nothing is reported
        self.stored = lease.log_last  # last log offset the store has
        self._known: list[dict[str, Any]] = list(lease.job.warnings)  # of earlier attempts, and of this one
        self.warnings: list[dict[str, Any]] | None = None  # to be told; None: nothing new
        self.closed = False  # its verdict is on the way
        self.began = now  # monotonic seconds
        self.took_ms: int | None = None  # how long it took, if that is worth keeping
        self.history = NO_HISTORY  # how long others of its task took
        self.resting = False  # it waits for its children, which speak for it
        self._pace: Pace | None = None  # from its first bar, or second look
        self._going: Going | None = None  # as it was told last
        self._stall_s = stall_s
        self._paced = False  # something of its pace was told, though the task has not spoken

    def warn(self, kind: str, message: str, at: int, **more: Any) -> None:
        """Add a warning to the job, of which the last five are kept; it leaves with the next report.

        Args:
            kind: what it is about; a second one of a kind takes the place of this attempt's first.
            message: 200 characters are kept.
            at: ms.
            more: what else there is to say, in a few words: it travels with each summary.
        """
        attempt = self.lease.attempt
        others = [one for one in self._known if (one.get("kind"), one.get("attempt")) != (kind, attempt)]
        warning = {"kind": kind, "at": at, "attempt": attempt, "message": message[:MAX_WARNING], **more}
        self.warnings = self._known = [*others, warning][-MAX_WARNINGS:]

    def look(self, now: float) -> bool:
        """See whether it moves; whether there is something to tell though the task is silent."""
        if self._pace is None:
            self._pace = Pace(self.began)
        self._pace.look(now, self.progress.shown(), self.progress.next_offset)
        if self.resting:
            self._pace.rest(now)
        going = self._pace.going(now, self.history, self._stall_s)
        return going is not self._going or self._pace.is_news(now, self.history)

    def _bar(self, now: float) -> dict[str, Any] | None:
        """The bar, and what is to be expected of it, None where there is neither; while it runs."""
        bar = self.progress.take()
        if bar is not None and self._pace is None:
            self._pace = Pace(self.began)
        if self._pace is None:
            return None
        self._pace.look(now, bar, self.progress.next_offset)
        told = self._pace.told(now, self.history)
        self._going = self._pace.going(now, self.history, self._stall_s)
        if bar is None and told:
            bar = SILENT
        if self._going is not None:
            told["pace"] = self._going.value
        return self._cleared(
            None if bar is None and not told else {**(bar or {}), **told}, silent=bar in (None, SILENT)
        )

    def _cleared(self, bar: dict[str, Any] | None, *, silent: bool) -> dict[str, Any] | None:
        """The bar without what is the runner's; an empty one where the store has some that does not hold any more."""
        paced, self._paced = self._paced, silent and bar is not None
        if bar is None:
            return {} if paced else None
        bar.pop("vague", None)
        return bar

    def report(self, max_bytes: int, now: float, *, ending: bool = False) -> Report:
        """What is new; of an attempt that ends nothing is expected any more."""
        bar = self._cleared(self.progress.take(), silent=True) if ending else self._bar(now)
        self.goal = self.progress.next_offset
        first, entries = self.progress.unsent(max_bytes, self.stored)
        lost = first > self.stored + 1
        mark = self.progress.mark.due(first + len(entries) - 1)
        return Report(self.lease.id, self.lease.token, bar, self.warnings, first, entries, lost, self.stored, mark)

    def settle(self, report: Report, answer: ReportAnswer, now: float) -> bool:
        """Take in the store's answer to a report; whether there is more to tell.

        A store that has lost its tail answers with a lower offset than before: from there on all is told again.
        """
        if answer.code in NO_MORE:
            return False
        if self.warnings is report.warnings:
            self.warnings = None
        mark = self.progress.mark
        if answer.last < self.stored:
            mark.forget()
        elif answer.code == "ok" and report.checkpoint is not None:
            mark.stored(report.checkpoint)
        self.stored = answer.last
        self.progress.stored(answer.last, now)
        return answer.last + 1 < self.goal  # what was said since then wakes by itself
