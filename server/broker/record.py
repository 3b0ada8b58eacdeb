"""What scripts answer and announce, as values: a record is the array that `record` in `_prelude.lua` makes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from server.job import Job, JobDetail, JobState

GONE = b"gone"  # in place of the state: the job was deleted


@dataclass(frozen=True, slots=True)
class Change:
    """One job's part of a message on the events channel."""

    id: str
    was: JobState | None  # the state before; None for a new job
    job: Job  # as it is now; for a deleted one as it was
    gone: bool  # it was deleted
    offset: int  # last log offset stored
    first: int | None  # offset of entries[0]; None when no entries travel with the message
    entries: tuple[bytes, ...]  # packed log entries
    outcome: Any  # of an ended job: its packed result or error as bytes; None when it has to be read


def unpack(data: bytes) -> Any:
    """A value packed by Lua: its strings are bytes here, because they hold packed values too."""
    return msgpack.unpackb(data, raw=True, strict_map_key=False)


def pack(value: Any) -> bytes:
    """A value for Lua's cmsgpack, which knows no bin type."""
    return bytes(msgpack.packb(value, use_bin_type=False))


def _int(value: Any) -> int | None:
    return None if value is False or value is None else int(value)


def job_of(record: Sequence[Any], store: str) -> Job:
    """The job in a record."""
    id_, _, state, fixed, attempt, version, offset, *times, node, progress, warnings, firsts = record
    created, scheduled, started, finished, updated = times
    task, queue, tags, priority, max_attempts, rerun_of = msgpack.unpackb(fixed)
    return Job(
        id=id_.decode(),
        task=task,
        queue=queue,
        state=JobState(state.decode()),
        attempt=int(attempt),
        max_attempts=max_attempts,
        priority=priority,
        tags=tuple(tags),
        created_at=int(created),
        scheduled_at=_int(scheduled),
        started_at=_int(started),
        finished_at=_int(finished),
        updated_at=int(updated),
        node=node.decode() if node else None,
        progress=msgpack.unpackb(progress) if progress else None,
        warnings=tuple(msgpack.unpackb(warnings)) if warnings else (),
        rerun_of=rerun_of,
        store=store,
        version=int(version),
        offset=int(offset),
        attempt_firsts=tuple(int(first) for first in firsts.split(b",")),
    )


def fixed_of(
    task: str, queue: str, tags: Sequence[str], priority: int, max_attempts: int, rerun_of: str | None = None
) -> bytes:
    """The part of a job that never changes, as scripts and records carry it."""
    return pack([task, queue, list(tags), priority, max_attempts, rerun_of])


def changes_of(data: bytes, store: str) -> tuple[int, list[Change]]:
    """The sequence number and the changes in a message on the events channel."""
    seq, items = unpack(data)
    return seq, [_change_of(item, store) for item in items]


def _change_of(item: list[Any], store: str) -> Change:
    record, first, entries, outcome = item
    gone = record[2] == GONE
    if gone:
        record[2] = record[1]
    return Change(
        id=record[0].decode(),
        was=JobState(record[1].decode()) if record[1] else None,
        job=job_of(record, store),
        gone=gone,
        offset=int(record[6]),
        first=first or None,
        entries=tuple(entries or ()),
        outcome=outcome or None,
    )


def detail_of(row: Sequence[Any], store: str) -> JobDetail:
    """The job with everything, from a row of `fetch` with 'detail'."""
    record, args, result, error, result_bytes, timeout, position = row
    return JobDetail(
        job=job_of(record, store),
        args=msgpack.unpackb(args),
        result=msgpack.unpackb(result) if result else None,
        error=msgpack.unpackb(error) if error else None,
        result_bytes=_int(result_bytes),
        timeout_s=float(timeout) if timeout else None,
        position=None if position is False else int(position),
    )
