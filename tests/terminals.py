"""Commands in a real terminal, for tests: what a person types and sees."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest
from processes import ROOT, wait_for

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")

_NOT_HANDED_ON = ("WINDSOCK_", "COLUMNS", "LINES")  # rich believes the last two more than the terminal


class Terminal:
    """A `windsock …` in a terminal of its own; `text` is all that came, without its colours and moves."""

    def __init__(self, *words: str, width: int = 80, height: int = 24, **env: str) -> None:
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.before = termios.tcgetattr(self._theirs)
        environ = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_HANDED_ON)}
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), *words],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env=environ | {"TERM": "xterm-256color"} | env,
            start_new_session=True,
        )
        self.raw = ""

    def read(self) -> str:
        """All that came so far."""
        while select.select([self._ours], [], [], 0.02)[0]:
            self.raw += os.read(self._ours, 65536).decode(errors="replace")
        return _ESCAPES.sub("", self.raw)

    def until(self, wanted: str, timeout_s: float = 15.0) -> str:
        """Wait until this comes, after what was read before."""
        self.read()
        begin = len(_ESCAPES.sub("", self.raw))
        wait_for(lambda: wanted in self.read()[begin:], f"{wanted!r} in {self.read()[-3000:]}", timeout_s)
        return self.read()[begin:]

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Its exit code; the terminal must be as it was."""
        deadline = time.monotonic() + 10
        while self._process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            self.read()  # a full terminal would hold it up
        self.read()
        assert termios.tcgetattr(self._theirs) == self.before
        assert self.raw.count("\x1b[?1049h") == self.raw.count("\x1b[?1049l")
        assert self.raw.rfind("\x1b[?25h") >= self.raw.rfind("\x1b[?25l")
        return self._process.returncode

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()
