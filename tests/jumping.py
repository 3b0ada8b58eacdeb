"""A wall clock that jumps: Python processes that read how far it is off from a file, whenever they ask for the time."""

import os
from pathlib import Path

SITE = """
import os, time

_file = os.open({path!r}, os.O_RDONLY)
_time, _time_ns = time.time, time.time_ns

def _off_s():
    return int(os.pread(_file, 32, 0))

time.time = lambda: _time() + _off_s()
time.time_ns = lambda: _time_ns() + _off_s() * 1_000_000_000
"""  # Python imports sitecustomize before anything else (docs.python.org/3/library/site.html)


class JumpingClock:
    """Owns the file, and the folder to put on PYTHONPATH of processes that shall live by this clock."""

    def __init__(self, folder: Path) -> None:
        self.site = folder / "site"
        self.site.mkdir(parents=True)
        self._path = folder / "off"
        self._path.write_bytes(b"")
        self.jump(0)
        (self.site / "sitecustomize.py").write_text(SITE.format(path=str(self._path)))

    def jump(self, off_s: int) -> None:
        """From now on it is that many seconds off."""
        file = os.open(self._path, os.O_WRONLY)
        try:
            os.pwrite(file, b"%-31d" % off_s, 0)  # processes read it at any moment: one write, always as long
        finally:
            os.close(file)
