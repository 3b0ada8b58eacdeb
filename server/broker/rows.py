"""Values as rows that scripts take, and back."""

from collections.abc import Sequence
from typing import Any

from server.broker.record import fixed_of, job_of
from server.broker.values import Lease, NewJob, Report, Verdict
from server.codec import MSGPACK


def submission_row(job: NewJob) -> list[Any]:
    """A submission, as `submit` takes it."""
    return [
        job.id,
        fixed_of(job.task, job.queue, job.tags, job.priority, job.max_attempts, job.rerun_of),
        job.args,
        job.timeout_s or False,
        False if job.delay_s is None else round(job.delay_s * 1000),
        False if job.at is None else job.at,
    ]


def lease_of(row: Sequence[Any], token: str, store: str) -> Lease:
    """A lease, from a row of `claim`; its request is the token."""
    record, args, timeout = row
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
    )


def lease_row(lease: Lease) -> list[Any]:
    """A lease, as `reassert` takes it."""
    job = lease.job
    return [
        lease.id,
        lease.token,
        lease.attempt,
        ",".join(map(str, job.attempt_firsts)),
        fixed_of(job.task, job.queue, job.tags, job.priority, job.max_attempts, job.rerun_of),
        lease.packed,
        lease.timeout_s or False,
        job.created_at,
        job.scheduled_at or False,
        job.version,
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
    ]


def verdict_row(verdict: Verdict) -> list[Any]:
    """A verdict, as `finish` takes it."""
    id_, token, progress, warnings, first, entries, lost, known = report_row(verdict.report)
    outcome = False if verdict.outcome is None else verdict.outcome
    return [
        id_,
        token,
        verdict.state.value,
        outcome,
        verdict.result_bytes or False,
        progress,
        warnings,
        first,
        entries,
        lost,
        known,
    ]
