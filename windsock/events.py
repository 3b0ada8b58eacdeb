"""What a program that watches is told. Pure.

`cursor` of an event about a job: the one to hand back as `after`, once that event was dealt with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from windsock.errors import Refused, refusal
from windsock.feed import WatchedFeed
from windsock.job import Job
from windsock.watch import Subscription
from windsock.watched import Frame, Watched


@dataclass(frozen=True, slots=True)
class Update:
    """A job as it is now. States in between may be left out, never the last one."""

    job: Job
    cursor: str


@dataclass(frozen=True, slots=True)
class Reset:
    """The server has another history than was told: drop what you hold of the log from an offset on."""

    job_id: str
    log_from: int
    cursor: str


@dataclass(frozen=True, slots=True)
class Log:
    """A line of the log."""

    job_id: str
    offset: int  # 1, 2, 3 …, over all attempts
    at: int  # milliseconds since the Unix epoch
    level: str  # debug, info, warning, error
    text: str
    cursor: str | None  # None inside a run of entries: the last of the run has it


@dataclass(frozen=True, slots=True)
class Value:
    """A partial result; its offset is one of the log."""

    job_id: str
    offset: int
    at: int
    value: Any
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries that will not come."""

    job_id: str
    first: int  # offset
    last: int
    why: str  # trimmed, lost, slow, reset
    cursor: str


@dataclass(frozen=True, slots=True)
class Live:
    """What there was has been told; from now on it is news."""

    job_id: str


@dataclass(frozen=True, slots=True)
class End:
    """The job has ended; nothing of it follows."""

    job: Job  # with `result` (one over 32 KiB is told by `result_bytes` alone) or `error`
    last: int  # offset of its last entry
    cursor: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The server will not tell of this job: it is unknown, or was deleted. Nothing of it follows."""

    job_id: str
    error: Refused


@dataclass(frozen=True, slots=True)
class Feed:
    """A list of jobs has changed."""

    sub: int
    jobs: tuple[Job, ...]  # all of it, newest first
    changed: tuple[Job, ...]
    gone: tuple[str, ...]  # ids of those that left it
    counts: Mapping[str, int] | None  # jobs by state, where the server counts them
    live: bool  # False while the list is still being filled


@dataclass(frozen=True, slots=True)
class Stats:
    """How the whole store goes; once a second."""

    sub: int
    numbers: Mapping[str, Any]  # as docs/protocol.md, section 3, has them


@dataclass(frozen=True, slots=True)
class Connection:
    """The way to the server, or from there to its store, has changed."""

    state: str  # lost, back; stale (the server has lost its store: what is known may be old), fresh
    why: str
    delay_s: float = 0.0  # of `lost`: when it is tried again


JobEvent = Update | Reset | Log | Value | Gap | Live | End | Gone | Connection
Event = JobEvent | Feed | Stats


def events(one: Subscription | None, frame: Frame) -> Iterator[Event]:
    """The events in what is new of a frame."""
    if one is None:
        yield Connection(frame["type"], str(frame.get("why") or ""))
    elif isinstance(one, Watched):
        yield from _of_job(one, frame)
    elif isinstance(one, WatchedFeed) and frame["type"] != "error":
        yield Feed(one.sub, one.window, one.changed, one.gone, one.counts, one.live)
    elif frame["type"] == "stats":
        yield Stats(one.sub, {name: value for name, value in frame.items() if name not in ("type", "sub")})
    elif frame["type"] == "error" and not frame.get("retryable"):
        raise refusal(frame, 0) or Refused("refused", code="internal", status=0)


def _of_job(one: Watched, frame: Frame) -> Iterator[Event]:
    kind, cursor, job_id = frame["type"], frame.get("cursor") or "", one.job_id
    if kind == "snapshot" and frame.get("how") == "reset":
        yield Reset(job_id, int(frame.get("log_from") or 1), cursor)
    if kind in ("snapshot", "update"):
        yield Update(Job.of(frame["job"]), cursor)
    elif kind == "log":
        yield from _entries(job_id, frame, cursor)
    elif kind == "gap":
        yield Gap(job_id, frame["from"], frame["to"], str(frame.get("why")), cursor)
    elif kind == "live":
        yield Live(job_id)
    elif kind == "end":
        yield End(Job.of(frame["job"]), int(frame.get("last") or 0), cursor)
    elif one.refusal is not None:
        yield Gone(job_id, one.refusal)


def _entries(job_id: str, frame: Frame, cursor: str) -> Iterator[Event]:
    final = len(frame["entries"]) - 1
    for index, entry in enumerate(frame["entries"]):
        offset, at = frame["first"] + index, entry["at"]
        here = cursor if index == final else None
        if "value" in entry:
            yield Value(job_id, offset, at, entry["value"], here)
        else:
            yield Log(job_id, offset, at, entry.get("level", "info"), entry.get("text", ""), here)
