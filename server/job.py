"""The job: its states, the transitions they allow, and the summary everyone sees. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from server.cursor import Cursor

NAME_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$"
MAX_TAGS = 16
MAX_TAG = 64  # characters
MAX_NOTE = 200  # characters
MAX_UNIT = 20  # characters
MAX_STEP = 40  # characters of a step's name
MAX_PATH = 5  # steps around the present one that are shown, itself among them
MAX_WARNINGS = 5
BLOCKED_LOOP = "blocked_loop"  # the kind of warning that has a stack
MIN_PRIORITY, MAX_PRIORITY = -10, 10


class JobState(StrEnum):
    """Where a job stands."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
HELD = frozenset({JobState.RUNNING, JobState.CANCELLING})  # by a worker, under a token

# The scripts in server/broker/scripts make these steps and no others; tests/test_job_model.py holds them to it.
ALLOWED: dict[JobState, frozenset[JobState]] = {
    JobState.SCHEDULED: frozenset({JobState.QUEUED, JobState.CANCELLED}),
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.CANCELLING, JobState.QUEUED, JobState.SCHEDULED}) | TERMINAL,
    JobState.CANCELLING: TERMINAL,
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


class ErrorCode(StrEnum):
    """Why a job failed."""

    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    WORKER_LOST = "worker_lost"
    PROCESS_DIED = "process_died"
    BAD_RESULT = "bad_result"
    RESULT_TOO_LARGE = "result_too_large"
    UNKNOWN_TASK = "unknown_task"
    CHILD_FAILED = "child_failed"


@dataclass(frozen=True, slots=True)
class Children:
    """How the children of a job are. Those that were deleted count as they ended."""

    total: int
    ended: int  # failed and cancelled ones among them
    failed: int
    cancelled: int
    running: int
    weight: float  # of all
    done: float  # weight done, as last told
    fraction: float  # the highest so far, 0 … 1
    group: bool = False  # their parent is a group: no code of its own runs

    def counts(self) -> dict[str, int]:
        """What the summary says of them."""
        return {name: getattr(self, name) for name in ("total", "ended", "failed", "cancelled", "running")}

    def rolled(self, own: dict[str, Any] | None) -> dict[str, Any]:
        """The progress of their parent: its own, or theirs where it has not spoken or says no total."""
        if own is None or not any(own.get(name) for name in ("done", "total", "unit", "note", "fraction", "step")):
            even = self.weight == self.total  # each weighs 1: how many have ended
            bar = {
                "done": self.ended if even else _plain(min(self.done, self.weight)),
                "total": _plain(self.weight),
                "unit": "jobs" if even else None,
                "note": None,
                "fraction": self.fraction,
            }
            return bar if own is None else {**own, **bar}  # what is expected of it stays
        if own.get("fraction") is None and own.get("total") is None:
            return {**own, "fraction": self.fraction}
        return own


def _plain(number: float) -> float | int:
    rounded = round(number, 2)
    return int(rounded) if rounded == int(rounded) else rounded


class Job(NamedTuple):
    """What is known of a job at one version. Times are milliseconds since the epoch.

    One is made for each change of each watched job, so it is a tuple: a frozen dataclass takes four times as long.
    """

    id: str  # ULID
    task: str  # name of the registered function
    queue: str  # where it waits
    state: JobState
    attempt: int  # from 1
    max_attempts: int  # attempts that may be lost with their worker
    priority: int  # -10 … 10, higher first
    tags: tuple[str, ...]
    created_at: int
    scheduled_at: int | None  # not before this
    started_at: int | None  # start of the present attempt
    finished_at: int | None
    updated_at: int
    node: str | None  # that runs or ran it
    progress: dict[str, Any] | None  # done, total, unit, note, and what follows from it; None until something is known
    warnings: tuple[dict[str, Any], ...]
    rerun_of: str | None  # id of the ended job this one repeats
    store: str  # which store numbered this version
    version: int  # strictly increasing over the job's life
    offset: int  # of the last log entry stored
    attempt_firsts: tuple[int, ...] = (1,)  # offset of each attempt's first log entry
    limit: str | None = None  # name of what it shares a limit with; None: it may run beside any other
    pace: str | None = None  # slow or stalled; None: it does not run, or as usual
    parent: str | None = None  # id of the job that spawned it, or of its group
    weight: float = 1.0  # how much of its parent's progress it is
    depth: int = 0  # ancestors that it has
    children: Children | None = None  # None where it has none

    @property
    def ended(self) -> bool:
        """Whether nothing will follow."""
        return self.state in TERMINAL

    @property
    def waited_ms(self) -> int | None:
        """From when it could run until it did; None where that is not known: before a start, or after an attempt."""
        if self.started_at is None or self.attempt > 1:
            return None
        return max(0, self.started_at - max(self.created_at, self.scheduled_at or 0))

    @property
    def cursor(self) -> Cursor:
        """Where somebody stands who has seen this version and the whole log."""
        return Cursor(self.store, self.attempt, self.version, self.offset)

    def summary(self) -> dict[str, Any]:
        """The summary of the protocol, section 1."""
        summary: dict[str, Any] = {
            "id": self.id,
            "task": self.task,
            "queue": self.queue,
            "state": self.state.value,
            "attempt": self.attempt,
            "max_attempts": self.max_attempts,
            "priority": self.priority,
            "tags": list(self.tags),
            "progress": self.progress,
            "created_at": self.created_at,
            "scheduled_at": self.scheduled_at,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "updated_at": self.updated_at,
            "node": self.node,
            "warnings": [{k: v for k, v in one.items() if k != "stack"} for one in self.warnings],
            "cursor": str(self.cursor),
        }
        if self.pace is not None:
            summary["pace"] = self.pace
        if self.rerun_of is not None:
            summary["rerun_of"] = self.rerun_of
        if self.parent is not None:
            summary["parent"] = self.parent
        if self.children is not None:
            summary["children"] = self.children.counts()
        return summary

    def newer_than(self, other: "Job") -> bool:
        """Whether this register wins over `other`: a terminal one over any, then the higher version."""
        if other.ended or self.ended:
            return self.ended and not other.ended
        return self.version > other.version


@dataclass(frozen=True, slots=True)
class JobDetail:
    """A job with what is too heavy for its summary."""

    job: Job
    args: Any
    result: Any = None
    error: dict[str, Any] | None = None  # code, message, traceback
    result_bytes: int | None = None  # size of the encoded result
    timeout_s: float | None = None  # longest run of one attempt
    position: int | None = None  # jobs before it in its queue, approximate; None unless queued
    start_in_s: float | None = None  # when it should start; None: unknown, or not queued
    checkpoint: Any = None  # where an attempt said last that the job could go on
    profile: bool | str = False  # whether its attempts are profiled, and by what

    def whole(self) -> dict[str, Any]:
        """What `GET /api/jobs/{id}` answers."""
        whole = self.job.summary()
        whole["warnings"] = list(self.job.warnings)
        whole["args"] = self.args
        whole.update(self.waiting())
        if self.checkpoint is not None:
            whole["checkpoint"] = self.checkpoint
        if self.profile:
            whole["profile"] = self.profile
        whole.update(self.outcome())
        return whole

    def waiting(self) -> dict[str, Any]:
        """`position` and `start_in_s` of a queued job."""
        return {} if self.position is None else {"position": self.position, "start_in_s": self.start_in_s}

    def outcome(self, max_bytes: int | None = None) -> dict[str, Any]:
        """`result` or `error` of an ended job; a result over `max_bytes` is left out and only measured."""
        if self.job.state is JobState.SUCCEEDED:
            if max_bytes is not None and (self.result_bytes or 0) > max_bytes:
                return {"result_bytes": self.result_bytes}
            return {"result": self.result, "result_bytes": self.result_bytes}
        return {"error": self.error} if self.error is not None else {}
