"""The life of a serving process and of a worker process: start, signals, drain, stop."""

import asyncio
import gc
import ipaddress
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType

from handlers.app import WebServer
from server.errors import StartupError
from server.loader import load
from server.node import Node
from server.registry import Registry
from server.settings import Settings

log = logging.getLogger("windsock")
HURRY_S = 1.5  # after a second signal the process ends, stopped or not
LEAVE_S = 0.5  # what jobs left running after their verdict ends by itself within this, or with the process


def load_tasks(settings: Settings) -> Registry:
    """The registry of `--tasks`; what is wrong in a file is logged with its line, and the others are served."""
    loaded = load(settings.tasks)
    for problem in loaded.problems:
        log.error("%s", problem)
    return loaded.registry


def check_host(settings: Settings) -> None:
    """Only this machine may come in, unless somebody says that everybody may.

    Raises:
        StartupError: the address is not loopback and `--insecure` was not given.
    """
    if settings.host == "localhost" or _is_loopback(settings.host):
        return
    if not settings.insecure:
        raise StartupError(
            f"--host {settings.host} opens this server to others, and there is no authentication yet:"
            " add --insecure if that is what you want"
        )
    log.warning("listening on %s without authentication: whoever reaches it can run every task", settings.host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until a signal says to stop.

    Args:
        ready: called with the URL when the server answers.

    Raises:
        StartupError: what is wrong and what to do.
    """
    check_host(settings)
    node = Node(settings, load_tasks(settings), serves=True)
    web = WebServer(node)
    signals, leftovers = Signals(), Leftovers()
    try:
        web.bind()  # first, so that a port that is taken is known before Redis is started
        if await signals.unless_stopped(node.start()):
            web.start()
            calm_collector()
            ready(web.url)
            await signals.stopping.wait()
            log.info("stopping; a second signal stops at once")
            await web.drain()
            await signals.unless_hurried(node.drain(settings.drain_s))
    finally:
        await web.stop()
        await node.stop()
        signals.close()
    await leftovers.leave()


def calm_collector() -> None:
    """What is there after the start stays: the collector need not look at it again, nor look so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def work(settings: Settings, ready: Callable[[str], None]) -> None:
    """Run jobs, without HTTP, until a signal says to stop."""
    registry = load_tasks(settings)
    if not len(registry):
        raise StartupError("a worker without tasks has nothing to do: name some with --tasks")
    node = Node(settings, registry, serves=False)
    signals, leftovers = Signals(), Leftovers()
    try:
        if await signals.unless_stopped(node.start()):
            calm_collector()
            ready(node.id)
            await signals.stopping.wait()
            log.info("stopping; a second signal stops at once")
            await signals.unless_hurried(node.drain(settings.drain_s))
    finally:
        await node.stop()
        signals.close()
    await leftovers.leave()


class Signals:
    """SIGTERM and Ctrl-C: the first one drains, the second stops at once, a third ends the process where it stands.

    They are plain handlers, not the loop's, and the kernel's alarm clock bounds the second: a task may block the loop,
    and the process must end nevertheless.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self.stopping = asyncio.Event()
        self.hurried = asyncio.Event()
        self._before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 2:
            os._exit(128 + number)
        event = self.hurried if self._count == 2 else self.stopping
        self._loop.call_soon_threadsafe(event.set)
        if self._count == 2:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, HURRY_S)

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


async def _first(work: Awaitable[None], event: asyncio.Event) -> bool:
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


class Leftovers:
    """What jobs left running though their verdict is given: threads, which nobody can stop, and coroutines that heed no
    cancel. Python would wait for them all.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(thread_name_prefix="windsock")  # of asyncio.to_thread; ours, to let go of it
        asyncio.get_running_loop().set_default_executor(self._pool)

    async def leave(self) -> None:
        """Return when nothing is left; end the process here if that takes too long."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + LEAVE_S
        while left := self._threads() + self._coroutines():
            if time.monotonic() > deadline:
                log.warning("%d threads and coroutines of jobs do not end; ending without them", left)
                logging.shutdown()
                os._exit(0)
            await asyncio.sleep(0.01)

    @staticmethod
    def _threads() -> int:
        return sum(not one.daemon for one in threading.enumerate() if one is not threading.main_thread())

    @staticmethod
    def _coroutines() -> int:
        return len(asyncio.all_tasks()) - 1
