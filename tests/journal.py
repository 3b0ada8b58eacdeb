"""What tasks write down while they run, outside the server and its store, and the account that is drawn from it.

Each attempt appends lines to one file (`O_APPEND`: a line is written whole, and kill -9 takes none back): which job,
which attempt, in which process, what, when. The times are CLOCK_MONOTONIC, which all processes of a machine share.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

NS = 1_000_000_000
TASKS = '''
import asyncio, ctypes, os, time
from windsock import Progress, task

PATH = {path!r}

def note(progress: Progress, what: str) -> None:
    line = f"{{progress.job_id}} {{progress.attempt}} {{os.getpid()}} {{what}} {{time.monotonic_ns()}}\\n"
    file = os.open(PATH, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)

@task
async def piece(pause_s: float, progress: Progress) -> int:
    """Takes a while on the loop."""
    note(progress, "begins")
    try:
        await asyncio.sleep(pause_s)
    finally:
        note(progress, "ends")
    return progress.attempt

@task
def piece_in_thread(pause_s: float, progress: Progress) -> int:
    """Takes a while in a thread."""
    note(progress, "begins")
    try:
        time.sleep(pause_s)
    finally:
        note(progress, "ends")
    return progress.attempt

@task
async def steps(count: int, pause_s: float, progress: Progress) -> int:
    """Writes each step down, and logs it."""
    note(progress, "begins")
    try:
        for number in range(1, count + 1):
            progress.update(number, count)
            progress.log(f"step {{number}}")
            note(progress, f"step-{{number}}")
            await asyncio.sleep(pause_s)
    finally:
        note(progress, "ends")
    return count

@task
async def block(seconds: float, progress: Progress) -> int:
    """Blocks the loop, other threads run."""
    note(progress, "begins")
    await asyncio.sleep(0)
    time.sleep(seconds)
    note(progress, "ends")
    return progress.attempt

@task
async def seize(seconds: float, then_s: float, says: bool, progress: Progress, until: str = "") -> int:
    """In its first attempt C code holds the GIL, and it goes on for a while; the next one waits for a file."""
    note(progress, "begins")
    try:
        if progress.attempt == 1:
            ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
            note(progress, "released")
            end = time.monotonic() + then_s
            while time.monotonic() < end:
                await asyncio.sleep(0.05)
                if says:
                    progress.update(int(time.monotonic() * 1000))
        while progress.attempt > 1 and until and not os.path.exists(until):
            await asyncio.sleep(0.02)
    finally:
        note(progress, "ends")
    return progress.attempt

@task
async def clock() -> float:
    """What this process takes for the time."""
    return time.time()
'''


@dataclass
class Try:
    """One attempt as its own process wrote it down. Times in ns."""

    attempt: int
    pid: int
    begun: int
    ended: int | None = None  # None: it never came to that
    times: dict[str, int] = field(default_factory=dict)  # of everything it wrote, the last one of each kind


@dataclass(frozen=True)
class Death:
    """A kill -9. Times in ns: just before, and when the process was known to be gone."""

    name: str
    pid: int
    sent: int
    gone: int


class Journal:
    """Owns the file. Duties: write the task file, `read`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "journal.txt"
        self.tasks = folder / "journal_tasks.py"
        self.tasks.write_text(TASKS.format(path=str(self._path)))

    def read(self) -> dict[str, list[Try]]:
        """All attempts that began, by job, in the order they began. One that begins twice is there twice."""
        tries: dict[str, list[Try]] = defaultdict(list)
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            job_id, attempt, pid, what, at = line.split()
            if what == "begins":
                tries[job_id].append(Try(int(attempt), int(pid), int(at)))
            own = next(one for one in reversed(tries[job_id]) if (one.attempt, one.pid) == (int(attempt), int(pid)))
            own.times[what] = int(at)
            own.ended = int(at) if what == "ends" else own.ended
        return tries


def spans(tries: Iterable[Try], deaths: Mapping[int, Death]) -> list[tuple[int, int]]:
    """From when to when each attempt ran: to its last line, or to the death of its process (by pid)."""
    ends = {pid: death.gone for pid, death in deaths.items()}
    return [(one.begun, one.ended or ends.get(one.pid, 2**63)) for one in tries]


def together_s(tries: Iterable[Try], deaths: Mapping[int, Death]) -> float:
    """The longest time for which two of these attempts ran at once; seconds."""
    ran = sorted(spans(tries, deaths))
    overlaps = [min(one[1], other[1]) - other[0] for number, one in enumerate(ran) for other in ran[number + 1 :]]
    return max([0, *overlaps]) / NS
