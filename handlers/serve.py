"""The life of a serving process and of a worker process: start, signals, drain, stop."""

import asyncio
import gc
import ipaddress
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

from handlers.app import WebServer
from server.errors import StartupError
from server.loader import load
from server.node import Node
from server.registry import Registry
from server.settings import Settings

log = logging.getLogger("windsock")


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
    signals = Signals()
    try:
        web.bind()  # first, so that a port that is taken is known before Redis is started
        await signals.unless_stopped(node.start())
        web.start()
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not look at it again
        if not signals.stopping.is_set():
            ready(web.url)
        await signals.stopping.wait()
        log.info("stopping; a second signal stops at once")
        await web.drain()
        await signals.unless_hurried(node.drain(settings.drain_s))
    finally:
        await web.stop()
        await node.stop()
        signals.close()


async def work(settings: Settings, ready: Callable[[str], None]) -> None:
    """Run jobs, without HTTP, until a signal says to stop."""
    registry = load_tasks(settings)
    if not len(registry):
        raise StartupError("a worker without tasks has nothing to do: name some with --tasks")
    node = Node(settings, registry, serves=False)
    signals = Signals()
    try:
        await signals.unless_stopped(node.start())
        if not signals.stopping.is_set():
            ready(node.id)
        await signals.stopping.wait()
        log.info("stopping; a second signal stops at once")
        await signals.unless_hurried(node.drain(settings.drain_s))
    finally:
        await node.stop()
        signals.close()


class Signals:
    """SIGTERM and Ctrl-C: the first one drains, the second stops at once, a third ends the process where it stands."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.stopping = asyncio.Event()
        self.hurried = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self.hurried.is_set():
            os._exit(130)
        (self.hurried if self.stopping.is_set() else self.stopping).set()

    async def unless_stopped(self, work: Awaitable[None]) -> None:
        """Do some work, or leave it when told to stop."""
        await _first(work, self.stopping)

    async def unless_hurried(self, work: Awaitable[None]) -> None:
        """Do some work, or leave it when told to hurry."""
        await _first(work, self.hurried)

    def close(self) -> None:
        """Signals mean what they meant before."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.remove_signal_handler(number)


async def _first(work: Awaitable[None], event: asyncio.Event) -> None:
    doing = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait([doing, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if doing.done():
        doing.result()
        return
    doing.cancel()
    with suppress(asyncio.CancelledError):
        await doing
