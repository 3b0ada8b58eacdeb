"""The inside of a process of the pool: it loads the tasks, runs one call after the other, and says how each goes.

Pebble starts it, hands it calls and sees it end. What the function says goes over a line of our own, in order: so the
end comes after the last log entry. One thread speaks, conflating as the reporter does, another listens.
"""

import atexit
import faulthandler
import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import msgpack

from server import logs
from server.asking import Asking
from server.backlog import Backlog, Keep
from server.bond import die_with, kill_group, leave_terminal
from server.errors import Invalid, StartupError
from server.inside import Inside
from server.job import ErrorCode, JobState
from server.lifespan import PlainResources
from server.line import Reading, Word, message
from server.loader import Loaded, load
from server.outcome import End, TaskFailed, failed, raised, returned, type_names
from server.progress import JobCancelled, Progress
from server.registry import Registry

MAX_ENTRIES, MAX_BYTES = 2000, 2 * 1024 * 1024  # of a log that a function gets ahead of the line; then it waits
CHUNK_BYTES = 16 * 1024  # log in one message
ROOM_S = 0.1  # a function that waits for room looks again after this
LEADING = ("server/inside.py", "server/profiling.py", "server/marks.py")  # frames of these stand above a task's own
_NOTHING = Keep(seconds=0, entries=0, bytes=0)  # the worker keeps what was sent


@dataclass(frozen=True, slots=True)
class Terms:
    """What a process is told when it starts. All of it is ours and pickled by multiprocessing."""

    tasks: tuple[str, ...]  # as `--tasks` takes them
    result_bytes: int
    entry_bytes: int
    checkpoint_bytes: int
    profile_bytes: int
    profile_interval_s: float
    flush_s: float  # shortest time between two messages about the bar
    log_levels: tuple[int, int]


class HereProgress(Progress):
    """The voice of a function in this process. One that logs faster than the line takes it waits, and loses nothing."""

    __slots__ = ("_room",)

    def __init__(
        self, job_id: str, attempt: int, wake: Callable[[], None], terms: Terms, checkpoint: bytes | None
    ) -> None:
        super().__init__(
            job_id,
            attempt,
            wake,
            backlog=Backlog(2 * MAX_ENTRIES, 2 * MAX_BYTES, _NOTHING),
            entry_bytes=terms.entry_bytes,
            checkpoint_bytes=terms.checkpoint_bytes,
            checkpoint=checkpoint,
        )
        self._room = threading.Event()

    def _append(self, packed: bytes) -> None:
        while self.pressing and not self._stop:
            self._room.clear()
            self._wake()
            self._room.wait(ROOM_S)
        super()._append(packed)

    def stop(self) -> None:
        """Make every further call of the task raise `JobCancelled`, also one that waits for room."""
        super().stop()
        self._room.set()

    def parts(self) -> "list[tuple[dict[str, Any] | None, list[bytes], bytes | None]]":
        """What is new, in messages: the bar goes with the first, a checkpoint with the last."""
        bar = self.take()
        checkpoint = self.mark.due(self.next_offset)  # what was said before it leaves below
        goal = self.next_offset  # what comes later wakes by itself
        first, entries = self.unsent(CHUNK_BYTES)
        parts: list[tuple[dict[str, Any] | None, list[bytes], bytes | None]] = [(bar, entries, None)]
        while (through := first + len(entries)) < goal:
            self.stored(through - 1)
            first, entries = self.unsent(CHUNK_BYTES)
            parts.append((None, entries, None))
        self.stored(through - 1)
        if checkpoint is not None:
            parts[-1] = (*parts[-1][:2], checkpoint)
            self.mark.stored(checkpoint)
        self._room.set()
        return parts


class Child:
    """Owns this process's end of the line. Duties in call order: `listen`, `run` for each call."""

    def __init__(self, line: socket.socket, lifeline: Connection, terms: Terms) -> None:
        self._line = line
        self._lifeline = lifeline  # stays open for as long as this process lives
        self._terms = terms
        self._loaded = Loaded(Registry(), [])
        self._resources = PlainResources(self._loaded.registry)
        self._opened = False
        self._sending = threading.Lock()  # one message at a time, and what is taken first leaves first
        self._inside = Inside(self._send, terms.profile_interval_s, terms.profile_bytes)
        self._news = threading.Event()  # the function has said something
        self._hurry = threading.Event()  # … and much of it
        self._progress: HereProgress | None = None
        self._asking: Asking | None = None  # for children
        self._number = 0  # of the call that runs
        self._stopped = 0  # number of the last call that was told to end

    def listen(self) -> None:
        """Say hello, load the tasks, and be ready for calls."""
        for work in (self._hear, self._speak):
            threading.Thread(target=work, name=f"windsock-{work.__name__[1:]}", daemon=True).start()
        self._send(message(Word.HELLO))
        self._loaded = load(self._terms.tasks)
        self._resources = PlainResources(self._loaded.registry)
        atexit.register(self._resources.close)
        with suppress(StartupError):  # which the first job will be told
            self._open()

    def _open(self) -> None:
        """Open what jobs share, unless it is open."""
        if not self._opened:
            self._resources.open()
            self._opened = True

    def run(
        self,
        number: int,
        task: str,
        args: dict[str, Any],
        job_id: str,
        attempt: int,
        checkpoint: bytes | None,
        wish: str | None,
    ) -> None:
        """One call, from its first word to its last."""
        progress = HereProgress(job_id, attempt, self._wake, self._terms, checkpoint)
        progress.relate(self._relatives)
        self._progress, self._number = progress, number
        if self._stopped == number:  # before it had begun
            progress.stop()
        end, names = self._call(task, args, progress, wish)
        self._progress = None
        self._flush(progress)
        self._send(message(Word.END, end.state.value, end.outcome, end.result_bytes, list(names), end.delay_s))

    def _relatives(self) -> Asking:
        self._asking = Asking(self._send)
        return self._asking

    def _call(
        self, name: str, args: dict[str, Any], progress: HereProgress, wish: str | None
    ) -> tuple[End, Sequence[str]]:
        if progress.cancelled:
            return End(JobState.CANCELLED), ()
        try:
            function, call = self._prepared(name, args, progress)
            self._send(message(Word.BEGIN))
            result = self._inside.run(lambda: function(**call), wish)
            return returned(result, self._terms.result_bytes), ()
        except JobCancelled:
            return End(JobState.CANCELLED), ()
        except TaskFailed as error:
            return error.end, error.type_names
        except BaseException as error:
            return raised(error, [__file__, *LEADING]), type_names(error)

    def _prepared(
        self, name: str, args: dict[str, Any], progress: HereProgress
    ) -> tuple[Callable[..., Any], dict[str, Any]]:
        """The function of a task and what to call it with."""
        if name not in self._loaded.registry:
            raise TaskFailed(self._unknown(name))
        try:
            self._open()
            task = self._resources.bound(self._loaded.registry.get(name))
            return task.function, task.bind(args, progress)
        except StartupError as error:
            raise TaskFailed(failed(ErrorCode.EXCEPTION, error.message), type_names(error)) from None
        except Invalid as error:
            what = f"the arguments do not fit the task as this worker's processes know it: {error}"
            raise TaskFailed(failed(ErrorCode.EXCEPTION, what)) from None

    def _unknown(self, name: str) -> End:
        problems = "; ".join(map(str, self._loaded.problems)) or "nothing that --tasks names has it"
        return failed(ErrorCode.UNKNOWN_TASK, f"a process of this worker does not know the task {name!r}: {problems}")

    # the line

    def _wake(self) -> None:
        progress = self._progress
        if progress is not None and progress.pressing:
            self._hurry.set()
        self._news.set()

    def _speak(self) -> None:
        """What the function says, at once and then not before `flush_s` has passed, unless it is much."""
        while True:
            self._news.wait()
            self._news.clear()
            self._hurry.clear()
            progress = self._progress
            if progress is not None:
                self._flush(progress)
                self._hurry.wait(self._terms.flush_s)

    def _flush(self, progress: HereProgress) -> None:
        with self._sending:
            for part in progress.parts():
                self._line.sendall(message(Word.SAID, *part))

    def _send(self, packed: bytes) -> None:
        with self._sending:
            self._line.sendall(packed)

    def _hear(self) -> None:
        reading = Reading()
        while data := self._receive():
            reading.feed(data)
            for word, content in reading:
                if word is Word.STOP:
                    self._stop(*content)
                elif word is Word.TOLD and self._asking is not None:
                    self._asking.hear(*content)
                elif word is Word.LOOK:
                    self._inside.look()
                elif word is Word.SAMPLE:
                    self._inside.sample(*content)
        kill_group(os.getpgrp())  # nobody is left to work for

    def _receive(self) -> bytes:
        try:
            return self._line.recv(4096)
        except OSError:
            return b""

    def _stop(self, number: int, goes_on: bool) -> None:
        self._stopped = number
        if self._number == number and self._progress is not None:
            self._progress.goes_on = goes_on
            self._progress.stop()


_here: Child | None = None  # Pebble calls functions by name: what they share can only be found here


def begin(line: Connection, lifeline: Connection, terms: Terms) -> None:
    """The first thing in a new process."""
    global _here  # noqa: PLW0603
    leave_terminal()
    die_with(lifeline.fileno())
    faulthandler.enable()  # a crash shows on stderr where it was
    logs.configure(*terms.log_levels)
    end = socket.socket(fileno=os.dup(line.fileno()))  # not inherited by what the function starts
    line.close()
    _here = Child(end, lifeline, terms)
    _here.listen()


def run(packed: bytes) -> None:
    """One call, as the worker packed it."""
    if _here is None:
        raise RuntimeError("the process has not begun")
    _here.run(*msgpack.unpackb(packed))
