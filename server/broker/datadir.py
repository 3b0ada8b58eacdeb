"""The data directory of a private Redis: who may open it, what wrote it, and where its socket is."""

import fcntl
import hashlib
import json
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from server.broker.programs import Kind, Program, Version, dotted
from server.errors import StartupError

MAX_SOCKET_BYTES = 100  # sun_path holds 104 (macOS) or 108 (Linux)
MAX_LOG_BYTES = 4 * 1024 * 1024
_OURS = ("lock", "redis.json")  # a directory with one of these is a data directory


@dataclass(frozen=True, slots=True)
class Record:
    """Which server wrote the directory, and where it listens."""

    kind: Kind
    version: Version
    program: str  # path of the program
    socket: str  # path of its socket

    def to_json(self) -> str:
        """The text of `redis.json`."""
        return json.dumps(
            {
                "kind": self.kind,
                "version": dotted(self.version),
                "program": self.program,
                "socket": self.socket,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """The record in a `redis.json`.

        Raises:
            ValueError: the text is not one.
        """
        try:
            fields = json.loads(text)
            major, minor, patch = map(int, fields["version"].split("."))
            return cls(
                Kind(fields["kind"]),
                (major, minor, patch),
                str(fields["program"]),
                os.fspath(fields["socket"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no record: {error!r}") from None


class DataDir:
    """Owns a data directory while it holds the lock.

    Two locks, both flock(2), so that the kernel frees them whatever happens: `lock` is held by the node and
    not inherited; `redis.lock` is held by redis-server, through a descriptor it inherits, and so tells
    exactly whether one still runs here.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path.expanduser()))
        self._lock: int | None = None

    # The lock of the node.

    def try_lock(self) -> bool:
        """Make the directory if need be and take it; False when somebody else has it.

        Raises:
            StartupError: it cannot be a data directory.
        """
        self._make()
        lock = self._open("lock", os.O_RDWR | os.O_CREAT)
        if not _flock(lock, fcntl.LOCK_EX):
            os.close(lock)
            return False
        os.ftruncate(lock, 0)
        os.write(lock, b"%d\n" % os.getpid())
        self._lock = lock
        return True

    def release(self) -> None:
        """Let go of the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def held(self) -> bool:
        """Whether this object has the lock."""
        return self._lock is not None

    def locked(self) -> bool:
        """Whether a node holds the directory."""
        try:
            lock = os.open(self.path / "lock", os.O_RDONLY)
        except OSError:
            return False
        try:
            return not _flock(lock, fcntl.LOCK_SH)
        finally:
            os.close(lock)

    def holder(self) -> str:
        """Who has the lock, for people."""
        with suppress(OSError, ValueError):
            return f"process {int((self.path / 'lock').read_text())}"
        return "another process"

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, mode=0o700, exist_ok=True)
            found = self.path.stat()
            if found.st_uid != os.geteuid():
                raise StartupError(f"data directory {self.path} belongs to user {found.st_uid}, not to {os.geteuid()}")
            if found.st_mode & 0o077:
                self._close_to_others(stat.S_IMODE(found.st_mode))
        except OSError as error:
            raise StartupError(f"data directory {self.path}: {error.strerror}") from None

    def _close_to_others(self, mode: int) -> None:
        """A directory with other things in it (a home, /tmp) is not ours to close."""
        if any(self.path.iterdir()) and not any((self.path / name).exists() for name in _OURS):
            raise StartupError(
                f"data directory {self.path} holds other files and is open to others (mode {mode:o}):"
                " choose another one, or chmod 700 it"
            )
        self.path.chmod(0o700)

    def _open(self, name: str, flags: int) -> int:
        try:
            return os.open(self.path / name, flags, 0o600)
        except OSError as error:
            raise StartupError(f"{self.path / name}: {error.strerror}") from None

    # The lock of redis-server.

    def try_server_lock(self) -> int | None:
        """A descriptor for redis-server to inherit, None while another one still runs here."""
        lock = self._open("redis.lock", os.O_RDWR | os.O_CREAT)
        if _flock(lock, fcntl.LOCK_EX):
            return lock
        os.close(lock)
        return None

    # What wrote it.

    def read(self) -> Record | None:
        """What is recorded; None in a new directory.

        Raises:
            StartupError: the record is damaged.
        """
        try:
            return Record.from_json((self.path / "redis.json").read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StartupError(
                f"{self.path / 'redis.json'} cannot be read ({error}), so nobody knows which server wrote the"
                " data; delete the file if you do"
            ) from None

    def write(self, record: Record) -> None:
        """Record who is about to write here: before it does, so that a crash leaves no file unrecorded."""
        target = self.path / "redis.json"
        fresh = self._open("redis.json.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            with open(fresh, "w") as file:
                file.write(record.to_json() + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(f"{target}.new", target)
        except OSError as error:
            raise StartupError(f"{target}: {error.strerror}") from None

    def refusal(self, program: Program) -> str | None:
        """Why this directory is not for `program`; None when it is."""
        wrote = self.read()
        if wrote is None:
            if program.version < (7, 0, 0) and (self.path / "appendonlydir").exists():
                return f"{self.path} holds an appendonlydir; {program} would overlook it, Redis 7 would not"
            return None
        if program.kind == wrote.kind and program.version >= wrote.version:
            return None
        how = "older" if program.kind == wrote.kind else "another kind"
        return (
            f"{self.path} was last written by {wrote.kind} {dotted(wrote.version)} ({wrote.program}), and"
            f" {program} is {how}: name another with WINDSOCK_REDIS_SERVER, or use another --data-dir"
        )

    # Its socket.

    def socket_path(self) -> str:
        """Where redis-server is to listen: here, or in a private runtime directory if that path is too long.

        Raises:
            StartupError: the runtime directory is somebody else's.
        """
        here = str(self.path / "redis.sock")
        if _fits(here):
            return here
        name = f"windsock-{os.geteuid()}-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]}"
        for base in filter(None, (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir())):
            folder = Path(base, name).absolute()
            if _fits(str(folder / "redis.sock")):
                _make_private(folder)
                return str(folder / "redis.sock")
        raise StartupError(f"no place for a socket: {here} is too long, and so is the temporary directory")

    def remove_socket(self, socket: str) -> None:
        """Remove a socket nobody listens on, with the runtime directory made for it."""
        with suppress(OSError):
            os.unlink(socket)
        if Path(socket).parent != self.path:
            with suppress(OSError):
                os.rmdir(Path(socket).parent)

    # Its files.

    def open_log(self) -> int:
        """The log of redis-server, open for appending; one grown too large is put aside first."""
        log = self.path / "redis.log"
        with suppress(FileNotFoundError):
            if log.stat().st_size > MAX_LOG_BYTES:
                log.replace(self.path / "redis.log.1")
        return self._open("redis.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def log_since(self, position: int) -> list[str]:
        """Lines of the log from a byte position on."""
        with suppress(OSError), open(self.path / "redis.log", "rb") as log:
            log.seek(position)
            return [line for line in log.read(64 * 1024).decode(errors="replace").splitlines() if line.strip()]
        return []

    def sweep(self) -> None:
        """Remove what a killed redis-server left half-written. Only while none runs here."""
        for folder in (self.path, self.path / "appendonlydir"):
            for leftover in (*folder.glob("temp-*.aof"), *folder.glob("temp-*.rdb")):
                with suppress(OSError):
                    leftover.unlink()


def _flock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StartupError(f"the data directory is on a file system without locks: {error.strerror}") from None
    return True


def _fits(path: str) -> bool:
    """Short enough for a socket, and UTF-8, since it becomes a URL."""
    raw = os.fsencode(path)
    return len(raw) <= MAX_SOCKET_BYTES and raw.decode(errors="replace").encode() == raw


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StartupError(f"runtime directory {folder}: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StartupError(f"runtime directory {folder} is not private to this user; remove it")
