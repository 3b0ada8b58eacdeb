"""Who ran when: one shared file that jobs write to and the observer reads, without a word to Redis."""

import mmap
import os
import time

FIELDS = 3
BYTES = 8


class Marks:
    """Owns a mapped file with a place for each job: how often it ran, when it last did, in which process."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        view = memoryview(self._map).cast("Q")
        jobs = len(view) // FIELDS
        self.runs, self.at_ns, self.pids = (view[part * jobs : (part + 1) * jobs] for part in range(FIELDS))

    def ran(self, number: int) -> None:
        """The job with this number is here now. Times are of the wall clock, in nanoseconds."""
        self.runs[number] += 1
        self.at_ns[number] = time.time_ns()
        self.pids[number] = os.getpid()


def create(path: str, jobs: int) -> Marks:
    """An empty file for so many jobs, mapped."""
    with open(path, "wb") as file:
        file.truncate(jobs * FIELDS * BYTES)
    return Marks(path)
