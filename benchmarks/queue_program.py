"""A program of a contestant with all the processes it starts: CPU, memory, questions, and its end."""

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fanout_running import PINNED, children

STOP_S = 3.0


class Program:
    """Owns a process group. What it says on stderr is kept for the case that it fails."""

    def __init__(
        self, command: list[str], folder: str, environ: dict[str, str] | None = None, cores: list[int] | None = None
    ) -> None:
        self._name = " ".join(Path(word).name for word in command[:3])
        self._errors = tempfile.NamedTemporaryFile(dir=folder, delete=False)  # noqa: SIM115 (it lives as long as this)
        pinned = ["taskset", "-c", ",".join(map(str, cores))] if cores and PINNED else []
        self.popen = subprocess.Popen(
            [*pinned, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
        )

    def pids(self) -> list[int]:
        """All its processes."""
        found, left = [], [self.popen.pid]
        while left:
            pid = left.pop()
            with suppress(OSError):
                left += children(pid)
                found.append(pid)
        return found

    def cpu_s(self) -> float:
        """CPU seconds of all its processes, as clock_getcpuclockid(3) names their clocks."""
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in self.pids())

    def memory_mib(self) -> float:
        """Proportional memory (PSS) of all its processes: what is shared counts once."""
        rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids()]
        return sum(int(rollup.split("\nPss:")[1].split()[0]) for rollup in rollups) / 1024

    def ask(self, within_s: float, **question: Any) -> dict[str, Any]:
        """The answer to one line.

        Raises:
            RuntimeError: none came in time.
        """
        assert self.popen.stdin is not None
        with suppress(BrokenPipeError):
            self.popen.stdin.write(json.dumps(question).encode() + b"\n")
            self.popen.stdin.flush()
        told: dict[str, Any] = json.loads(self.answer(within_s))
        return told

    def answer(self, within_s: float) -> str:
        """The next line it says.

        Raises:
            RuntimeError: none came in time.
        """
        assert self.popen.stdout is not None
        line = b""
        if select.select([self.popen.stdout], [], [], within_s)[0]:
            line = self.popen.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name}: {self.last_words() or f'no answer within {within_s:.0f} s'}")
        return line.decode()

    def last_words(self) -> str:
        """The last line on stderr."""
        lines = Path(self._errors.name).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def kill(self) -> None:
        """kill -9 for all of its group."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        for file in (self.popen.stdin, self.popen.stdout, self._errors):
            with suppress(OSError):
                file.close()  # type: ignore[union-attr]

    def stop(self) -> None:
        """Ask it to end, then make it."""
        self.popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(STOP_S)
        self.kill()
