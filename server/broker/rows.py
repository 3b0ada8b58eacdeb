"""Values as rows that scripts take, and back."""

from collections.abc import Sequence
from typing import Any

from server.broker.record import fixed_of, job_of, pack, profile_of
from server.broker.values import How, Lease, NewJob, Report, Submitted, Verdict
from server.codec import MSGPACK
from server.errors import Conflict, Invalid, Late, QueueFull, WindsockError
from server.job import Job, JobState
from server.settings import Settings

DIFFERS = "was used for another submit: take a new key"
CONFLICTS = {
    "ticked": "this tick of {new.schedule} was handed in before",
    "late": "job {parent} runs no more, or takes in no more jobs",
    "other": "its place has a child of another task, or with other arguments: {new.id}",
    "gone": "the job that was submitted with this idempotency key was deleted or has expired",
}
FULL_AFTER_S = 5.0  # when to try again where too much waits


def submission_row(job: NewJob) -> list[Any]:
    """A submission, as `submit` takes it."""
    kin = None if job.kin is None else (job.kin.parent, job.kin.weight, job.kin.depth)
    row = [
        job.id,
        fixed_of(job.task, job.queue, job.tags, job.priority, job.max_attempts, job.rerun_of, job.limit, kin),
        job.args,
        job.timeout_s or False,
        False if job.delay_s is None else round(job.delay_s * 1000),
        False if job.at is None else job.at,
        False if job.same is None else pack([job.same.unique or False, job.same.cache or False, _ms(job.same.cache_s)]),
        False if job.key is None else job.key.text,
        job.body,
        job.schedule or False,
        str(job.profile).lower() if job.profile else False,
    ]
    if job.kin is None and job.group is None:
        return row
    return [*row, False if job.kin is None else job.kin.token, job.group or False]


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def submitted_of(row: Sequence[Any], new: NewJob, store: str, settings: Settings) -> "Submitted | WindsockError":
    """What `submit` says to one submission."""
    code = row[0].decode()
    if code == "new":
        return Submitted(_stored(new, row[1], row[2] or None, store), How.ACCEPTED)
    if len(row) > 1 and code != "other":
        return Submitted(job_of(row[1], store), How(code))
    return _refusal(code, new, settings)


def _stored(new: NewJob, now: int, due: int | None, store: str) -> Job:
    """A job as it was stored a moment ago."""
    return Job(
        id=new.id,
        task=new.task,
        queue=new.queue,
        state=_first_state(new, now, due),
        attempt=1,
        max_attempts=new.max_attempts,
        priority=new.priority,
        tags=new.tags,
        created_at=now,
        scheduled_at=due,
        started_at=None,
        finished_at=None,
        updated_at=now,
        node=None,
        progress=None,
        warnings=(),
        rerun_of=new.rerun_of,
        limit=new.limit,
        parent=None if new.kin is None else new.kin.parent,
        weight=1.0 if new.kin is None else new.kin.weight,
        depth=0 if new.kin is None else new.kin.depth,
        store=store,
        version=now,
        offset=0,
    )


def _first_state(new: NewJob, now: int, due: int | None) -> JobState:
    if new.group is not None:
        return JobState.RUNNING
    return JobState.SCHEDULED if due is not None and due > now else JobState.QUEUED


def _refusal(code: str, new: NewJob, settings: Settings) -> WindsockError:
    if code == "pairs":
        most = settings.max_ready_sets
        return QueueFull(f"jobs of {most} pairs of queue and task are waiting (max_ready_sets)", after_s=FULL_AFTER_S)
    if code == "full":
        most = settings.queue_limit
        return QueueFull(f"{most} jobs wait in the queue {new.queue} (queue_limit)", after_s=FULL_AFTER_S)
    if code == "differs":
        return Invalid.field("idempotency_key" if new.key is None else new.key.field, DIFFERS)
    refusal = Late if code == "late" else Conflict
    return refusal(CONFLICTS[code].format(new=new, parent=new.kin.parent if new.kin else None))


def lease_of(row: Sequence[Any], token: str, store: str) -> Lease:
    """A lease, from a row of `claim`; its request is the token."""
    record, args, timeout, once, retried, checkpoint, profile = row
    job = job_of(record, store)
    return Lease(
        id=job.id,
        token=token,
        attempt=job.attempt,
        task=job.task,
        args=MSGPACK.decode(args),
        timeout_s=timeout or None,
        log_last=job.offset,
        job=job,
        packed=args,
        once=once or b"",
        retried=retried,
        checkpoint=checkpoint or None,
        profile=profile_of(profile),
    )


def lease_row(lease: Lease) -> list[Any]:
    """A lease, as `reassert` takes it."""
    job = lease.job
    kin = None if job.parent is None else (job.parent, job.weight, job.depth)
    return [
        lease.id,
        lease.token,
        lease.attempt,
        ",".join(map(str, job.attempt_firsts)),
        fixed_of(job.task, job.queue, job.tags, job.priority, job.max_attempts, job.rerun_of, job.limit, kin),
        lease.packed,
        lease.timeout_s or False,
        job.created_at,
        job.scheduled_at or False,
        job.version,
        lease.once or False,
        lease.retried,
    ]


def report_row(report: Report) -> list[Any]:
    """A report, as `report` takes it."""
    return [
        report.id,
        report.token,
        False if report.progress is None else MSGPACK.encode(report.progress),
        False if report.warnings is None else MSGPACK.encode(list(report.warnings)),
        report.first,
        list(report.entries),
        report.lost,
        report.known,
        report.checkpoint or False,
    ]


def verdict_row(verdict: Verdict) -> list[Any]:
    """A verdict, as `finish` takes it."""
    id_, token, progress, warnings, first, entries, lost, known, checkpoint = report_row(verdict.report)
    outcome = False if verdict.outcome is None else verdict.outcome
    return [
        id_,
        token,
        "retry" if verdict.state is JobState.SCHEDULED else verdict.state.value,
        outcome,
        verdict.result_bytes or False,
        progress,
        warnings,
        first,
        entries,
        lost,
        known,
        round(verdict.delay_s * 1000),
        checkpoint,
        False if verdict.took_ms is None else verdict.took_ms,
    ]
