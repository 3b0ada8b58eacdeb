"""The log entries of one attempt that its runner holds: what the store lacks, and what it got a short while ago. Pure.

A store may come back without its tail (a power failure, a failover). What it had confirmed is then needed once more, so
it is kept for some seconds, and `after` finds it again by offset.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Keep:
    """How much of what was sent is kept."""

    seconds: float = 5.0
    entries: int = 10_000
    bytes: int = 2 * 1024 * 1024


@dataclass(slots=True)
class Backlog:
    """Owns the entries from the oldest that may be needed to the newest; offsets are the runner's."""

    max_entries: int  # unsent
    max_bytes: int  # unsent
    keep: Keep = Keep()
    first: int = 1  # offset of unsent[0]
    unsent: deque[bytes] = field(default_factory=deque)  # packed, ready for the store; oldest first
    size: int = 0  # bytes in unsent
    sent: deque[tuple[int, float, bytes]] = field(default_factory=deque)  # offset, monotonic seconds, entry
    sent_size: int = 0  # bytes in sent

    @property
    def next_offset(self) -> int:
        """Offset that the next entry will get."""
        return self.first + len(self.unsent)

    @property
    def pressing(self) -> bool:
        """Whether so much waits that it should not wait any longer."""
        return 2 * len(self.unsent) >= self.max_entries or 2 * self.size >= self.max_bytes

    def append(self, entry: bytes) -> None:
        """Add one entry; over the limits the oldest unsent go, and the store will show a gap in their place."""
        self.unsent.append(entry)
        self.size += len(entry)
        while len(self.unsent) > self.max_entries or self.size > self.max_bytes:
            self._pop()

    def _pop(self) -> bytes:
        entry = self.unsent.popleft()
        self.size -= len(entry)
        self.first += 1
        return entry

    def stored(self, through: int, now: float) -> None:
        """The store has everything up to the offset `through`; `now` in monotonic seconds.

        While it has less than it had, nothing is forgotten: however long it was away, all of it is needed.
        """
        if through < self.first - 1:
            return
        while self.unsent and self.first <= through:
            offset, entry = self.first, self._pop()
            self.sent.append((offset, now, entry))
            self.sent_size += len(entry)
        self._forget(now - self.keep.seconds)

    def _forget(self, before: float) -> None:
        keep, sent = self.keep, self.sent
        while sent and (sent[0][1] < before or len(sent) > keep.entries or self.sent_size > keep.bytes):
            self.sent_size -= len(sent.popleft()[2])

    def after(self, tail: int, max_bytes: int) -> tuple[int, list[bytes]]:
        """What to send to a store that has the log up to `tail`: an offset, and consecutive entries from there on.

        About `max_bytes` of them, at least one where there is any. An offset above `tail` + 1 means that nobody has
        what lies between; without entries it is that of the next one.
        """
        first, size = self.next_offset, 0
        run: list[bytes] = []
        for offset, entry in self._above(tail):
            if not run:
                first = offset
            elif offset != first + len(run) or size + len(entry) > max_bytes:
                break
            run.append(entry)
            size += len(entry)
        return first, run

    def _above(self, tail: int) -> Iterator[tuple[int, bytes]]:
        if self.sent and self.sent[-1][0] > tail:
            for offset, _, entry in self.sent:
                if offset > tail:
                    yield offset, entry
        for index, entry in enumerate(self.unsent):
            if self.first + index > tail:
                yield self.first + index, entry

    @property
    def bytes(self) -> int:
        """Bytes held in all."""
        return self.size + self.sent_size
