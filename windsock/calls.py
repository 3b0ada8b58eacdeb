"""What may be asked of a server: a request for each, and how its answer is read. Pure.

Both clients stand on this; they differ only in how they wait.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

from windsock.errors import Busy, Refused, Unreachable, refusal
from windsock.http import Answer
from windsock.job import Job, JobPage, LogPage
from windsock.submission import Submission

Result = TypeVar("Result")
Chosen = Mapping[str, "str | int | Iterable[str] | None"]
Record = Mapping[str, Any]
Records = tuple[Record, ...]
Outcomes = tuple[Job | Refused, ...]
KEY = "Idempotency-Key"
JOBS = "/api/jobs"
PATIENCE_S = 60.0  # who waits for an end waits through a restart of the server
_GATEWAY = frozenset({502, 503, 504})  # what a proxy says for a server
MOST_JOBS, MOST_BYTES = 1000, 8 * 1024 * 1024  # of one batch: a server takes ten times that


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """One request and the way to read its answer."""

    method: str
    path: str
    read: Callable[[Any], Result]  # from the decoded body, None where there is none
    body: bytes | None = None
    headers: Mapping[str, str] | None = None
    repeatable: bool = True  # whether it may come twice without harm
    wait_s: float = 0.0  # how long the server may hold the answer back
    patience_s: float = 0.0  # for how long it is tried again at least
    left_s: float | None = None  # after which nobody wants the answer any more
    raw: bool = False  # the body is a file: `read` gets its bytes

    def judge(self, url: str, answer: Answer, after_s: float | None) -> Result:
        """What the answer says.

        Args:
            url: of the server, for messages.
            answer: what came.
            after_s: what its Retry-After says.

        Raises:
            Refused: the server said no.
            Unreachable: this is no answer of a Windsock server.
        """
        try:
            value = json.loads(answer.body) if answer.body else None
        except ValueError:
            value = None
        if answer.status in (204, 304):
            return self.read(None)
        if self.raw and answer.status == 200:
            return self.read(answer.body)
        if 200 <= answer.status < 300 and value is not None:
            try:
                return self.read(value)
            except (KeyError, TypeError, AttributeError):
                raise foreign(url, answer.status) from None
        refused = refusal(value, answer.status, after_s)
        if refused is None:
            raise foreign(url, answer.status)
        if answer.status >= 500 and not isinstance(refused, Busy):
            raise Unreachable(
                f"the server at {url} has a fault: {refused.detail} ({refused.code})", reason="fault", sent=True
            )
        raise refused


def submit(submission: Submission) -> Call[Job]:
    """A job handed in, under a key, so that the same request twice is one job."""
    key = submission.options.idempotency_key or uuid4().hex
    return Call("POST", JOBS, Job.of, encode(submission.wire()), {KEY: key})


def submit_many(submissions: Iterable[Submission]) -> Call[Outcomes]:
    """A batch; what became of each job, in order. It must not come twice."""
    return Call("POST", JOBS, _outcomes, encode([one.wire() for one in submissions]), repeatable=False)


def submit_group(name: str, submissions: Iterable[Submission], key: str | None) -> Call[tuple[Job, Outcomes]]:
    """A batch as one thing to watch, under a key; the group, and what became of each job."""
    path = JOBS + "?" + urlencode({"group": name})
    body = encode([one.wire() for one in submissions])
    return Call("POST", path, lambda told: (Job.of(told["group"]), _outcomes(told)), body, {KEY: key or uuid4().hex})


def get(job_id: str) -> Call[Job]:
    """A job with everything."""
    return Call("GET", job_path(job_id), Job.of)


def end(job_id: str, wait_s: int, left_s: float | None = None) -> Call[Job | None]:
    """A job as it ended; None when it has not within `wait_s`; for who waits `left_s` at most."""
    path = job_path(job_id) + "?" + urlencode({"until": "end", "wait": wait_s})
    return Call("GET", path, lambda told: told and Job.of(told), wait_s=wait_s, patience_s=PATIENCE_S, left_s=left_s)


def page(chosen: Chosen, limit: int, before: str | None = None) -> Call[JobPage]:
    """One page of a list, newest first."""
    return Call("GET", query(JOBS, {**chosen, "limit": limit, "before": before}), _page)


def children(job_id: str, chosen: Chosen, limit: int, before: str | None = None) -> Call[JobPage]:
    """One page of the jobs that a job has spawned."""
    path = query(job_path(job_id, "children"), {**chosen, "limit": limit, "before": before})
    return Call("GET", path, _page)


def log(job_id: str, after: int, limit: int) -> Call[LogPage]:
    """A piece of a job's log, from offset `after` + 1 on."""
    path = job_path(job_id, "log") + "?" + urlencode({"after": after, "limit": limit})
    return Call("GET", path, _log)


def cancel(job_id: str) -> Call[Job]:
    """A job asked to end."""
    return Call("POST", job_path(job_id, "cancel"), Job.of, repeatable=False)


def rerun(job_id: str) -> Call[Job]:
    """An ended job run anew."""
    return Call("POST", job_path(job_id, "rerun"), Job.of, repeatable=False)


def delete(job_id: str) -> Call[None]:
    """An ended job forgotten."""
    return Call("DELETE", job_path(job_id), lambda told: None, repeatable=False)


def stack(job_id: str) -> Call[Record]:
    """Where a running job stands."""
    return Call("GET", job_path(job_id, "stack"), lambda told: {**told})


def profile(job_id: str, seconds: float) -> Call[int]:
    """A running job measured; the number of the profile that will be there."""
    body = encode({"seconds": seconds})
    return Call("POST", job_path(job_id, "profile"), lambda told: int(told["profile"]), body, repeatable=False)


def profiles(job_id: str) -> Call[Records]:
    """The profiles kept with a job."""
    return Call("GET", job_path(job_id, "profiles"), lambda told: tuple(told["profiles"]))


def profile_file(job_id: str, number: int, form: str) -> Call[bytes]:
    """One profile: "html" (a flame graph), "json" (for speedscope), "pstats" (for Python's pstats)."""
    return Call("GET", job_path(job_id, "profiles", f"{number:d}.{form}"), bytes, raw=True)


def tasks() -> Call[Records]:
    """What can be submitted."""
    return Call("GET", "/api/tasks", lambda told: tuple(told["tasks"]))


def nodes() -> Call[Records]:
    """The processes alive."""
    return Call("GET", "/api/nodes", lambda told: tuple(told["nodes"]))


def job_path(job_id: str, *parts: str) -> str:
    """The path of a job; an id that was mistyped as a path or a query stays one segment.

    Raises:
        ValueError: it cannot be an id at all.
    """
    if not job_id.strip(".") or len(job_id) > 64:
        raise ValueError(f"{job_id!r} is not the id of a job")
    return "/".join([JOBS, quote(job_id, safe="", errors="replace"), *parts])


def query(path: str, chosen: Chosen) -> str:
    """A path with what was chosen; None is left out, several values are any of them."""
    given = {name: value for name, value in chosen.items() if value is not None}
    return path + ("?" + urlencode(given, doseq=True, errors="replace") if given else "")


def encode(value: Any) -> bytes:
    """A value as JSON.

    Raises:
        TypeError, ValueError: it holds something JSON has no word for, such as a datetime or NaN.
    """
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def _page(told: Mapping[str, Any]) -> JobPage:
    return JobPage(tuple(Job.of(job) for job in told["jobs"]), told.get("next"), told.get("counts"))


def _log(told: Mapping[str, Any]) -> LogPage:
    return LogPage(tuple(told["entries"]), told["first"] or 0, told["last"] or 0, told.get("next"))


def foreign(url: str, status: int | None = None) -> Unreachable:
    """What to say of an answer that no Windsock server gives; a proxy gives some while the server behind it is away."""
    if status in _GATEWAY:
        return Unreachable(f"no server answers behind {url} (HTTP {status})", reason="fault", sent=True)
    told = f" (HTTP {status})" if status else ""
    return Unreachable(f"{url} answers, but not as a Windsock server{told}", reason="foreign", sent=True)


def _outcomes(told: Any) -> Outcomes:
    return tuple(Job.of(one) if "id" in one else _refused(one) for one in told["jobs"])


def _refused(problem: Any) -> Refused:
    found = refusal(problem, int(problem.get("status") or 0))
    return found or Refused("refused", code="internal", status=0)


def batches(submissions: Iterable[Submission]) -> Iterable[list[Submission]]:
    """In portions that a server takes in one request."""
    portion: list[Submission] = []
    size = 0
    for one in submissions:
        added = len(encode(one.wire()))
        if portion and (len(portion) >= MOST_JOBS or size + added > MOST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(one)
        size += added
    if portion:
        yield portion
