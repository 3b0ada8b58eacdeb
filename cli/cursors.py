"""Where watches stand, kept in a file from one `windsock watch` to the next."""

import contextlib
import os
import tempfile
from pathlib import Path

from cli.exits import BadUsage
from windsock.watch import Watch

MAX_FILE_BYTES = 1024 * 1024  # a larger one was not written here


class CursorFile:
    """Owns a file with a line for each job: its id, a space, the cursor after the last frame that was shown.

    Duties in call order: `read` once; `save` as often as liked. Lines of jobs that are not watched now are kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: dict[str, str] = {}
        self._written: dict[str, str] | None = None  # as the file has it; None before the first save

    def read(self) -> dict[str, str]:
        """Cursors by job; none if there is no file yet.

        Raises:
            BadUsage: it cannot be read, or is no such file.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise BadUsage(f"--cursor-file {self.path}: {error.strerror}") from None
        lines = [line.split() for line in data.decode("ascii", errors="replace").splitlines()]
        if len(data) > MAX_FILE_BYTES or not data.isascii() or any(len(line) != 2 for line in lines):
            raise BadUsage(f"--cursor-file {self.path}: not a file of cursors; it is left as it is")
        self._held = {job_id: cursor for job_id, cursor in lines}
        return dict(self._held)

    def save(self, watch: Watch) -> None:
        """Write where the watch stands, unless the file says so already. It is the old one or the new one, never half.

        Raises:
            BadUsage: it cannot be written.
        """
        self._held |= {one.job_id: one.shown for one in watch.jobs.values() if one.shown is not None}
        if self._held == self._written:
            return
        try:
            _replace(self.path.resolve(), "".join(f"{job_id} {cursor}\n" for job_id, cursor in self._held.items()))
        except OSError as error:
            raise BadUsage(f"--cursor-file {self.path}: {error.strerror}") from None
        self._written = dict(self._held)


def _replace(path: Path, text: str) -> None:
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
        Path(draft).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(draft).unlink()
        raise
