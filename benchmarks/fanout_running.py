"""A contestant that runs: the process that is measured, what a client has to say to it, and its end."""

import os
import select
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from processes import Process

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
PINNED = len(CORES) > 1


def pin(pid: int, cores: list[int]) -> None:
    """All threads of a process, onto these cores; nothing where there is only one."""
    if PINNED:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), cores)


def children(pid: int) -> list[int]:
    """The processes that one has started."""
    found = [Path(f"/proc/{pid}/task/{thread}/children").read_text() for thread in os.listdir(f"/proc/{pid}/task")]
    return [int(word) for word in " ".join(found).split()]


def cores_cpu_s(cores: list[int]) -> float:
    """CPU seconds that these cores have worked so far, whoever kept them busy."""
    total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            total += sum(map(int, fields[:8])) - int(fields[3]) - int(fields[4])
    return total / os.sysconf("SC_CLK_TCK")


@dataclass
class Running:
    """Owns the processes of a contestant. The one measured is alone on the first core."""

    port: int
    pid: int  # of the process that is measured
    popen: subprocess.Popen[str]  # of the one that was started
    plan: list[tuple[str, str]]  # path and first message ("-": none) of the first client, of the second, …
    ready: str
    subprotocol: str = ""
    collects: bool = False
    publisher: Callable[[], Process] | None = None  # starts who publishes; None: a signal makes the contestant do it
    others: list[Process] = field(default_factory=list)  # that end with it

    def __post_init__(self) -> None:
        pin(self.pid, CORES[:1])
        for child in children(self.pid):
            pin(child, CORES[1:])

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        for other in self.others:
            other.kill()
        self.popen.terminate()
        try:
            self.popen.wait(20)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()

    def begin(self) -> None:
        """Publish from now on."""
        if self.publisher is None:
            self.popen.send_signal(signal.SIGUSR2)
        else:
            self.others.append(self.publisher())

    def cpu_s(self) -> float:
        """CPU seconds used so far, user and system, of all threads.

        The clock of another process, as clock_getcpuclockid(3) names it: what /proc/PID/stat rounds to 10 ms.
        """
        return time.clock_gettime(~self.pid << 3 | 2)

    def memory_kib(self) -> int:
        """Resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def collect_ms(self) -> float | None:
        """How long one full collection takes, the median of three; None for those that have none."""
        return statistics.median(self._collect() for _ in range(3)) if self.collects else None

    def _collect(self) -> float:
        assert self.popen.stdout is not None
        self.popen.send_signal(signal.SIGUSR1)
        if not select.select([self.popen.stdout], [], [], 30)[0]:
            raise RuntimeError("no answer to SIGUSR1")
        return float(self.popen.stdout.readline())
