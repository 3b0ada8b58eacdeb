"""What a task holds in its hands to speak of its progress. Pure: local writes; the runner carries them away.

A call costs well under a microsecond: it writes attributes, and only the first one after a flush wakes the runner.
"""

import threading
import time
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from server.backlog import Backlog
from server.checkpoint import Checkpoint
from server.codec import MSGPACK, check_value
from server.counting import Counting, JobCancelled
from server.steps import Bar, Roll, clean
from server.tree import Family, Spawning, nobody

__all__ = ["JobCancelled", "Level", "Progress"]


class Level(StrEnum):
    """How loud a log entry is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Progress(Counting, Spawning):
    """The voice of a running job. A task gets one by annotating a parameter with `Progress`.

    Made and read by the runner; `wake` is called once when something is new, from whichever thread spoke.
    Duties in call order: where to begin (`checkpointed`), remember (`update`, `advance`, `note`, `track`, `plan`,
    `step`), record (`log`, `emit`, `checkpoint`), stop (`cancelled`).
    """

    __slots__ = (
        "_backlog",
        "_bar",
        "_checkpoint_bytes",
        "_complete",
        "_dirty",
        "_entry_bytes",
        "_family",
        "_found",
        "_lock",
        "_pressed",
        "_relayed",
        "_roll",
        "_stop",
        "_touched",
        "_wake",
        "attempt",
        "checkpointed",
        "goes_on",
        "job_id",
        "mark",
    )

    def __init__(
        self,
        job_id: str,
        attempt: int,
        wake: Callable[[], None],
        *,
        backlog: Backlog | None = None,
        entry_bytes: int = 16384,
        checkpoint_bytes: int = 65536,
        checkpoint: bytes | None = None,
    ) -> None:
        self.job_id = job_id
        self.attempt = attempt  # 1 for the first try
        self.checkpointed = None if checkpoint is None else MSGPACK.decode(checkpoint)
        """Where the last attempt that said so could be gone on from; None where none has."""
        self.mark = Checkpoint(checkpoint)
        self.goes_on = False
        """Asked to end, because its worker stops: another attempt will follow. What it needs should stay."""
        self._wake = wake
        self._backlog = backlog if backlog is not None else Backlog(10_000, 8 * 1024 * 1024)
        self._entry_bytes = entry_bytes
        self._checkpoint_bytes = checkpoint_bytes
        self._lock = threading.Lock()  # the log is written by the task's thread and taken by the runner's
        self._dirty = False  # told the runner, not yet taken
        self._pressed = False  # … and again, because much has gathered meanwhile
        self._touched = False  # the bar has been set at all
        self._stop = False
        self._complete = False  # it has succeeded
        self._roll: Roll | None = None  # the steps, from the first word on
        self._bar: Bar | None = None  # what calls write to, as long as there are no steps
        self._relayed: dict[str, Any] | None = None  # the bar, where the function speaks in another process
        self._family: Family | None = None  # made when it is first needed, by …
        self._found: Callable[[], Family] = nobody

    # As `Counting` has them, without its calls: these two stand in hot loops.

    def update(
        self,
        done: float | None = None,
        total: float | None = None,
        *,
        unit: str | None = None,
        note: str | None = None,
    ) -> None:
        if self._stop:
            raise JobCancelled
        bar = self._bar or self._reach()
        if done is not None:
            bar.done = done
        if total is not None:
            bar.total = total
        if unit is not None:
            bar.unit = unit
        if note is not None:
            bar.note = note
        self._touched = True
        if not self._dirty:
            self._tell()

    def advance(self, by: float = 1, note: str | None = None) -> None:
        if self._stop:
            raise JobCancelled
        bar = self._bar or self._reach()
        bar.done += by
        if note is not None:
            bar.note = note
        self._touched = True
        if not self._dirty:
            self._tell()

    update.__doc__, advance.__doc__ = Counting.update.__doc__, Counting.advance.__doc__

    def _reach(self) -> Bar:
        if self._stop:
            raise JobCancelled
        if self._roll is None:  # made here, because most jobs are short and say nothing
            with self._lock:
                self._roll = self._roll or Roll()
        if self._roll.used:
            return self._roll.here()
        self._bar = self._roll.top
        return self._bar

    def _touch(self) -> None:
        if self._roll is not None and self._roll.used:
            self._bar = None
        self._touched = True
        if not self._dirty:
            self._tell()

    def log(self, text: object, level: str = Level.INFO) -> None:
        """Append a line to the job's log. `level` is debug, info, warning or error.

        A longer text than the limit (16 KiB) is cut and says so.
        """
        entry: dict[str, Any] = {"at": _now_ms(), "level": Level(level).value, "text": clean(str(text))}
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

    def checkpoint(self, value: Any) -> None:
        """Say where the job could go on: the next attempt finds it in `checkpointed`, should this one not end.

        It is stored with the next report, at most a second later, and never ahead of the log entries said before it.

        Args:
            value: a JSON value of at most 64 KiB (`checkpoint_bytes`), such as how many rows are done.

        Raises:
            ValueError: it is not a JSON value, or too large.
        """
        if self._stop:
            raise JobCancelled
        check_value(value)
        packed = MSGPACK.encode(value)
        if len(packed) > self._checkpoint_bytes:
            raise ValueError(f"a checkpoint of {len(packed)} bytes; the limit is {self._checkpoint_bytes}")
        with self._lock:
            self.mark.set(packed, self._backlog.next_offset - 1)
        if not self._dirty:
            self._tell()

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
        """Make every further call of the task raise `JobCancelled`, also one that waits for children."""
        self._stop = True
        if self._family is not None:
            self._family.stop()

    def relatives(self) -> Family:
        """The family, made when it is first needed."""
        self._family = family = self._family or self._found()
        return family

    def relate(self, found: Callable[[], Family]) -> None:
        """How to find the job's children, should it have any."""
        self._found = found

    def relay(self, bar: dict[str, Any] | None, entries: Iterable[bytes], checkpoint: bytes | None = None) -> None:
        """What the function has said in another process: the bar that `take` gave, packed log entries, a checkpoint."""
        with self._lock:
            for packed in entries:
                self._backlog.append(packed)
            if checkpoint is not None:
                self.mark.set(checkpoint, self._backlog.next_offset - 1)
        if bar is not None:
            self._relayed = bar
            self._touched = True
        if not self._dirty or self._backlog.pressing:
            self._tell()

    def complete(self) -> None:
        """The job has succeeded: its steps are all done."""
        self._complete = True

    def take(self) -> dict[str, Any] | None:
        """The bar as the summary shows it, None until the task has spoken. What is said from now on wakes again."""
        self._dirty = self._pressed = False
        return self.shown()

    def shown(self) -> dict[str, Any] | None:
        """The same, and nothing is taken: what was said still wakes or has woken."""
        if not self._touched:
            return None
        told = dict(self._relayed) if self._relayed is not None else (self._roll or Roll()).told()
        if self._complete and "fraction" in told:
            told["fraction"] = 1
            told.pop("step", None)
        return told

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


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
