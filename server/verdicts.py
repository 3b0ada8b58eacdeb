"""The ends a worker has told in the last minute, should the store lose them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Verdict = TypeVar("Verdict")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[Verdict]):
    verdict: Verdict
    size: int  # bytes
    at: float  # monotonic seconds


class Verdicts(Generic[Verdict]):
    """Owns them by job id, the oldest first, within bounds of age, number and bytes."""

    def __init__(self, keep_s: float, max_count: int, max_bytes: int) -> None:
        self._keep_s = keep_s
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._kept: dict[str, _Kept[Verdict]] = {}
        self.size = 0  # bytes in all

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._kept

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._kept))

    def __getitem__(self, job_id: str) -> Verdict:
        return self._kept[job_id].verdict

    def add(self, job_id: str, verdict: Verdict, size: int, now: float) -> None:
        """Keep one; the oldest go where it is too much."""
        self.discard(job_id)
        self._kept[job_id] = _Kept(verdict, size, now)
        self.size += size
        self.forget(now)

    def discard(self, job_id: str) -> None:
        """It has become void: the job runs anew."""
        kept = self._kept.pop(job_id, None)
        if kept is not None:
            self.size -= kept.size

    def forget(self, now: float) -> None:
        """Drop what is too old or too much."""
        while self._kept:
            job_id, kept = next(iter(self._kept.items()))
            young = now - kept.at <= self._keep_s
            if young and len(self._kept) <= self._max_count and self.size <= self._max_bytes:
                return
            self.discard(job_id)
