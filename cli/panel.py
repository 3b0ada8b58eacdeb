"""What `windsock top` knows and how keys change it. Pure: no socket, no clock, no terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from windsock import events
from windsock.job import TERMINAL, Job

FILTERS: Mapping[str, tuple[str, ...]] = {
    "all": (),
    "running": ("running", "cancelling"),
    "waiting": ("queued", "scheduled"),
    "failed": ("failed",),
    "ended": ("succeeded", "failed", "cancelled"),
}
LINES_KEPT = 500  # of the log that is open
PAGE = 10  # rows that a page key moves by


class Wish(StrEnum):
    """What a key asks of the outside."""

    QUIT = "quit"
    FILTER = "filter"  # another feed
    CANCEL = "cancel"  # the job of `asked`
    OPEN = "open"  # the log of `opened`
    CLOSE = "close"  # that log


@dataclass(slots=True)
class Panel:
    """The state of the view."""

    url: str
    filter: str = "all"
    jobs: tuple[Job, ...] = ()  # newest first
    counts: Mapping[str, int] = field(default_factory=dict)
    stats: Mapping[str, Any] = field(default_factory=dict)
    nodes: Sequence[Mapping[str, Any]] = ()
    live: bool = False  # the list has come at least once, and the connection stands
    trouble: str = ""  # about the connection
    note: str = ""  # what came of the last command
    chosen: str | None = None  # id of the job under the bar
    asked: Job | None = None  # the job whose cancel waits for a yes
    opened: Job | None = None  # the job whose log is shown
    lines: list[events.Log | events.Value | events.Gap] = field(default_factory=list)  # of that log
    scrolled: int = 0  # lines that the log is scrolled back by

    # what comes from the server

    def take(self, event: events.Event) -> None:
        """Something new."""
        if isinstance(event, events.Stats):
            self.stats = event.numbers
        elif isinstance(event, events.Feed):
            self._feed(event)
        elif isinstance(event, events.Connection):
            self._connection(event)
        elif self.opened is not None:
            self._of_opened(event)

    def _feed(self, feed: events.Feed) -> None:
        self.jobs, self.counts = feed.jobs, feed.counts or {}
        self.live, self.trouble = True, ""
        if self.index is None:
            self.chosen = self.jobs[0].id if self.jobs else None

    def _connection(self, event: events.Connection) -> None:
        if event.state == "lost":
            self.live, self.trouble = False, f"{event.why}: trying again in {event.delay_s:.1f} s"
        else:
            self.trouble = f"what is shown may be old: {event.why}" if event.state == "stale" else ""
            self.live = event.state != "stale"

    def _of_opened(self, event: events.Event) -> None:
        if isinstance(event, events.Update | events.End):
            self.opened = event.job
        elif isinstance(event, events.Reset):
            self.lines = [one for one in self.lines if _offset(one) < event.log_from]
        elif isinstance(event, events.Log | events.Value | events.Gap):
            self.lines = [*self.lines[1 - LINES_KEPT :], event]
            self.scrolled += 1 if self.scrolled else 0  # who reads back stays where it is
        elif isinstance(event, events.Gone):
            self.note = event.error.detail

    # what comes from the keys

    def press(self, key: str) -> Wish | None:
        """Take a key; what it asks of the outside."""
        if key in ("q", "ctrl-c"):
            return Wish.QUIT
        if self.asked is not None:
            return self._answer(key)
        self.note = ""
        return self._press_in_log(key) if self.opened is not None else self._press_in_list(key)

    def _answer(self, key: str) -> Wish | None:
        if key in ("y", "Y"):
            return Wish.CANCEL
        self.asked, self.note = None, "not cancelled"
        return None

    def _press_in_log(self, key: str) -> Wish | None:
        steps = {"up": 1, "k": 1, "down": -1, "j": -1, "pageup": PAGE, "pagedown": -PAGE, "end": -LINES_KEPT}
        if key in ("escape", "left", "enter"):
            self.opened, self.lines, self.scrolled = None, [], 0
            return Wish.CLOSE
        if key == "c":
            self._ask(self.opened)
        self.scrolled = max(0, min(self.scrolled + steps.get(key, 0), len(self.lines) - 1))
        return None

    def _press_in_list(self, key: str) -> Wish | None:
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -PAGE, "pagedown": PAGE}
        if key in ("f", "tab"):
            names = list(FILTERS)
            self.filter = names[(names.index(self.filter) + 1) % len(names)]
            self.live = False
            return Wish.FILTER
        if key in steps or key in ("home", "end"):
            self._move(steps.get(key, -len(self.jobs) if key == "home" else len(self.jobs)))
        elif key == "c":
            self._ask(self.job)
        elif key in ("enter", "right") and self.job is not None:
            self.opened, self.lines, self.scrolled = self.job, [], 0
            return Wish.OPEN
        return None

    def _ask(self, job: Job | None) -> None:
        if job is None or job.state in TERMINAL:
            self.note = "it has ended" if job is not None else ""
        else:
            self.asked = job

    def _move(self, by: int) -> None:
        if self.jobs:
            self.chosen = self.jobs[max(0, min((self.index or 0) + by, len(self.jobs) - 1))].id

    @property
    def index(self) -> int | None:
        """Where the chosen job stands in the list."""
        return next((index for index, job in enumerate(self.jobs) if job.id == self.chosen), None)

    @property
    def job(self) -> Job | None:
        """The chosen job."""
        return None if self.index is None else self.jobs[self.index]


def _offset(line: events.Log | events.Value | events.Gap) -> int:
    """Where in the log a line stands."""
    return line.first if isinstance(line, events.Gap) else line.offset
