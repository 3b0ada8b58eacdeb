"""The worker processes of one parent: started, watched, started again, replaced one after the other, drained.

Each is `windsock worker` in an interpreter and a process group of its own, joined to the store of the parent, which is
a server or a `windsock worker --workers N`. The pool of `@task(process=True)` is something else: each worker has one of
its own.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from server.bond import cause_of_death, kill_group
from server.errors import StartupError, WindsockError
from server.settings import Settings
from server.worker_process import WorkerProcess

log = logging.getLogger("windsock.children")
EARLY_S = 10.0  # a process that dies sooner than this after its start …
EARLY_DEATHS = 3  # … for this many times in a row is started again later and later
LAST_WAIT_S = 30.0
GIVE_BACK_S = 10.0  # after its grace a process may take this long to give back its jobs and end
STOP_S = 1.5  # the same when it is told to stop at once
ROLL_S = 120.0  # a replacement that does not take jobs by then is none
TakeBack = Callable[[str], Awaitable[None]]


def none_to_replace() -> None:
    """What SIGUSR1 means to a process without children: by itself the signal would kill it."""
    log.warning("SIGUSR1 replaces worker processes, and there are none here: --workers starts some")


class Crashes:
    """How often a process has died soon after its start. Pure."""

    def __init__(self) -> None:
        self.early = 0

    def died(self, lived_s: float) -> float:
        """One more death; how many seconds to wait before the next start."""
        self.early = self.early + 1 if lived_s < EARLY_S else 0
        over = self.early - EARLY_DEATHS
        return 0.0 if over < 0 else min(float(2 ** min(over, 10)), LAST_WAIT_S)


class Place:
    """Where one process at a time runs jobs: the number, who has it, how often it was lost."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: WorkerProcess | None = None
        self.crashes = Crashes()
        self.restarts = 0
        self.next_try: float | None = None  # monotonic seconds, while it waits for its next start

    def describe(self) -> dict[str, Any]:
        """For the list of nodes. Called from the beat's thread: reads only."""
        process, next_try = self.process, self.next_try
        state = "waiting" if next_try is not None else "running" if process and process.works else "starting"
        return {
            "number": self.number,
            "id": process.id if process else None,
            "pid": process.pid if process else None,
            "state": state,
            "restarts": self.restarts,
            "next_try_s": None if next_try is None else round(max(0.0, next_try - time.monotonic()), 1),
        }


class Children:
    """Owns the worker processes of one parent. Duties in call order: `start`, `roll`, `drain`, `stop`."""

    def __init__(self, settings: Settings, take_back: TakeBack) -> None:
        self._settings = settings
        self._take_back = take_back  # the jobs of a process that is gone, by its id
        self._places = [Place(number) for number in range(1, settings.workers + 1)]
        self._alive: set[WorkerProcess] = set()  # replaced ones among them, until they have ended
        self._replacing: set[Place] = set()
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = asyncio.Event()  # all of them; or it is known that they will not be
        self._stopping = asyncio.Event()

    @property
    def many(self) -> int:
        """How many there are to be."""
        return len(self._places)

    @property
    def restarts(self) -> int:
        """How often a process that had not been told to end was started again."""
        return sum(place.restarts for place in self._places)

    def describe(self) -> list[dict[str, Any]]:
        """All places, for the list of nodes. Called from the beat's thread: reads only."""
        return [place.describe() for place in self._places]

    async def start(self) -> None:
        """Return when all take jobs.

        Raises:
            StartupError: one ended instead; its own line says why.
        """
        for place in self._places:
            place.process = await self._launch(place)
        waits = {place.process.ready for place in self._places if place.process is not None}
        while waits:
            done, waits = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not all(ready.result() for ready in done):
                raise StartupError("a worker process did not start; why, it has said above")
        self._started.set()

    async def _launch(self, place: Place) -> WorkerProcess:
        process = WorkerProcess(place.number, self._settings, lambda: self._replace_soon(place))
        await process.start()
        self._alive.add(process)
        self._spawn(self._watch(place, process))
        return process

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # one that ends

    async def _watch(self, place: Place, process: WorkerProcess) -> None:
        await process.ended()
        self._alive.discard(process)
        try:
            await self._take_back(process.id)
        except WindsockError as error:
            log.info("jobs of %s are taken back when its lease has run out: %s", process.id, error)
        if process.told and process.status and not self._stopping.is_set():
            how = cause_of_death(process.status)
            log.warning("worker process %d (pid %d), replaced already, ended: %s", place.number, process.pid, how)
        await self._started.wait()
        while place.process is process and not process.told and not self._stopping.is_set():
            await self._again(place, process)

    async def _again(self, place: Place, dead: WorkerProcess) -> None:
        """Another process for one that ended."""
        wait_s = place.crashes.died(dead.lived_s)
        how = cause_of_death(dead.status or 0)
        again = (
            f"it died early {place.crashes.early} times, next try in {wait_s:g} s" if wait_s else "starting it again"
        )
        log.error("worker process %d (pid %d) ended: %s; %s", place.number, dead.pid, how, again)
        place.restarts += 1
        place.next_try = time.monotonic() + wait_s
        await self._pause(wait_s)
        place.next_try = None
        if not self._stopping.is_set():
            try:
                place.process = await self._launch(place)
            except StartupError as error:
                log.error("%s", error.message)  # noqa: TRY400

    async def _pause(self, wait_s: float) -> None:
        """Wait, but no longer than until the end begins."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stopping.wait()

    # replacing

    def roll(self) -> None:
        """Replace all, one after the other, each when its replacement takes jobs."""
        if self._places:
            log.info("replacing the worker processes")
        else:
            none_to_replace()
        for place in self._places:
            self._replace_soon(place)

    def _replace_soon(self, place: Place) -> None:
        if place not in self._replacing and not self._stopping.is_set():
            self._replacing.add(place)
            self._spawn(self._replace(place))

    async def _replace(self, place: Place) -> None:
        async with self._one_at_a_time:
            while not await self._replaced(place) and not self._stopping.is_set():
                log.error("worker process %d stays: its replacement did not start", place.number)
                await self._pause(LAST_WAIT_S)
        self._replacing.discard(place)

    async def _replaced(self, place: Place) -> bool:
        """Start a replacement; whether there is nothing left to replace."""
        old = place.process
        if old is None or not old.works or self._stopping.is_set():  # one that has died is started again anyway
            return True
        try:
            fresh = await self._launch(place)
        except StartupError:
            return False
        await asyncio.wait([fresh.ready], timeout=ROLL_S)
        if not fresh.works or place.process is not old:  # or the old one has died and has a successor already
            fresh.tell(signal.SIGTERM)
            return place.process is not old
        place.process = fresh
        old.tell(signal.SIGUSR1)
        return True

    # the end

    async def drain(self, grace_s: float) -> None:
        """Let all jobs end, or be given back after the grace; return when all processes have ended."""
        await self._end(signal.SIGTERM, grace_s + GIVE_BACK_S)

    async def stop(self) -> None:
        """End them all at once, by force those that do not obey."""
        await self._end(signal.SIGUSR2, STOP_S)
        for process in self._alive:
            log.warning("worker process %d (pid %d) does not end; it is killed", process.number, process.pid)
            kill_group(process.pid)
        await self._end(signal.SIGKILL, STOP_S)

    async def _end(self, number: int, wait_s: float) -> None:
        """Tell all to end; return when they have, and their jobs are taken back."""
        self._stopping.set()
        self._started.set()
        for process in self._alive:
            process.tell(number)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=wait_s)
