"""Starts one process by Pebble, hands it calls, knows how it ended.

Each process has a Pebble pool of its own with one place. In a pool of many the processes share pipes and locks, which
one that is killed at the wrong moment leaves broken for all, and all are started at once. Pebble does not tell of one
that leaves with exit code 0, so the exit code is read from the process itself.
"""

import signal
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from pebble import ProcessPool

from server import child
from server.bond import kill_group
from server.child import Terms

_MASKED = {signal.SIGINT, signal.SIGTERM}


class OneProcess(SpawnContext):
    """Makes one process; for Pebble, which would start another in its place when it has ended.

    Spawn, not fork: a fork would copy the locks of our threads, and our sockets.
    """

    made: SpawnProcess | None = None

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """The process, not started yet."""
        if self.made is not None:
            raise OSError("its one process has ended")
        self.made = SpawnProcess(*args, **kwargs)
        return self.made


class Spawn:
    """Owns a process and its pool. Duties in call order: `start`, `schedule` for each call, `kill`, `close`."""

    def __init__(self, line: Connection, lifeline: Connection, terms: Terms) -> None:
        self._context = OneProcess()
        self._given = (line, lifeline)
        self._pool = ProcessPool(1, initializer=child.begin, initargs=(line, lifeline, terms), context=self._context)
        self._group: int | None = None  # the process and what it has started, until it is dead
        self._exit_code: int | None = None

    def start(self, packed: bytes) -> "Future[None]":
        """Start the process with its first call; takes some milliseconds. Of a signal to all of our group it hears
        nothing until it has a group of its own."""
        resource_tracker.ensure_running()  # it would lift the mask
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _MASKED)
        try:
            return self.schedule(packed)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def schedule(self, packed: bytes) -> "Future[None]":
        """Hand over a call. The future fails when the process ends; what came of the call is said on the line."""
        try:
            return self._pool.schedule(child.run, args=(packed,))
        except RuntimeError as error:  # the process died while it had nothing to do
            broken: Future[None] = Future()
            broken.set_exception(BrokenProcessPool(str(error)))
            return broken

    def greeted(self) -> None:
        """It has its ends of the pipes, and a group of its own: without our copies, the line ends with the process."""
        for end in self._given:
            end.close()
        self._group = self._context.made.pid if self._context.made is not None else None

    @property
    def exit_code(self) -> int | None:
        """How it ended: below 0 by a signal. None while it lives."""
        if self._exit_code is None and self._context.made is not None:
            self._exit_code = self._context.made.exitcode
        return self._exit_code

    def kill(self) -> None:
        """End it now, with what it has started."""
        if self._group is not None:
            kill_group(self._group)

    def buried(self) -> None:
        """It is dead: its number may soon be another's. What it has started ends too."""
        self.kill()
        self._group = None

    def close(self) -> None:
        """Let it end by itself, or kill it after three seconds; returns when it has. Blocks."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()
        for end in self._given:
            end.close()
        if self.exit_code is not None and self._context.made is not None:
            self._context.made.close()  # its descriptors, which would wait for the collector
