"""What a worker does beside its jobs, each in a task of its own that nobody awaits."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from server.errors import Unavailable

log = logging.getLogger("windsock.worker")


class Chores:
    """Owns these tasks. A failure is logged, and the beat tries again what matters."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()  # under way

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Begin one."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(_logged(work), name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def settle(self, within_s: float) -> None:
        """Return when none is under way, those that they begin among them, or after a while."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while self.tasks and loop.time() < deadline:
            await asyncio.wait(self.tasks, timeout=within_s)


async def _logged(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except Unavailable as error:
        log.info("%s", error)
    except Exception:
        log.exception("a task of the worker failed")
