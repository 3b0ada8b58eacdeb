"""SHA-256 of every file below a folder, as `sha256sum` gives it."""

import asyncio
import hashlib
import json
import os
import stat
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any

from examples._paths import folder_below, readable, replacing, root, shown
from windsock import Progress, task

CHUNK = 4 * 1024 * 1024  # bytes hashed between two chances to cancel
MAX_SUMS_BYTES = 512 * 1024  # of JSON; a job's result may have 1 MiB


@task(unique=True, timeout_s=6 * 3600)  # who asks for the same folder meanwhile watches the same job
async def checksums(progress: Progress, folder: str) -> dict[str, Any]:
    """SHA-256 of every file below a folder, as sha256sum gives it.

    The sums stand in the result while they fit; those of a large folder go into a file for `sha256sum -c`.
    Links to folders are not followed, links to files only where they lead to a file below --files.

    Args:
        folder: where to begin, below --files.
    """
    top = folder_below(folder)
    tally = Tally(top)
    files = await asyncio.to_thread(tally.find, progress)
    progress.update(0, sum(size for _, size in files), unit="bytes")
    for name, _ in files:
        await tally.add(name, progress)
    progress.update(tally.size, tally.size, note=f"{len(tally.sums)} files")
    return await asyncio.to_thread(tally.result)


class Hashing:
    """Owns one file on its way through SHA-256, a chunk at a time.

    `close` waits for a `step` still running in its thread: a buffered reader has a lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BufferedReader | None = None
        self._digest = hashlib.sha256()
        self.sum: str | None = None  # the answer, once there

    def step(self) -> int:
        """Hash the next chunk; how many bytes it had."""
        if self._file is None:
            self._file = self._path.open("rb")
        chunk = self._file.read(CHUNK)
        self._digest.update(chunk)
        if len(chunk) < CHUNK:
            self.sum = self._digest.hexdigest()
            self.close()
        return len(chunk)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()


@dataclass
class Tally:
    """What is known of the folder so far."""

    top: Path
    size: int = 0  # bytes hashed
    unreadable: int = 0
    sums: dict[str, str] = field(default_factory=dict)  # by path relative to `top`, in order

    def find(self, progress: Progress) -> list[tuple[str, int]]:
        """Relative path and size of each file, sorted by path."""
        found: list[tuple[str, int]] = []
        for at, folders, names in os.walk(self.top, onerror=lambda error: self._miss(progress, error)):
            folders.sort()
            inside = os.path.relpath(at, self.top)
            for name in names:
                self._look(name if inside == os.curdir else f"{inside}/{name}", found, progress)
        return sorted(found)

    def _look(self, name: str, found: list[tuple[str, int]], progress: Progress) -> None:
        place = self.top / name
        try:
            if place.is_symlink():
                place = place.resolve()
            status = place.stat()
        except (OSError, RuntimeError) as error:
            self._miss(progress, error, name)
            return
        if not place.is_relative_to(root()) or not stat.S_ISREG(status.st_mode):
            progress.log(f"left out, not a file below {root()}: {readable(name)}", "warning")
        elif place != self.sums_file():
            found.append((name, status.st_size))

    def _miss(self, progress: Progress, error: Exception, name: str | None = None) -> None:
        self.unreadable += 1
        reason = error.strerror if isinstance(error, OSError) else error
        missed = name or getattr(error, "filename", None) or "?"
        progress.log(f"cannot be read, {reason}: {readable(missed)}", "warning")

    async def add(self, name: str, progress: Progress) -> None:
        """Hash one file; one that cannot be read is logged and counted."""
        hashing = Hashing(self.top / name)
        progress.note(readable(name))
        try:
            while hashing.sum is None:
                count = await asyncio.to_thread(hashing.step)
                self.size += count
                progress.advance(count)
        except OSError as error:
            self._miss(progress, error, name)
            return
        finally:
            hashing.close()
        self.sums[name] = hashing.sum
        progress.log(line(hashing.sum, name))

    def sums_file(self) -> Path:
        """Where the sums of a large folder are written: directly in the root, named after the folder."""
        parts = self.top.relative_to(root()).parts or (root().name or "files",)
        return root() / f"{'-'.join(parts)}.SHA256SUMS"

    def result(self) -> dict[str, Any]:
        """The job's result; writes the file of sums where they are too many."""
        counts = {"files": len(self.sums), "bytes": self.size, "unreadable": self.unreadable}
        sums = {readable(name): value for name, value in self.sums.items()}
        if len(json.dumps(sums)) <= MAX_SUMS_BYTES:
            return counts | {"sums": sums}
        text = "".join(line(value, name) + "\n" for name, value in self.sums.items())
        content = os.fsencode(text)
        with replacing(self.sums_file()) as partial:
            partial.write_bytes(content)
        return counts | {"sums_file": shown(self.sums_file()), "digest": hashlib.sha256(content).hexdigest()}


def line(value: str, name: str) -> str:
    """A line as sha256sum prints it: one whose name had to be escaped begins with a backslash."""
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == name else chr(92)}{value}  {escaped}"
