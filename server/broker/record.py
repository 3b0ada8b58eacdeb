"""What scripts answer and announce, as values: a record is the array that `record` in `_prelude.lua` makes."""

from collections.abc import Container, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgpack

from server.expected import slots_for, start_in_s
from server.job import BLOCKED_LOOP, HELD, Children, Job, JobDetail, JobState
from server.pace import History

RECORD = 16  # items in a record; that of a job with children has one more
GONE = b"gone"  # in place of the state: the job was deleted
STATES = {state.value.encode(): state for state in JobState}
PLAIN: list[Any] = [None, None, 1.0, 0]  # limit, parent, weight and depth where `fixed` does not go so far
REMEMBERED = 1024  # of what many records have in common: it is decoded once


class Change(NamedTuple):
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


@lru_cache(REMEMBERED)
def _fixed(
    packed: bytes,
) -> tuple[str, str, tuple[str, ...], int, int, str | None, str | None, str | None, float, int]:
    task, queue, tags, priority, max_attempts, rerun_of, *more = msgpack.unpackb(packed)
    limit, parent, weight, depth = more + PLAIN[len(more) :]
    return task, queue, tuple(tags), priority, max_attempts, rerun_of, limit, parent, weight, depth


@lru_cache(REMEMBERED)
def _name(node: bytes) -> str:
    return node.decode()


@lru_cache(REMEMBERED)
def _offsets(firsts: bytes) -> tuple[int, ...]:
    return tuple(int(first) for first in firsts.split(b","))


def job_of(record: Sequence[Any], store: str) -> Job:
    """The job in a record."""
    id_, _, state, fixed, attempt, version, offset, *times, node, progress, warnings, firsts = record[:RECORD]
    children = Children(*unpack(record[RECORD])) if len(record) > RECORD else None
    created, scheduled, started, finished, updated = times
    task, queue, tags, priority, max_attempts, rerun_of, limit, parent, weight, depth = _fixed(fixed)
    bar, pace = _said(progress, STATES[state])
    return Job(
        id=id_.decode(),
        task=task,
        queue=queue,
        state=STATES[state],
        attempt=int(attempt),
        max_attempts=max_attempts,
        priority=priority,
        tags=tags,
        created_at=int(created),
        scheduled_at=_int(scheduled),
        started_at=_int(started),
        finished_at=_int(finished),
        updated_at=int(updated),
        node=_name(node) if node else None,
        progress=bar if children is None else children.rolled(bar),
        warnings=tuple(msgpack.unpackb(warnings)) if warnings else (),
        rerun_of=rerun_of,
        limit=limit,
        parent=parent,
        weight=weight,
        depth=depth,
        children=children,
        store=store,
        version=int(version),
        offset=int(offset),
        attempt_firsts=_offsets(firsts),
        pace=pace,
    )


def _said(packed: Any, state: JobState) -> tuple[dict[str, Any] | None, str | None]:
    """The bar and the pace, which runners pack together. Of a job that does not run any more nothing is expected."""
    if not packed:
        return None, None
    bar = msgpack.unpackb(packed)
    pace = bar.pop("pace", None)
    if state not in HELD:
        pace = None
        for name in ("rate", "eta_s", "eta_low_s", "eta_high_s"):
            bar.pop(name, None)
    return bar or None, pace


def fixed_of(
    task: str,
    queue: str,
    tags: Sequence[str],
    priority: int,
    max_attempts: int,
    rerun_of: str | None = None,
    limit: str | None = None,
    kin: tuple[str, float, int] | None = None,
) -> bytes:
    """The part of a job that never changes, as scripts and records carry it.

    Args:
        kin: parent, weight and depth of a child.
    """
    fixed = [task, queue, list(tags), priority, max_attempts, rerun_of]
    if kin is not None:
        return pack([*fixed, limit, *kin])
    return pack(fixed if limit is None else [*fixed, limit])


def changes_of(data: bytes, store: str, among: Container[str] | None = None) -> tuple[int, list[Change]]:
    """The sequence number and the changes in a message on the events channel.

    Args:
        data: the message.
        store: the name of the store it came from.
        among: ids of the jobs of interest, None for all. Each node hears of each job, and watches few.
    """
    seq, items = unpack(data)
    named = ((item[0][0].decode(), item) for item in items)
    return seq, [_change_of(id_, item, store) for id_, item in named if among is None or id_ in among]


def _change_of(id_: str, item: list[Any], store: str) -> Change:
    record, first, entries, outcome = item
    gone = record[2] == GONE
    if gone:
        record[2] = record[1]
    return Change(
        id=id_,
        was=STATES[record[1]] if record[1] else None,
        job=job_of(record, store),
        gone=gone,
        offset=int(record[6]),
        first=first or None,
        entries=tuple(entries or ()),
        outcome=outcome or None,
    )


def detail_of(row: Sequence[Any], store: str) -> JobDetail:
    """The job with everything, from a row of `fetch` with 'detail'."""
    record, args, result, error, result_bytes, timeout, position, checkpoint, waiting, profile, stacks = row
    job = job_of(record, store)
    return JobDetail(
        job=_with_stacks(job, {attempt: stack.decode() for attempt, stack in stacks}),
        args=msgpack.unpackb(args),
        result=msgpack.unpackb(result) if result else None,
        error=msgpack.unpackb(error) if error else None,
        result_bytes=_int(result_bytes),
        timeout_s=float(timeout) if timeout else None,
        position=None if position is False else int(position),
        start_in_s=_start_in_s(job, position, *waiting) if waiting else None,
        checkpoint=msgpack.unpackb(checkpoint) if checkpoint else None,
        profile=profile_of(profile),
    )


def _start_in_s(job: Job, position: int, took_ms: list[bytes], most: int | bool, nodes: list[bytes]) -> float | None:
    """When a queued job should start, as far as the store can tell."""
    slots = slots_for(job.task, job.queue, [msgpack.unpackb(node) for node in nodes])
    usual = History(int(one) / 1000 for one in took_ms)
    return start_in_s(position, slots.under(most or None), usual.mean_s)


def _with_stacks(job: Job, stacks: dict[int, str]) -> Job:
    """The job with the stacks of its warnings, which are too heavy for summaries."""
    if not stacks:
        return job
    known = [(one, stacks.get(one["attempt"]) if one["kind"] == BLOCKED_LOOP else None) for one in job.warnings]
    return job._replace(warnings=tuple({**one, "stack": stack} if stack else one for one, stack in known))


def profile_of(field: bytes | bool) -> bool | str:
    """Whether a job is profiled, and by what, as the store has it."""
    return field == b"true" or (field.decode() if isinstance(field, bytes) else False)
