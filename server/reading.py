"""What is asked of the store and what it answers, in the words of those who watch."""

from typing import Any

import msgpack

from server.broker import Change, ListWish, LogPiece
from server.job import JobState
from server.topic import Entry, Gap, Run, runs
from server.window import Match


def piece_runs(piece: LogPiece, after: int) -> list[Run | Gap]:
    """A piece of a stored log as runs and gaps."""
    rows = [(offset, None if packed is None else entry_of(packed), gap) for offset, packed, gap in piece.entries]
    return runs(piece.first, piece.last, after, rows)


def entry_of(packed: bytes) -> Entry:
    """One stored log entry."""
    return Entry(msgpack.unpackb(packed), len(packed))


def list_wish(match: Match) -> ListWish:
    """How the store finds what a filter lets through: by one index, comparing the rest."""
    states = [state.value for state in (JobState if match.states is None else sorted(match.states))]
    given = [
        (name, sorted(values))
        for name, values in (
            ("parent", match.parents),
            ("task", match.tasks),
            ("queue", match.queues),
            ("tag", match.tags),
        )
        if values is not None
    ]
    if not given:
        return ListWish(states)
    (index, values), *others = given
    return ListWish(states, index, values, others)


def outcome_of(change: Change) -> dict[str, Any]:
    """What an end frame adds to the summary, from a change that brings the end."""
    if change.outcome is None:
        return {}  # cancelled: there is neither result nor error
    value = msgpack.unpackb(change.outcome)
    if change.job.state is JobState.SUCCEEDED:
        return {"result": value, "result_bytes": len(change.outcome)}
    return {"error": value}
