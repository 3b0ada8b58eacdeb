"""A client written from docs/protocol.md alone: it applies frames, keeps its cursor, and checks every rule."""

import re
from dataclasses import dataclass, field
from typing import Any

from delivering.stage import told
from delivering.truth import Truth

Frame = dict[str, Any]
ENDED = ("succeeded", "failed", "cancelled")
CURSOR = re.compile(r"([a-z0-9]+-\d+)\.(\d+)\.(\d+)")


def parted(cursor: str) -> tuple[str, int, int]:
    """Epoch, version and offset of a cursor. To a client it is opaque; only these checks look inside."""
    match = CURSOR.fullmatch(cursor)
    assert match is not None, cursor
    return match[1], int(match[2]), int(match[3])


@dataclass
class Account:
    """What a client was told of one job through one subscription, resumed over as many connections as it took."""

    who: str  # for messages
    truth: Truth
    job_id: str | None  # None: submitted, and not yet answered
    log: str | int = "all"
    entries: dict[int, Any] = field(default_factory=dict)  # by offset
    gaps: dict[int, str] = field(default_factory=dict)  # reason by offset
    start: int = 0  # the log was asked for from the offset behind this
    position: int = 0  # everything up to here came or was declared a gap
    cursor: str | None = None  # to hand back
    version: int = 0  # of the newest summary
    job: Frame | None = None  # that summary
    phase: str = "idle"  # of the subscription: idle, opening, replay, live, ended
    told: int = 0  # version that this subscription was told last
    end: Frame | None = None
    ends: int = 0
    opened: int = 0  # subscriptions
    resets: int = 0

    def open(self) -> None:
        """It subscribes (anew)."""
        self.phase = "opening"
        self.opened += 1

    def close(self) -> None:
        """The connection is gone."""
        self.phase = "idle"

    def take(self, frame: Frame) -> None:
        """One frame."""
        kind = frame["type"]
        anew = kind == "snapshot" and frame["how"] == "reset" and self.phase in ("replay", "live")
        assert self.phase not in ("idle", "ended"), self._say(f"a {kind} after the end", frame)
        assert anew or (kind == "snapshot") is (self.phase == "opening"), self._say("the order is wrong", frame)
        assert kind in ("snapshot", "update", "log", "gap", "live", "end"), self._say("it is not expected", frame)
        getattr(self, f"_{kind}")(frame)
        if kind == "live":
            return
        epoch, version, offset = parted(frame["cursor"])
        assert offset == self.position, self._say("the cursor is not where the log stands", frame)
        assert version == self.told, self._say("the cursor is not of the version told last", frame)
        if self.cursor is not None and parted(self.cursor)[0] == epoch:
            had, below = parted(self.cursor)[1], kind == "snapshot" and frame["job"]["state"] in ENDED
            back = version + below < had and not self.truth.was_lost(self.job_id or "", had)
            assert not back, self._say("the cursor went back", frame)
        self.cursor = frame["cursor"]

    def _say(self, what: str, frame: Frame) -> str:
        held = {k: v for k, v in vars(self).items() if k not in ("truth", "entries", "job", "end")}
        return f"{self.who}: {what}: {frame}; held {held}"

    # frames

    def _snapshot(self, frame: Frame) -> None:
        how = frame["how"]
        anew = self.phase != "opening"
        if how == "reset":
            assert self.truth.losses, self._say("a reset, and the store has lost nothing", frame)
            assert self.cursor is not None, self._say("a reset without a cursor", frame)
            self._drop(frame["log_from"])
        else:
            assert how == ("fresh" if self.cursor is None else "resumed"), self._say("how is wrong", frame)
            assert "log_from" not in frame, self._say("log_from without a reset", frame)
        offset = parted(frame["cursor"])[2]
        if how != "resumed" and self.log != "all" and (how == "fresh" or frame.get("log_from") == 1):
            self.start = self.position = offset  # the last N, or none
            tail = parted(frame["job"]["cursor"])[2]
            assert self.log == "none" or offset >= tail - self.log, self._say("more than was asked for", frame)
        self.phase = "replay"
        self._state(frame, opens=not anew)

    def _drop(self, log_from: int) -> None:
        self.resets += 1
        assert log_from >= 1
        self.entries = {offset: entry for offset, entry in self.entries.items() if offset < log_from}
        self.gaps = {offset: why for offset, why in self.gaps.items() if offset < log_from}
        self.position = min(self.position, log_from - 1) if self.log == "none" else log_from - 1

    def _state(self, frame: Frame, *, opens: bool) -> None:
        """A summary: newer than all before, unless the store has lost what was told before."""
        job, version = frame["job"], parted(frame["cursor"])[1]
        kind, own = frame["type"], parted(job["cursor"])[1]
        assert job["id"] == self.job_id, self._say("it is of another job", frame)
        # The cursor of a snapshot of an ended job stands one below the end, which is still to come.
        assert own == version + (job["state"] in ENDED and kind == "snapshot"), self._say("cursors differ", frame)
        assert opens or version > self.told, self._say("not newer than what was told", frame)
        self.told = version
        if own < self.version or (kind == "update" and own == self.version):
            excused = kind == "snapshot" and self.truth.was_lost(job["id"], self.version)
            assert excused, self._say("the version went back", frame)
            return
        if self.job is not None and job["attempt"] < self.job["attempt"]:
            assert self.truth.losses > 0, self._say("the attempt went back", frame)
        self.version, self.job = max(version, self.version), job

    def _update(self, frame: Frame) -> None:
        assert self.phase == "live", self._say("an update before live", frame)
        assert frame["job"]["state"] not in ENDED, self._say("an end that is no end", frame)
        self._state(frame, opens=False)

    def _log(self, frame: Frame) -> None:
        assert self.log != "none", self._say("a log that nobody asked for", frame)
        assert frame["first"] == self.position + 1, self._say("the log does not go on", frame)
        assert frame["entries"], self._say("an empty log", frame)
        for offset, entry in enumerate(frame["entries"], frame["first"]):
            value = told(entry)
            assert self.truth.wrote(self.job_id or "", offset, value), self._say(f"nobody wrote {offset}", frame)
            self.entries[offset] = value
            self.position = offset

    def _gap(self, frame: Frame) -> None:
        assert self.log != "none", self._say("a gap in what nobody asked for", frame)
        assert frame["from"] == self.position + 1, self._say("the gap does not follow", frame)
        assert frame["to"] >= frame["from"], self._say("an empty gap", frame)
        assert self.truth.may_miss(self.job_id or "", frame["to"], frame["why"]), self._say("no reason", frame)
        self.gaps.update(dict.fromkeys(range(frame["from"], frame["to"] + 1), frame["why"]))
        self.position = frame["to"]

    def _live(self, frame: Frame) -> None:
        assert self.phase == "replay", self._say("live twice", frame)
        self.phase = "live"

    def _end(self, frame: Frame) -> None:
        assert self.phase == "live", self._say("an end before live", frame)
        assert frame["job"]["state"] in ENDED, self._say("an end that is none", frame)
        if self.log != "none":
            # More than `last` is held by who has seen what the store lost, and nobody could tell it again.
            kept = frame["last"] < self.position and self.truth.losses > 0
            assert kept or frame["last"] == self.position, self._say("the end came before the log", frame)
        self.truth.note_end(frame)
        self.phase, self.end = "ended", frame
        self.ends += 1
        self._state(frame, opens=False)
