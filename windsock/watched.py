"""What is held of a watched job, and how frames change it. Pure: no socket, no clock, no terminal.

A frame goes in; what of it is new comes out, so whoever shows it can show every frame it gets. Versions never
go back, each log offset comes out once, and an end always ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from windsock.errors import Refused, refusal
from windsock.job import TERMINAL

Frame = dict[str, Any]
REFUSED = "refused"
LogWish = str | int  # "none", "all", or the last N entries


@dataclass(slots=True)
class Watched:
    """One job as it is held."""

    job_id: str
    sub: int  # our number for it on the wire
    log: LogWish = "all"
    summary: Frame | None = None  # newest seen
    cursor: str | None = None  # to hand back on a reconnect
    shown: str | None = None  # the cursor after the last frame that was shown: where a later watch goes on
    offset: int = 0  # last log entry shown or declared missing
    outcome: str | None = None  # the state it ended in, or REFUSED; None while there is more to come
    refusal: Refused | None = None  # why the server would not tell of it

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.outcome is not None

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
        return frame

    def _end(self, frame: Frame) -> Frame:
        self.summary = frame["job"]
        self.outcome = self.summary["state"]
        return frame

    def _error(self, frame: Frame) -> Frame:
        if not frame.get("retryable"):
            self.refusal = refusal(frame, 0) or Refused("refused", code="internal", status=0)
            self.outcome = REFUSED
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


def version(job: Frame | None) -> int | None:
    """The version in a summary's cursor (`epoch.version.offset`); None if it does not tell."""
    parts = str((job or {}).get("cursor", "")).rsplit(".", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else None
