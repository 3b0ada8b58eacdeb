"""What a server tells of a job, with types. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STATES = ("scheduled", "queued", "running", "cancelling", "succeeded", "failed", "cancelled")
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is."""

    done: float
    total: float | None  # None while it is unknown
    unit: str | None
    note: str | None
    fraction: float | None  # 0 to 1 over all steps; None while the total is unknown
    step: tuple[str, ...]  # names of the steps it is in, the outermost first
    rate: float | None  # units a second
    eta_s: float | None  # seconds it will still take, from `updated_at` of the job on
    eta_low_s: float | None  # the same if all goes well,
    eta_high_s: float | None  # and if it does not


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed."""

    code: str  # exception, timeout, worker_lost, process_died, bad_result, result_too_large
    message: str
    traceback: str | None  # of the task's exception


@dataclass(frozen=True, slots=True)
class Children:
    """How many jobs a job has spawned, and how they stand."""

    total: int
    ended: int
    failed: int
    cancelled: int
    running: int


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was at one moment. Times are milliseconds since the Unix epoch."""

    id: str
    task: str
    queue: str
    state: str  # one of STATES
    attempt: int  # from 1
    max_attempts: int  # attempts that may be lost with their worker
    priority: int
    tags: tuple[str, ...]
    created_at: int
    scheduled_at: int | None
    started_at: int | None  # of the present attempt
    finished_at: int | None
    updated_at: int
    node: str | None  # that runs or ran it
    progress: JobProgress | None  # None until the task has spoken
    pace: str | None  # "slow", "stalled", or None
    warnings: tuple[Mapping[str, Any], ...]  # as docs/protocol.md has them
    rerun_of: str | None
    parent: str | None  # the job or the group that it belongs to
    children: Children | None
    result: Any  # of a job that succeeded, where it was told; else None
    result_bytes: int | None  # the size of a result; told also where the result itself is not
    error: JobError | None  # of a job that failed
    cursor: str  # opaque: says "I have everything up to here"
    raw: Mapping[str, Any]  # as it came: args, position, and whatever later servers tell

    @property
    def ended(self) -> bool:
        """Whether nothing will follow."""
        return self.state in TERMINAL

    @property
    def has_result(self) -> bool:
        """Whether `result` is the job's, and not just absent."""
        return "result" in self.raw

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Job":
        """The job in a summary, or in the answer to a GET.

        Raises:
            KeyError, TypeError: it is neither.
        """
        error, children = told.get("error"), told.get("children")
        return cls(
            id=told["id"],
            task=told["task"],
            queue=told.get("queue", "default"),
            state=told["state"],
            attempt=told["attempt"],
            max_attempts=told.get("max_attempts", 1),
            priority=told.get("priority", 0),
            tags=tuple(told.get("tags", ())),
            created_at=told.get("created_at", 0),
            scheduled_at=told.get("scheduled_at"),
            started_at=told.get("started_at"),
            finished_at=told.get("finished_at"),
            updated_at=told.get("updated_at", 0),
            node=told.get("node"),
            progress=_progress(told.get("progress")),
            pace=told.get("pace"),
            warnings=tuple(told.get("warnings", ())),
            rerun_of=told.get("rerun_of"),
            parent=told.get("parent"),
            children=_children(children) if children else None,
            result=told.get("result"),
            result_bytes=told.get("result_bytes"),
            error=JobError(error["code"], error["message"], error.get("traceback")) if error else None,
            cursor=told.get("cursor", ""),
            raw=told,
        )


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of a list, newest first."""

    jobs: tuple[Job, ...]
    next: str | None  # to hand back as `before`; None on the last page
    counts: Mapping[str, int] | None  # jobs by state, where the server counts them


@dataclass(frozen=True, slots=True)
class LogPage:
    """A piece of a job's log."""

    entries: tuple[Mapping[str, Any], ...]  # {"offset", "at", "level", "text"} or {"offset", "at", "value"}
    first: int  # first offset kept
    last: int  # last one stored; 0 for none
    next: int | None  # to hand back as `after`; None at the end


def fraction(progress: Mapping[str, Any]) -> float | None:
    """How much is done, 0 to 1, as the server says or as the numbers do; None while that is unknown."""
    told = progress.get("fraction")
    if told is None:
        total = progress.get("total")
        told = (progress.get("done") or 0) / total if total else None
    return None if told is None else min(max(float(told), 0.0), 1.0)


def step_path(progress: Mapping[str, Any]) -> Sequence[str]:
    """The names of the steps a job is in, the outermost first."""
    step = progress.get("step")
    return step.get("path") or [step["name"]] if step else ()


def _progress(told: Mapping[str, Any] | None) -> JobProgress | None:
    if told is None:
        return None
    return JobProgress(
        done=told.get("done") or 0,
        total=told.get("total"),
        unit=told.get("unit"),
        note=told.get("note"),
        fraction=fraction(told),
        step=tuple(step_path(told)),
        rate=told.get("rate"),
        eta_s=told.get("eta_s"),
        eta_low_s=told.get("eta_low_s"),
        eta_high_s=told.get("eta_high_s"),
    )


def _children(told: Mapping[str, int]) -> Children:
    return Children(*(told.get(name, 0) for name in ("total", "ended", "failed", "cancelled", "running")))
