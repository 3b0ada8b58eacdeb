"""What is held of the watched jobs, and how frames change it. Pure: no socket, no clock, no terminal.

A frame goes in; what of it is new comes out, so whoever shows it can show every frame it gets. Versions never
go back, each log offset comes out once, and an end always ends.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from cli.exits import Exit, exit_of, gravest
from cli.words import TERMINAL

Frame = dict[str, Any]
LogWish = str | int  # "none", "all", or the last N entries


@dataclass(slots=True)
class Watched:
    """One job as it is held."""

    job_id: str
    sub: int  # our number for it on the wire
    log: LogWish = "all"
    summary: Frame | None = None  # newest seen
    cursor: str | None = None  # to hand back on a reconnect
    offset: int = 0  # last log entry shown or declared missing
    exit: Exit | None = None  # known once it ended or was refused
    refusal: str = ""  # why the server would not tell of it
    catching_up: bool = False  # the replay of a first subscription is under way

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.exit is not None

    def subscribe(self) -> Frame:
        """The wish to be told, from where it stands."""
        frame: Frame = {"type": "subscribe", "sub": self.sub, "job": self.job_id, "log": self.log}
        if self.cursor is not None:
            frame["after"] = self.cursor
        return frame

    def apply(self, frame: Frame) -> Frame | None:
        """Take a frame of this subscription; what of it is new, or None."""
        step = _STEPS.get(frame["type"])
        if step is None or self.done:
            return None
        new = step(self, frame)
        if isinstance(frame.get("cursor"), str):
            self.cursor = frame["cursor"]
        return new

    def _snapshot(self, frame: Frame) -> Frame | None:
        reset = frame.get("how") == "reset"
        if reset and frame.get("log_from") is not None:
            self.offset = min(self.offset, int(frame["log_from"]) - 1)
        self.catching_up = self.cursor is None
        if not reset and self._older(frame["job"]):
            return None
        return frame if self._take(frame["job"]) else None

    def _update(self, frame: Frame) -> Frame | None:
        if self._older(frame["job"]) or not self._take(frame["job"]):
            return None
        return frame

    def _older(self, job: Frame) -> bool:
        held, new = version(self.summary), version(job)
        return held is not None and new is not None and new < held

    def _take(self, job: Frame) -> bool:
        if self.summary is not None and self.summary["state"] in TERMINAL and job["state"] not in TERMINAL:
            return False
        self.summary = job
        return True

    def _log(self, frame: Frame) -> Frame | None:
        first, entries = int(frame["first"]), frame["entries"]
        known = max(self.offset + 1 - first, 0)
        entries = entries[known:]
        if not entries:
            return None
        first += known
        self.offset = first + len(entries) - 1
        return {**frame, "first": first, "entries": entries}

    def _gap(self, frame: Frame) -> Frame | None:
        first, last = max(int(frame["from"]), self.offset + 1), int(frame["to"])
        if first > last:
            return None
        self.offset = last
        return {**frame, "from": first}

    def _live(self, frame: Frame) -> Frame:
        self.catching_up = False
        return frame

    def _end(self, frame: Frame) -> Frame:
        self.summary = frame["job"]
        self.catching_up = False
        self.exit = exit_of(self.summary["state"])
        return frame

    def _error(self, frame: Frame) -> Frame:
        if not frame.get("retryable"):
            self.refusal = str(frame.get("message") or frame.get("code"))
            self.exit = Exit.REFUSED
        return frame


_STEPS: dict[str, Callable[[Watched, Frame], Frame | None]] = {
    "snapshot": Watched._snapshot,
    "update": Watched._update,
    "log": Watched._log,
    "gap": Watched._gap,
    "live": Watched._live,
    "end": Watched._end,
    "error": Watched._error,
}


@dataclass(slots=True)
class Watch:
    """All jobs of one command, by subscription."""

    jobs: dict[int, Watched] = field(default_factory=dict)
    stale: str = ""  # why what is shown may be old; "" when it is not

    @classmethod
    def of(cls, job_ids: Iterable[str], log: LogWish) -> "Watch":
        """A watch of these jobs; the same job twice counts once."""
        unique = dict.fromkeys(job_ids)
        return cls({sub: Watched(job_id, sub, log) for sub, job_id in enumerate(unique, 1)})

    def hello(self) -> Frame:
        """The first frame of a connection: every job that is not done, from where it stands."""
        return {"type": "hello", "subscribe": [one.subscribe() for one in self.jobs.values() if not one.done]}

    def apply(self, frame: Frame) -> Frame | None:
        """Take a frame of the server; what of it is new, or None."""
        kind = frame["type"]
        if kind == "stale":
            self.stale = str(frame.get("why") or "the server lost its store")
            return frame
        if kind in ("fresh", "welcome"):
            was_stale, self.stale = self.stale, ""
            return frame if kind == "fresh" and was_stale else None
        watched = self.jobs.get(frame.get("sub", 0))
        return None if watched is None else watched.apply(frame)

    @property
    def done(self) -> bool:
        """Whether every job has ended or was refused."""
        return all(one.done for one in self.jobs.values())

    @property
    def exit(self) -> Exit:
        """The exit code, once done."""
        return gravest(one.exit for one in self.jobs.values() if one.exit is not None)


def version(job: Frame | None) -> int | None:
    """The version in a summary's cursor (`epoch.version.offset`); None if it does not tell."""
    parts = str((job or {}).get("cursor", "")).rsplit(".", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else None
