"""Code in C that keeps the GIL silences all threads of Python. How such a time is found out about.

The kernel rings when the process has used processor time for a while and nobody has wound its clock up again. Python
calls the handler of a signal in the main thread as soon as that may run: behind the call that kept it from running,
before anything else of that code. A handler that comes late is the proof that something kept the GIL, and who has used
the processor says which thread it was. (faulthandler's thread needs no GIL, but when it is only the machine that was
busy, it reads stacks that are changing, and now and then that ends the process by a segmentation fault.)
"""

import gc
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import ClassVar

LATE = 0.8  # of the time it was wound up for: used beyond it, before the handler was called
MOST = 0.6  # of the processor time of the process that a thread has used which is to blame


class Bell:
    """Owns SIGPROF and its clock, which a process has once: the first owner has them, in the main thread only."""

    _owner: ClassVar["Bell | None"] = None

    def __init__(self) -> None:
        self._before: object = None
        self._wound = 0.0  # seconds of the process when it was wound up …
        self._for_s = 0.0  # … and for how many

    @property
    def owned(self) -> bool:
        """Whether it rings at all."""
        return Bell._owner is self

    def open(self, ring: Callable[[FrameType | None], None]) -> None:
        """Have `ring(frame)` called when nobody winds it up in time; `frame` is what the main thread runs."""
        if Bell._owner is None and threading.current_thread() is threading.main_thread():
            Bell._owner = self
            self._before = signal.signal(signal.SIGPROF, lambda _, frame: ring(frame))
            signal.siginterrupt(signal.SIGPROF, False)

    def wind(self, seconds: float) -> None:
        """It rings when the process has used so much processor time from now on."""
        if self.owned:
            self._wound, self._for_s = time.process_time(), seconds
            signal.setitimer(signal.ITIMER_PROF, seconds)

    def late(self) -> bool:
        """Whether who comes now, the handler or the next look, was kept from it for long."""
        return time.process_time() - self._wound >= (1 + LATE) * self._for_s

    def close(self) -> None:
        """It does not ring any more."""
        if self.owned:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, self._before)  # type: ignore[arg-type]
            Bell._owner = None


class Labour:
    """Owns what each thread had spent on a processor at the last look."""

    def __init__(self) -> None:
        self._spent: dict[int, float] = {}
        self._whole = 0.0  # by the process

    def look(self) -> None:
        """Note it."""
        self._whole = time.process_time()
        self._spent = {thread: spent for thread in _threads() if (spent := _spent(thread)) is not None}

    def most(self) -> int | None:
        """The thread that has done most of what the process did since then; None where none has."""
        here = [(thread, _spent(thread)) for thread in _threads()]
        worked = {thread: now - self._spent.get(thread, 0.0) for thread, now in here if now is not None}
        first = max(worked, key=lambda thread: worked[thread], default=None)
        return first if first is not None and worked[first] >= MOST * (time.process_time() - self._whole) else None


def _threads() -> list[int]:
    """All threads, without the lock that `threading` has for them: the handler of a signal may ask."""
    return list(threading._active)  # type: ignore[attr-defined]


def _spent(thread: int) -> float | None:
    if not hasattr(time, "pthread_getcpuclockid") or thread not in threading._active:  # type: ignore[attr-defined]
        return None  # of a thread that has ended the clock may not be asked
    with suppress(OSError):
        return time.clock_gettime(time.pthread_getcpuclockid(thread))
    return None


@dataclass(frozen=True, slots=True)
class Effort:
    """What a thread and its process have done up to a moment, in seconds. 0 where the system does not tell."""

    own: float  # the thread, on a processor
    whole: float  # the process
    waited: float  # the thread, ready to run and without a processor

    @classmethod
    def of(cls, thread: int, native_id: int) -> "Effort":
        """Now; `native_id` is the number that the system has for the thread."""
        return cls(_spent(thread) or 0.0, time.process_time(), _waited(native_id))

    def hinders(self, after: "Effort", age_s: float, limit_s: float, *, moved: bool) -> bool:
        """Whether a step that began with this effort would have taken less than the limit had nobody been in its way:
        others on the processor, or threads of its own process that took turns with it at the GIL.

        Args:
            after: the effort now.
            age_s: of the step.
            moved: it was seen at more than one instruction.
        """
        if age_s - (after.waited - self.waited) < limit_s:
            return True
        own = after.own - self.own
        return moved and own < limit_s / 2 and after.whole - self.whole - own > age_s / 2


def _waited(native_id: int) -> float:
    try:
        with open(f"/proc/self/task/{native_id}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


class Collections:
    """Owns how long full collections of garbage took: they keep the GIL, and are no job's fault."""

    def __init__(self) -> None:
        self._since = 0.0
        self._last = (0.0, 0.0)  # when the last one was over, and how long it took

    def open(self) -> None:
        """Be told of each."""
        gc.callbacks.append(self._on_collection)

    def close(self) -> None:
        """No more."""
        with suppress(ValueError):
            gc.callbacks.remove(self._on_collection)

    def _on_collection(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] < 2:
            return
        if phase == "start":
            self._since = time.monotonic()
        else:
            now = time.monotonic()
            self._last = (now, now - self._since)

    def seconds_since(self, when: float) -> float:
        """How long the last one took, if it was not over before `when` (monotonic seconds)."""
        over, seconds = self._last
        return seconds if over >= when else 0.0
