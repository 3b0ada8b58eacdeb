"""What a program hands in. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a job is to be run. What is None is left to the task's own options."""

    queue: str | None = None
    priority: int | None = None  # -10 to 10, higher first
    delay_s: float | None = None  # not before: seconds from now
    at: datetime | int | None = None  # not before: a moment, or milliseconds since the Unix epoch; not with delay_s
    max_attempts: int | None = None  # attempts that may be lost with their worker
    timeout_s: float | None = None  # the longest an attempt may run
    tags: Sequence[str] = ()  # to find it by
    profile: bool | str | None = None  # True or "cprofile": measure where its time goes
    idempotency_key: str | None = None  # the same key within a day gives the first job; made up where not given

    def wire(self) -> dict[str, Any]:
        """The fields of a submit."""
        told = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "idempotency_key"}
        if isinstance(self.at, datetime):
            told["at"] = int(self.at.timestamp() * 1000)
        return {name: _plain(value) for name, value in told.items() if value is not None and value != ()}


@dataclass(frozen=True, slots=True)
class Submission:
    """One job to be."""

    task: str
    args: Mapping[str, Any] = field(default_factory=dict)
    options: Options = field(default_factory=Options)

    def wire(self) -> dict[str, Any]:
        """As `POST /api/jobs` takes it."""
        return {"task": self.task, "args": dict(self.args), **self.options.wire()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
