"""What goes to the store and comes back, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.job import Job, JobState


@dataclass(frozen=True, slots=True)
class NewJob:
    """A checked submission on its way to the store."""

    id: str
    task: str
    queue: str
    args: bytes  # packed
    priority: int
    max_attempts: int
    tags: tuple[str, ...]
    timeout_s: float | None
    delay_s: float | None
    at: int | None  # ms
    rerun_of: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """A job that a worker holds, under a token that fences every other attempt off."""

    id: str
    token: str
    attempt: int
    task: str
    args: dict[str, Any]
    timeout_s: float | None
    log_last: int  # offset of the last entry of earlier attempts
    job: Job
    packed: bytes = b""  # args, as the store has them


@dataclass(frozen=True, slots=True)
class Report:
    """What one job has to say since its last report."""

    id: str
    token: str
    progress: dict[str, Any] | None  # None: unchanged
    warnings: Sequence[Mapping[str, Any]] | None  # None: unchanged
    first: int  # offset of entries[0], or of the next entry
    entries: Sequence[bytes]
    lost: bool = False  # whatever the store lacks before `first` is gone for good …
    known: int = 0  # … after this offset, the last one stored as far as the runner knows


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of an attempt: with its last report, a state, and the packed result or error."""

    report: Report
    state: JobState  # a terminal one, or QUEUED to give the job back
    outcome: bytes | None = None
    result_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ReportAnswer:
    """What the store says to a report or a verdict."""

    code: str  # ok, hole, fenced, gone
    last: int  # last log offset stored
    state: str = ""
    watched: bool = False  # somebody looks at the job


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `seq` is the moment it was read."""

    seq: int
    jobs: list[Job]
    next: str | None  # hand back as `before`
    counts: dict[str, int] | None


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Part of a log: entries and gaps in order of offset."""

    first: int  # first offset kept; last + 1 when nothing is
    last: int  # last offset stored
    entries: list[tuple[int, bytes | None, int | None]]  # offset, packed entry or None, start of a gap up to offset


@dataclass(frozen=True, slots=True)
class ListWish:
    """Which jobs: states to look in, the index to use, and what else must match."""

    states: Sequence[str]
    index: str = "all"  # all, task, queue, tag
    values: Sequence[str] = ("",)
    others: Sequence[tuple[str, Sequence[str]]] = field(default_factory=list)
