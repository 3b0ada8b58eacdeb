"""What can go wrong for a program that uses Windsock: one tree.

Error
├── Unreachable       nobody answers, or not in time, or not as a Windsock server
├── Refused           the server said no; code, status and detail say why (docs/protocol.md, section 2)
│   ├── NotFound      not_found 404: no such job, or not any more
│   ├── Conflict      conflict 409: the state of the job forbids it
│   ├── Invalid       invalid 422: `fields` names each thing that is wrong
│   └── Busy          too_many 429, queue_full and unavailable 503: the same may be taken in `after_s`
└── JobEnded          a job was asked for its result and has none
    ├── JobFailed           with the code, the message and the traceback of its error
    └── JobWasCancelled
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from windsock.job import Job


class FieldProblem(NamedTuple):
    """What is wrong with one field of a request."""

    field: str  # dotted path: "args.size"
    message: str


class Error(Exception):
    """Any of the below."""


class Unreachable(Error):
    """Nobody answers; with `sent` the server may have done what was asked all the same."""

    def __init__(self, message: str, *, reason: str = "lost", sent: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason  # absent, silent, lost, tls, foreign (no Windsock server), unreadable, fault
        self.sent = sent  # whether the request may have arrived


class Refused(Error):
    """The server said no: the same again gets the same answer."""

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        status: int,
        fields: Sequence[FieldProblem] = (),
        after_s: float | None = None,
    ) -> None:
        super().__init__(f"{detail} ({code})")
        self.detail = detail  # for people
        self.code = code  # stable, for programs
        self.status = status  # of HTTP; 0 where the answer came over a socket
        self.fields = tuple(fields)
        self.after_s = after_s  # seconds after which the server wants to be asked again


class NotFound(Refused):
    """No such job: it never was, was deleted, or has expired."""


class Conflict(Refused):
    """The state of the job forbids it."""


class Invalid(Refused):
    """A field is wrong, or the task is unknown."""


class Busy(Refused):
    """Not now: nothing was done, and the same may be taken later."""


class JobEnded(Error):
    """A job ended without a result."""

    def __init__(self, job: "Job", message: str) -> None:
        super().__init__(message)
        self.job = job  # as it ended

    @property
    def code(self) -> str | None:
        """Why it failed: `exception`, `timeout`, `worker_lost` …; None for one that was cancelled."""
        return self.job.error.code if self.job.error else None

    @property
    def traceback(self) -> str | None:
        """Of the task's own exception, as text, if there is one."""
        return self.job.error.traceback if self.job.error else None


class JobFailed(JobEnded):
    """The job failed."""


class JobWasCancelled(JobEnded):
    """The job was cancelled."""


_CLASSES: dict[str, type[Refused]] = {
    "not_found": NotFound,
    "conflict": Conflict,
    "invalid": Invalid,
    "too_many": Busy,
    "queue_full": Busy,
    "unavailable": Busy,
}


def refusal(problem: object, status: int, after_s: float | None = None) -> Refused | None:
    """The error in a problem+json, or in an `error` frame; None if it is neither.

    Args:
        problem: the decoded body.
        status: of HTTP, 0 for a frame.
        after_s: of the header Retry-After.
    """
    if not isinstance(problem, dict) or not isinstance(problem.get("code"), str):
        return None
    errors = problem.get("errors")
    fields = [
        FieldProblem(str(one.get("field")), str(one.get("message")))
        for one in (errors if isinstance(errors, list) else ())
        if isinstance(one, dict)
    ]
    said = "; ".join(f"{one.field}: {one.message}" for one in fields)
    detail = said or str(problem.get("detail") or problem.get("message") or problem.get("title") or "refused")
    code: str = problem["code"]
    return _CLASSES.get(code, Refused)(detail, code=code, status=status, fields=fields, after_s=after_s)
