"""Where a client stands in a job's history, and how it goes on from there. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

_CURSOR = re.compile(r"([a-z0-9]{1,16})-(\d{1,9})\.(\d{1,16})\.(\d{1,16})", re.ASCII)


class Cursor(NamedTuple):
    """`epoch.version.offset`, where epoch is store and attempt. Opaque to clients."""

    store: str  # name of the store that numbered it
    attempt: int
    version: int  # of the summary
    offset: int  # of the last log entry held

    def __str__(self) -> str:
        return f"{self.store}-{self.attempt}.{self.version}.{self.offset}"

    @classmethod
    def parse(cls, text: str | None) -> "Cursor | None":
        """The cursor in `text`, or None for garbage: a client with garbage starts afresh."""
        match = _CURSOR.fullmatch(text) if text else None
        if match is None:
            return None
        store, attempt, version, offset = match.groups()
        return cls(store, int(attempt), int(version), int(offset))


class How(StrEnum):
    """How a snapshot relates to what the client holds."""

    FRESH = "fresh"
    RESUMED = "resumed"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Resume:
    """The answer to a cursor."""

    how: How
    offset: int  # the client holds the log up to here; it goes on at offset + 1
    log_from: int | None = None  # for a reset: drop what you hold from this offset on


def resume(cursor: Cursor, store: str, attempt_firsts: tuple[int, ...]) -> Resume:
    """How a client that holds `cursor` goes on (protocol.md section 3, the table under "Order").

    Args:
        store: name of the store as it is now.
        attempt_firsts: for each attempt so far, the offset of its first log entry.
    """
    attempt = len(attempt_firsts)
    if cursor.store != store or cursor.attempt > attempt or cursor.attempt < 1:
        return Resume(How.RESET, 0, log_from=1)
    if cursor.attempt < attempt:
        next_first = min(attempt_firsts[cursor.attempt :])
        if cursor.offset >= next_first:  # the store lost entries this client saw, and their writer is dead
            return Resume(How.RESET, next_first - 1, log_from=next_first)
    return Resume(How.RESUMED, cursor.offset)
