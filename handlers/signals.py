"""What a process is told by signals."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType

HURRY_S = 1.5  # after a second signal the process ends, stopped or not


class Signals:
    """SIGTERM and Ctrl-C: the first one drains, the second stops at once, a third ends the process where it stands.

    They are plain handlers, not the loop's, and the kernel's alarm clock bounds the second: a task may block the loop,
    and the process must end nevertheless.
    """

    def __init__(self, hurry_s: float = HURRY_S) -> None:
        self._loop = asyncio.get_running_loop()
        self._hurry_s = hurry_s
        self._count = 0
        self.stopping = asyncio.Event()
        self.hurried = asyncio.Event()
        self._retiring = asyncio.Event()
        self._before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}

    def on(self, number: int, call: Callable[[], object]) -> None:
        """Call something on the loop when another signal comes."""
        self._set(number, lambda *_: self._loop.call_soon_threadsafe(call))

    def obey_parent(self) -> None:
        """Of a worker process: Ctrl-C is for its parent, which tells it by SIGUSR1 that it is replaced, and by SIGUSR2
        to stop at once. A service manager may have said SIGTERM to both: the second one is not to hurry."""
        self._set(signal.SIGINT, lambda *_: None)
        self.on(signal.SIGTERM, self.stopping.set)
        self.on(signal.SIGUSR1, self._retiring.set)
        self._set(signal.SIGUSR2, self._at_once)

    def _set(self, number: int, handler: Callable[[int, FrameType | None], object]) -> None:
        before = signal.signal(number, handler)
        self._before.setdefault(signal.Signals(number), before)

    def _at_once(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self.stopping.set)
        self._count = max(self._count, 1)
        self._on_signal(number, frame)

    async def retired_first(self) -> bool:
        """Wait until told to end; whether the jobs that run may take their time."""
        return await _first(self._retiring.wait(), self.stopping)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 2:
            os._exit(128 + number)
        event = self.hurried if self._count == 2 else self.stopping
        self._loop.call_soon_threadsafe(event.set)
        if self._count == 2:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, self._hurry_s)

    async def unless_stopped(self, work: Awaitable[None]) -> bool:
        """Do some work, or leave it when told to stop; whether it was done."""
        return await _first(work, self.stopping)

    async def unless_hurried(self, work: Awaitable[None]) -> bool:
        """Do some work, or leave it when told to hurry; whether it was done."""
        return await _first(work, self.hurried)

    def close(self) -> None:
        """Signals mean what they meant before; no alarm rings any more."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)


async def _first(work: Awaitable[object], event: asyncio.Event) -> bool:
    doing = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait([doing, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if doing.done():
        doing.result()
        return not event.is_set()
    doing.cancel()
    with suppress(asyncio.CancelledError):
        await doing
    return False
