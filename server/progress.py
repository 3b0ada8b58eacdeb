"""What a task holds in its hands to speak of its progress. Pure: local writes; the runner carries them away.

A call costs well under a microsecond: it writes attributes, and only the first one after a flush wakes the runner.
"""

import math
import threading
import time
from collections.abc import AsyncIterable, Callable, Iterable, Sized
from enum import StrEnum
from typing import Any, TypeVar

from server.backlog import Backlog
from server.codec import MSGPACK, check_value
from server.job import MAX_NOTE, MAX_UNIT
from server.track import Track

Item = TypeVar("Item")


class Level(StrEnum):
    """How loud a log entry is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class JobCancelled(BaseException):
    """Raised by the next progress call of a thread job that was cancelled or ran out of time.

    A BaseException, like `asyncio.CancelledError`: `except Exception` in a task must not swallow it.
    """


class Progress:
    """The voice of a running job. A task gets one by annotating a parameter with `Progress`.

    Made and read by the runner; `wake` is called once when something is new, from whichever thread spoke.
    Duties in call order: remember (`update`, `advance`, `note`, `track`), record (`log`, `emit`), stop (`cancelled`).
    """

    __slots__ = (
        "_backlog",
        "_dirty",
        "_done",
        "_entry_bytes",
        "_lock",
        "_note",
        "_pressed",
        "_stop",
        "_total",
        "_touched",
        "_unit",
        "_wake",
        "attempt",
        "job_id",
    )

    def __init__(
        self,
        job_id: str,
        attempt: int,
        wake: Callable[[], None],
        *,
        backlog: Backlog | None = None,
        entry_bytes: int = 16384,
    ) -> None:
        self.job_id = job_id
        self.attempt = attempt  # 1 for the first try
        self._wake = wake
        self._backlog = backlog if backlog is not None else Backlog(10_000, 8 * 1024 * 1024)
        self._entry_bytes = entry_bytes
        self._lock = threading.Lock()  # the log is written by the task's thread and taken by the runner's
        self._dirty = False  # told the runner, not yet taken
        self._pressed = False  # … and again, because much has gathered meanwhile
        self._touched = False  # the bar has been set at all
        self._stop = False
        self._done: float = 0
        self._total: float | None = None
        self._unit: str | None = None
        self._note: str | None = None

    def update(
        self,
        done: float | None = None,
        total: float | None = None,
        *,
        unit: str | None = None,
        note: str | None = None,
    ) -> None:
        """Say how far the job is. What is not given stays as it was.

        Args:
            done: units of work finished.
            total: units of work in all; leave it out while unknown.
            unit: what is counted, such as "images" (20 characters are kept).
            note: what is being done now (200 characters are kept).

        Raises:
            JobCancelled: the job was asked to end (thread jobs).
        """
        if self._stop:
            raise JobCancelled
        if done is not None:
            self._done = done
        if total is not None:
            self._total = total
        if unit is not None:
            self._unit = unit
        if note is not None:
            self._note = note
        self._touched = True
        if not self._dirty:
            self._tell()

    def advance(self, by: float = 1, note: str | None = None) -> None:
        """Say that `by` more units are done."""
        if self._stop:
            raise JobCancelled
        self._done += by
        if note is not None:
            self._note = note
        self._touched = True
        if not self._dirty:
            self._tell()

    def note(self, text: str) -> None:
        """Say what is being done now."""
        self.update(note=text)

    def track(
        self,
        items: Iterable[Item] | AsyncIterable[Item],
        total: float | None = None,
        *,
        unit: str | None = None,
    ) -> Track[Item]:
        """Go through `items` and count them: `for item in progress.track(rows)`, or `async for` in a coroutine.

        `async for` takes plain iterables too, and lets the loop go on every 10 ms, so that a long loop of short steps
        blocks nobody.

        Args:
            total: how many there are; taken from `len(items)` where it has one.
        """
        if total is None and isinstance(items, Sized):
            total = len(items)
        self._total = total  # even None: what was tracked before says nothing of these
        self.update(0, unit=unit)
        return Track(self, items)

    def log(self, text: object, level: str = Level.INFO) -> None:
        """Append a line to the job's log. `level` is debug, info, warning or error.

        A longer text than the limit (16 KiB) is cut and says so.
        """
        entry: dict[str, Any] = {"at": _now_ms(), "level": Level(level).value, "text": _clean(str(text))}
        packed = MSGPACK.encode(entry)
        if len(packed) > self._entry_bytes:
            room = (self._entry_bytes - 128) // 4
            entry["text"] = f"{entry['text'][:room]} … (cut, {len(packed)} bytes)"
            packed = MSGPACK.encode(entry)
        self._append(packed)

    def emit(self, value: Any) -> None:
        """Hand out a partial result, in order with the log. `value` is a JSON value of at most 16 KiB.

        Raises:
            ValueError: it is not a JSON value, or too large.
        """
        check_value(value)
        packed = MSGPACK.encode({"at": _now_ms(), "value": value})
        if len(packed) > self._entry_bytes:
            raise ValueError(f"an emitted value of {len(packed)} bytes; the limit is {self._entry_bytes}")
        self._append(packed)

    @property
    def cancelled(self) -> bool:
        """Whether the job was asked to end: for thread jobs that make no progress call for long."""
        return self._stop

    def _append(self, packed: bytes) -> None:
        if self._stop:
            raise JobCancelled
        with self._lock:
            self._backlog.append(packed)
        if not self._dirty:
            self._tell()
        elif self._backlog.pressing and not self._pressed:
            self._pressed = True
            self._wake()

    def _tell(self) -> None:
        self._dirty = True
        self._wake()

    # The runner's side.

    def stop(self) -> None:
        """Make every further call of the task raise `JobCancelled`."""
        self._stop = True

    def take(self) -> dict[str, Any] | None:
        """The bar as the summary shows it, None until the task has spoken. What is said from now on wakes again."""
        self._dirty = self._pressed = False
        if not self._touched:
            return None
        return {
            "done": _number(self._done),
            "total": None if self._total is None else _number(self._total),
            "unit": None if self._unit is None else _words(self._unit, MAX_UNIT),
            "note": None if self._note is None else _words(self._note, MAX_NOTE),
        }

    def unsent(self, max_bytes: int, tail: int | None = None) -> tuple[int, list[bytes]]:
        """What to send to a store that has the log up to `tail` (None: all it was sent): an offset, and entries."""
        with self._lock:
            return self._backlog.after(self._backlog.first - 1 if tail is None else tail, max_bytes)

    def stored(self, through: int, now: float = 0.0) -> None:
        """The store has everything up to the offset `through`; `now` in monotonic seconds."""
        with self._lock:
            self._backlog.stored(through, now)

    @property
    def next_offset(self) -> int:
        """Offset that the next entry will get."""
        return self._backlog.next_offset

    @property
    def held_bytes(self) -> int:
        """Bytes of the log that are held."""
        return self._backlog.bytes

    @property
    def pressing(self) -> bool:
        """Whether so many entries wait that they should not wait any longer."""
        return self._backlog.pressing

    @property
    def pending(self) -> bool:
        """Whether entries wait for the store."""
        return bool(self._backlog.unsent)


def _number(value: float) -> float | int:
    """Numbers of every kind (numpy's too) as JSON knows them; nonsense as 0."""
    if type(value) is int and abs(value) < 2**63:
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    if not math.isfinite(number):
        return 0
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _words(said: object, limit: int) -> str:
    """What a task gave as a text. It is read by the runner, which nothing in it may throw off."""
    try:
        return _clean(str(said))[:limit]
    except Exception:
        return "?"


def _clean(text: str) -> str:
    """Text that every codec carries: lone surrogates (from file names) are replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
