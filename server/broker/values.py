"""What goes to the store and comes back, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from server.job import Job, JobState
from server.protocol import IdempotencyKey
from server.sameness import Same

RECOVERY_BEATS = 3  # so long a store that has gone back gives no jobs: runners tell it first what they hold


@dataclass(frozen=True, slots=True)
class Kin:
    """Whose child a new job is."""

    parent: str  # id
    weight: float
    depth: int
    token: str  # of the attempt that spawns it; empty where the parent is a group


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
    same: Same | None = None  # by what jobs that are the same are found; None: there are none
    key: IdempotencyKey | None = None
    body: str = ""  # digest of what was submitted with the key
    limit: str | None = None  # name of what it shares a limit with
    schedule: str | None = None  # name of the schedule whose tick is `at`
    kin: Kin | None = None  # None: it is no child
    group: str | None = None  # it is a group, and the process of this id takes in its jobs
    profile: bool | str = False  # of its attempts: True, or "cprofile"


class How(StrEnum):
    """How a submit came to its job."""

    ACCEPTED = "accepted"  # a new one
    REPEATED = "repeated"  # the one its key was used for
    JOINED = "joined"  # the same one, which waits or runs
    CACHED = "cached"  # the same one, which has succeeded


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job that a submit was answered with."""

    job: Job
    how: How


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
    once: bytes = b""  # what makes other jobs the same, as the store has it
    retried: int = 0  # attempts before this one that raised and were followed by another
    profile: bool | str = False  # of this attempt: True, or "cprofile"
    checkpoint: bytes | None = None  # packed: where an earlier attempt said that it could be gone on


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
    checkpoint: bytes | None = None  # packed, said not after the last of the entries; None: unchanged


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of an attempt: with its last report, a state, and the packed result or error."""

    report: Report
    state: JobState  # a terminal one; QUEUED gives the job back; SCHEDULED asks for another attempt after `delay_s`
    outcome: bytes | None = None
    result_bytes: int | None = None
    delay_s: float = 0.0
    took_ms: int | None = None  # of one that succeeded, if it is to be kept


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
