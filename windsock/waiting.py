"""Waiting for a job's end: in pieces that a server and what stands before it let pass. Pure."""

from dataclasses import dataclass

from windsock.errors import JobFailed, JobWasCancelled
from windsock.job import Job

PIECE_S = 25  # whole seconds that the server holds an answer back
LOOK_S = 0.1  # between two looks in the last second


@dataclass(slots=True)
class Wait:
    """One wait, and how much of it is left."""

    job_id: str
    until: float | None  # monotonic seconds; None: for ever

    @classmethod
    def of(cls, job_id: str, timeout_s: float | None, now: float) -> "Wait":
        """A wait that begins now."""
        return cls(job_id, None if timeout_s is None else now + timeout_s)

    def piece_s(self, now: float) -> int:
        """How long the server is asked to wait, in whole seconds."""
        return PIECE_S if self.until is None else max(min(int(self.until - now), PIECE_S), 0)

    def left_s(self, now: float) -> float | None:
        """How long it may still take; None: for ever."""
        return None if self.until is None else max(self.until - now, 0.0)

    def rest_s(self, now: float) -> float:
        """How long to wait before the server is asked again: in the last second it cannot do it for us.

        Raises:
            TimeoutError: the time is over.
        """
        left_s = PIECE_S if self.until is None else self.until - now
        if left_s <= 0:
            raise TimeoutError(f"job {self.job_id} has not ended in time; it goes on")
        return min(left_s, LOOK_S) if left_s < 1 else 0.0


def result_of(job: Job) -> object:
    """The result of an ended job.

    Raises:
        JobFailed, JobWasCancelled: it has none.
    """
    if job.state == "succeeded":
        return job.result
    if job.state == "cancelled":
        raise JobWasCancelled(job, f"job {job.id} ({job.task}) was cancelled")
    said = f"{job.error.code}: {job.error.message}" if job.error else "failed"
    raise JobFailed(job, f"job {job.id} ({job.task}) failed: {said}")
