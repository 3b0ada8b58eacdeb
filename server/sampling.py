"""A profile by looking: a thread notes at intervals where a function stands. What it does not look at pays nothing.

Code that keeps the GIL is seen when it lets go; the time since the last look counts for it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType

from server.calltree import ROOT, WAITING, Key, Node

Stack = Sequence[Key] | None  # outermost first; None: nothing to look at (any more)


class Sampler:
    """Owns the thread. Duties in call order: `start`, `stop`; then `tree` and `samples` have what was seen."""

    def __init__(self, look: Callable[[], Stack], interval_s: float, seconds: float, done: Callable[[], None]) -> None:
        self._look = look
        self._interval_s = interval_s
        self._until_s = seconds
        self._done = done  # called in the thread when it ends by itself
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="windsock-sampler", daemon=True)
        self.tree = Node(ROOT)
        self.samples = 0
        self.seconds = 0.0  # that were looked at

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        last = time.perf_counter()
        while not self._stopping.wait(self._interval_s) and self.seconds < self._until_s:
            stack = self._look()
            if stack is None:
                break
            now = time.perf_counter()
            self.tree.add(stack, now - last)
            self.seconds += now - last
            self.samples += 1
            last = now
        if not self._stopping.is_set():
            self._done()


def key_of(frame: FrameType) -> Key:
    """The function of a live frame."""
    code = frame.f_code
    return code.co_name, code.co_filename, code.co_firstlineno


def keys_below(stack: Sequence[FrameType], skip: Callable[[FrameType], bool]) -> list[Key]:
    """The functions of a stack, outermost first, without the first frames that are to be skipped."""
    first = next((i for i, frame in enumerate(stack) if not skip(frame)), len(stack))
    return [key_of(frame) for frame in stack[first:]]


def waiting(keys: Sequence[Key]) -> list[Key]:
    """A stack that waits where it stands."""
    return [*keys, (WAITING, "", 0)]
