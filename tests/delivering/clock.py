"""A loop whose clock stands still until it is told to go on: what the server waits for takes no time here."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock


class StillLoop(asyncio.SelectorEventLoop):
    """A loop with real sockets and a clock of its own."""

    def __init__(self) -> None:
        self.now = 1000.0  # seconds
        super().__init__()

    def time(self) -> float:
        """Where the clock stands."""
        return self.now

    @property
    def busy(self) -> bool:
        """Whether something can run now, besides who asks."""
        return bool(self._ready)

    @property
    def next_timer(self) -> float | None:
        """When the next timer is due."""
        return min((timer.when() for timer in self._scheduled if not timer.cancelled()), default=None)


class Clock:
    """In place of the module `time` where the server reads the monotonic clock."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@contextlib.contextmanager
def standing(monotonic: Callable[[], float]) -> Iterator[None]:
    """The monotonic clock of all modules of the server is this one."""
    clock = Clock(monotonic)
    with contextlib.ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith(("server.", "handlers.")) and getattr(module, "time", None) is time:
                stack.enter_context(mock.patch.object(module, "time", clock))
        yield
