"""What a node knows of one watched job: its newest summary, and the end of its log. Pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from server.cursor import Cursor, How, resume
from server.job import Job
from server.protocol import GapReason
from server.watcher import Watched

RING_ENTRIES = 1000
RING_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One log entry as the wire shows it, with its packed size in bytes."""

    value: dict[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class Run:
    """Entries of consecutive offsets."""

    first: int
    entries: list[Entry]

    @property
    def last(self) -> int:
        """Offset of the last entry."""
        return self.first + len(self.entries) - 1


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets that will not come."""

    first: int
    last: int
    why: GapReason


def clipped(piece: Run | Gap, tail: int) -> Run | Gap | None:
    """The part of a piece up to the offset `tail`; None where there is none."""
    if piece.first > tail:
        return None
    if piece.last <= tail:
        return piece
    if isinstance(piece, Gap):
        return Gap(piece.first, tail, piece.why)
    return Run(piece.first, piece.entries[: tail - piece.first + 1])


def runs(
    first_kept: int, last: int, after: int, rows: Iterable[tuple[int, Entry | None, int | None]]
) -> list[Run | Gap]:
    """A piece of a stored log as a client is told of it: contiguous runs, and a gap for every offset that is missing.

    Args:
        first_kept: first offset the store still has, last + 1 when none.
        last: last offset stored.
        after: the client holds everything up to here.
        rows: in order of offset: an entry, or None with the first offset of a gap that ends there.
    """
    found: list[Run | Gap] = []
    position = after
    for offset, entry, gap_from in rows:
        first = offset if gap_from is None else max(gap_from, position + 1)
        if first > position + 1:
            found.append(Gap(position + 1, first - 1, GapReason.TRIMMED))
        if entry is None:
            found.append(Gap(first, offset, GapReason.LOST))
        else:
            tail = found[-1] if found else None
            if isinstance(tail, Run) and tail.last == offset - 1:
                tail.entries.append(entry)
            else:
                found.append(Run(offset, [entry]))
        position = offset
    if not found and first_kept > last > after:
        found.append(Gap(after + 1, last, GapReason.TRIMMED))
    return found


class Ring:
    """The latest entries of a log, contiguous up to `tail`; older ones are in the store."""

    __slots__ = ("_entries", "_size", "tail")

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._size = 0
        self.tail = 0  # last offset known to exist

    @property
    def first(self) -> int:
        """Offset of the oldest entry held; tail + 1 when none is."""
        return self.tail - len(self._entries) + 1

    def extend(self, first: int, entries: list[Entry]) -> None:
        """Take in entries from offset `first` on; known ones are passed over, a hole drops what is before it."""
        if first > self.tail + 1:
            self.skip(first - 1)
        for entry in entries[max(0, self.tail + 1 - first) :]:
            self._entries.append(entry)
            self._size += entry.size
            self.tail += 1
        while len(self._entries) > RING_ENTRIES or self._size > RING_BYTES:
            self._size -= self._entries.popleft().size

    def backfill(self, run: Run) -> None:
        """Take in older entries that were read from the store, as far as they join those held and there is room."""
        if run.last < self.first - 1:
            return
        for entry in reversed(run.entries[: max(0, self.first - run.first)]):
            if len(self._entries) >= RING_ENTRIES or self._size + entry.size > RING_BYTES:
                return
            self._entries.appendleft(entry)
            self._size += entry.size

    def skip(self, tail: int) -> None:
        """The log goes on to `tail`, without its entries at hand."""
        if tail > self.tail:
            self._entries.clear()
            self._size = 0
            self.tail = tail

    def rewind(self, tail: int) -> None:
        """The store has lost what came after `tail`, and other entries may take its place."""
        while self._entries and self.tail > tail:
            self._size -= self._entries.pop().size
            self.tail -= 1
        self.tail = min(self.tail, tail)

    def run(self, after: int, max_bytes: int) -> Run | None:
        """Entries from `after` + 1 on, about `max_bytes` of them; None when the ring does not reach back so far."""
        if not self.first <= after + 1 <= self.tail:
            return None
        taken: list[Entry] = []
        size = 0
        for i in range(after + 1 - self.first, len(self._entries)):
            entry = self._entries[i]
            size += entry.size
            if taken and size > max_bytes:
                break
            taken.append(entry)
        return Run(after + 1, taken)


class Topic(Watched):
    """One watched job, shared by all who watch it on this node."""

    __slots__ = ("changes", "expected", "id", "job", "loading", "missing", "outcome", "ring", "waiting", "waiting_at")

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.id = job_id
        self.job: Job | None = None  # None until loaded
        self.missing = False  # the store has no such job
        self.outcome: dict[str, Any] | None = None  # of an ended job: what the end frame adds; None until read
        self.ring = Ring()
        self.loading = False
        self.expected = False  # it was there: this node, or a client that brings a cursor, has seen it
        self.changes = 0  # summaries taken in
        self.waiting: dict[str, Any] = {}  # of a queued job: its place and expected start, when it was read …
        self.waiting_at = 0.0  # … at this monotonic time

    @property
    def epoch(self) -> tuple[str, int] | None:
        """Store and attempt that the log's tail belongs to; None while nothing is known."""
        return None if self.job is None else (self.job.store, self.job.attempt)

    @property
    def loaded(self) -> bool:
        """Whether it can be said what the job is."""
        return self.missing or self.job is not None

    @property
    def complete(self) -> bool:
        """Whether nothing has to be read for a watcher to be told everything but old log entries."""
        return self.missing or (self.job is not None and (not self.job.ended or self.outcome is not None))

    def has(self, offset: int) -> bool:
        """Whether the log is known to reach so far."""
        return self.job is not None and offset <= max(self.ring.tail, self.job.offset)

    def lose(self) -> None:
        """The store has no such job, and nobody will make it known again."""
        self.job, self.missing, self.expected = None, True, False

    def apply(self, job: Job) -> bool:
        """Take in a summary; whether it was news. A lower version never wins, a terminal one always."""
        self.missing = False
        if self.job is not None and self.job.store == job.store and not job.newer_than(self.job):
            return False
        if self.job is not None and (self.job.store, self.job.attempt) != (job.store, job.attempt):
            held = Cursor(self.job.store, self.job.attempt, self.job.version, self.ring.tail)
            answer = resume(held, job.store, job.attempt_firsts)
            if answer.how is How.RESET:  # other entries have taken the place of some that are held
                self.ring.rewind(answer.offset)
        self.job = job
        self.expected = True
        self.changes += 1
        self.ring.rewind(job.offset)
        return True
