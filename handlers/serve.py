"""The life of a server, of a worker, and of what keeps worker processes: start, drain, stop."""

import asyncio
import ipaddress
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from handlers.app import WebServer
from handlers.collector import calm
from handlers.gate import raise_descriptors
from handlers.signals import HURRY_S, Signals
from server.children import STOP_S, Children, none_to_replace
from server.errors import StartupError
from server.lifeline import Lifeline, Standing
from server.loader import load
from server.node import Node
from server.registry import Registry
from server.settings import Settings

log = logging.getLogger("windsock")
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
    raise_descriptors()
    node, children = _house(settings)
    web = WebServer(node)
    signals, leftovers = _signals(children), Leftovers()
    try:
        web.bind()  # first, so that a port that is taken is known before Redis is started
        if await signals.unless_stopped(_start(node, children)):
            web.start()
            calm()
            ready(web.url)
            await signals.stopping.wait()
            log.info("stopping; a second signal stops at once")
            await web.drain()
            await signals.unless_hurried(_drain(node, children))
    finally:
        await children.stop()  # before Redis, to which they give back what they hold
        await web.stop()
        await node.stop()
        signals.close()
    await leftovers.leave()


def _house(settings: Settings) -> tuple[Node, Children]:
    """The parts of a server. With worker processes it runs no jobs itself; with `--no-worker` it has none either."""
    if not settings.worker:
        settings = settings.model_copy(update={"workers": 0})
    elif settings.worker_jobs and not settings.workers:
        log.warning("--worker-jobs is for worker processes, and this server has none: add --workers")
    own = settings.model_copy(update={"worker": False}) if settings.workers else settings
    return _with_children(Node(own, load_tasks(settings), serves=True), settings)


def _with_children(node: Node, settings: Settings) -> tuple[Node, Children]:
    children = Children(settings, node.take_back)
    node.children = children.describe
    node.metrics.read_one("windsock_worker_restarts_total", lambda: children.restarts)
    return node, children


def _signals(children: Children) -> Signals:
    """What a process with children heeds: it leaves them the time that it takes to end them."""
    signals = Signals(hurry_s=HURRY_S + (STOP_S if children.many else 0))
    signals.on(signal.SIGUSR1, children.roll)
    return signals


async def _start(node: Node, children: Children) -> None:
    await node.start()
    await children.start()


async def _drain(node: Node, children: Children) -> None:
    await asyncio.gather(node.drain(node.settings.drain_s), children.drain(node.settings.drain_s))


async def keep(settings: Settings, ready: Callable[[str], None]) -> None:
    """Keep worker processes at work, without HTTP, until a signal says to stop.

    Nothing of the tasks is loaded here: each process loads them itself.

    Args:
        ready: called with the id when all of them take jobs.

    Raises:
        StartupError: what is wrong and what to do.
    """
    node = Node(settings.model_copy(update={"worker": False}), Registry(), serves=False)
    node, children = _with_children(node, settings)
    signals, leftovers = _signals(children), Leftovers()
    try:
        if await signals.unless_stopped(_start(node, children)):
            calm()
            ready(node.id)
            await signals.stopping.wait()
            log.info("stopping; a second signal stops at once")
            await signals.unless_hurried(_drain(node, children))
    finally:
        await children.stop()
        await node.stop()
        signals.close()
    await leftovers.leave()


async def work(settings: Settings, ready: Callable[[str], None], lifeline: Lifeline | None = None) -> None:
    """Run jobs, without HTTP, until a signal says to stop.

    Args:
        ready: called with the id when jobs are taken.
        lifeline: of a process that another one keeps.

    Raises:
        StartupError: what is wrong and what to do.
    """
    signals, leftovers = Signals(), Leftovers()
    registry = load_tasks(settings)
    if not len(registry):
        what = f"there are none in {', '.join(settings.tasks)}" if settings.tasks else "name some with --tasks"
        raise StartupError(f"a worker without tasks has nothing to do: {what}")
    node = Node(settings, registry, serves=False, incarnation=lifeline.incarnation if lifeline else None)
    node.alarm.exits = True
    if lifeline is not None:
        signals.obey_parent()
        node.on_worn = lambda: lifeline.say(Standing.WORN)
    else:
        signals.on(signal.SIGUSR1, none_to_replace)
    try:
        if await signals.unless_stopped(node.start()):
            calm()
            ready(node.id)
            if await signals.retired_first():
                await signals.unless_stopped(node.drain(math.inf))
            if lifeline is None:
                log.info("stopping; a second signal stops at once")
            await signals.unless_hurried(node.drain(settings.drain_s))
    finally:
        await node.stop()
        signals.close()
    await leftovers.leave()


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
