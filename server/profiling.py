"""Profiles of running functions, on demand or for a whole run: begun, ended, made ready to be kept."""

import cProfile
import marshal
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from server.calltree import Key, from_cprofile, packed
from server.frames import CARRIERS
from server.sampling import Sampler, Stack

Result = TypeVar("Result")
SAMPLED, CPROFILE = "sampled", "cprofile"
FOREVER_S = 1e9
_tracing = threading.Lock()  # one cProfile at a time in a process: from Python 3.12 on there cannot be more


@dataclass(frozen=True, slots=True)
class Made:
    """A profile, ready to be kept."""

    kind: str  # SAMPLED, CPROFILE
    seconds: float
    samples: int  # 0 where none are taken
    tree: bytes
    pstats: bytes  # empty where there are none

    def row(self) -> tuple[str, float, int, bytes, bytes]:
        """As it goes over a line."""
        return self.kind, self.seconds, self.samples, self.tree, self.pstats

    def head(self, attempt: int) -> dict[str, Any]:
        """What the list of profiles says of it."""
        return {
            "kind": self.kind,
            "attempt": attempt,
            "at": time.time_ns() // 1_000_000,
            "seconds": round(self.seconds, 3),
            "samples": self.samples,
            "bytes": len(self.tree) + len(self.pstats),
        }


class Sampled:
    """A profile by looking at a function from a thread."""

    def __init__(
        self,
        look: Callable[[], Stack],
        interval_s: float,
        max_bytes: int,
        seconds: float = FOREVER_S,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self._sampler = Sampler(look, interval_s, seconds, done)
        self._max_bytes = max_bytes

    def begin(self) -> None:
        """From here on."""
        self._sampler.start()

    def end(self) -> Made:
        """Up to here."""
        self._sampler.stop()
        sampler = self._sampler
        return Made(SAMPLED, sampler.seconds, sampler.samples, packed(sampler.tree, self._max_bytes), b"")


class Traced:
    """A profile by cProfile: every call of one function, exactly, at a price. A coroutine is traced step by step."""

    def __init__(self, max_bytes: int) -> None:
        self._profile = cProfile.Profile()
        self._max_bytes = max_bytes
        self._since = 0.0
        self._owns = False

    def begin(self) -> bool:
        """From here on; False where another function of this process is traced already."""
        self._owns = _tracing.acquire(blocking=False)
        self._since = time.perf_counter()
        return self._owns

    def end(self) -> Made:
        """Up to here."""
        seconds = time.perf_counter() - self._since
        self._profile.create_stats()
        if self._owns:
            _tracing.release()
        stats = self._profile.stats
        tree, pstats = from_cprofile(stats), marshal.dumps(stats)
        tree.lift(_leads)
        return Made(
            CPROFILE, seconds, 0, packed(tree, self._max_bytes), pstats if len(pstats) <= self._max_bytes else b""
        )

    def call(self, function: Callable[[], Result]) -> Result:
        """What the function returns, traced."""
        return self._profile.runcall(function)

    def steps(self, work: Awaitable[Result]) -> "Steps[Result]":
        """The same of a coroutine, without what runs between its steps."""
        return Steps(self._profile, work)


class Steps(Awaitable[Result]):
    """A coroutine whose steps are traced, each for itself."""

    def __init__(self, profile: cProfile.Profile, work: Awaitable[Result]) -> None:
        self._profile = profile
        self._work = work.__await__()

    def __await__(self) -> Generator[Any, Any, Result]:
        step = _sending(self._work, None)
        while True:
            self._profile.enable()
            try:
                waited_for = step()
            except StopIteration as end:
                result: Result = end.value
                return result
            finally:
                self._profile.disable()
            try:
                value = yield waited_for
                step = _sending(self._work, value)
            except BaseException as error:
                step = _throwing(self._work, error)


def _leads(key: Key) -> bool:
    """Whether a function only leads to that of the job."""
    name, file, _ = key
    return file.endswith(CARRIERS) or "of 'coroutine" in name or "_lsprof.Profiler" in name


def _sending(work: Generator[Any, Any, Any], value: Any) -> Callable[[], Any]:
    return lambda: work.send(value)


def _throwing(work: Generator[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: work.throw(error)
