"""The clients: `fanout_load.c`, compiled, told what to do and asked what it saw."""

import json
import select
import subprocess
from pathlib import Path
from typing import Any

from fanout_peers import compiled
from fanout_running import CORES, Running, pin
from processes import ROOT

SOURCE = ROOT / "benchmarks" / "fanout_load.c"
ANSWER_S = 150.0


class Load:
    """Owns the process that holds the connections; they end with it."""

    def __init__(self, running: Running, groups: int, folder: str) -> None:
        plan = Path(folder, "plan")
        plan.write_text("".join(f"{path}\t{first}\n" for path, first in running.plan))
        command = [compiled(SOURCE, folder), "-p", str(running.port), "-w", str(plan), "-g", str(groups)]
        if running.ready:
            command += ["-r", running.ready]
        if running.subprotocol:
            command += ["-s", running.subprotocol]
        self._popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        pin(self._popen.pid, CORES[1:])

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.kill()
        self._popen.communicate()

    def open(self, connections: int) -> dict[str, Any]:
        """Open until there are so many: `opened`, `seconds`."""
        return self._ask(f"open {connections}")

    def count(self, seconds: float) -> dict[str, Any]:
        """Count updates for so long: what `report` in the C file prints."""
        return self._ask(f"count {seconds}")

    def _ask(self, command: str) -> dict[str, Any]:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self._popen.stdin.write(command + "\n")
        self._popen.stdin.flush()
        answer = self._popen.stdout.readline() if select.select([self._popen.stdout], [], [], ANSWER_S)[0] else ""
        if not answer:
            self._popen.kill()
            raise RuntimeError(self._popen.stderr.read().strip() or f"no answer to {command!r}")
        found: dict[str, Any] = json.loads(answer)
        return found
