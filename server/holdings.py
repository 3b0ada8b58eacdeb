"""What the store leases to a worker against what the worker holds, beat by beat. Pure."""

from collections.abc import Collection

UNHELD_BEATS = 5  # a job leased to us that we do not hold is given back after each so many beats …
ENDED_BEATS = 2  # … but one whose end we have told is told of again; the first beat may have left before the end came
UNLEASED_BEATS = 2  # one that we hold and that is not leased to us is asked about; it may have just been claimed


class Holdings:
    """Owns how many beats in a row they have differed, job by job."""

    def __init__(self) -> None:
        self.unheld: dict[str, int] = {}  # leased to the worker, which does not hold it
        self.unleased: dict[str, int] = {}  # held, and leased to somebody else or to nobody

    def look(self, leased: Collection[str], held: Collection[str]) -> None:
        """What a beat says, and what the worker holds now."""
        self.unheld = {job_id: self.unheld.get(job_id, 0) + 1 for job_id in leased if job_id not in held}
        self.unleased = {job_id: self.unleased.get(job_id, 0) + 1 for job_id in held if job_id not in leased}
