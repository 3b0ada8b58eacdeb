"""Runs `@task(process=True)`: a pool of processes that are started when there is work, and end when there is none.

The slots of the lane bound how many run at once. A process that dies, is killed, or has done its number of jobs is not
used again; the next job gets a new one.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from server import logs
from server.call import NotBegun, died
from server.child import Terms
from server.process import Process
from server.progress import Progress
from server.registry import Task
from server.settings import Settings

log = logging.getLogger("windsock.process")
STARTS = 3  # tries to find a process that begins a job
CLOSE_S = 5.0  # longest wait for processes to end; what is left then ends with this one


class ProcessExecutor:
    """Owns the processes. Asked to end, a function sees `JobCancelled` at its next progress call; else it is killed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="windsock-start")
        self._idle: list[Process] = []  # the one used last is at the end, and used next
        self._busy: dict[Progress, Process] = {}
        self._ends: dict[Process, asyncio.TimerHandle] = {}  # of those that are idle
        self._closing: set[asyncio.Future[None]] = set()  # of processes that end

    async def run(self, task: Task, args: Mapping[str, Any], progress: Progress, begin: Callable[[], None]) -> Any:
        """What the task ended with in a process.

        Raises:
            TaskFailed, JobCancelled: as `Process.run`.
        """
        for _ in range(STARTS):
            process = self._busy[progress] = self._take()
            try:
                return await process.run(task.name, args, progress, begin)
            except NotBegun as error:
                how = str(error)
                log.info("job %s: its process ended before the job had begun: %s", progress.job_id, how)
            finally:
                del self._busy[progress]
                self._put_back(process)
        raise died(f"{how}, before the job had begun, {STARTS} times")

    def interrupt(self, running: "asyncio.Task[None]", progress: Progress) -> None:
        if progress in self._busy:
            self._busy[progress].stop()

    def end(self, progress: Progress) -> bool:
        process = self._busy.get(progress)
        if process is not None:
            log.warning("job %s does not end; its process is killed", progress.job_id)
            process.kill()
        return True

    def process_of(self, progress: Progress) -> Process | None:
        """The process that runs the function that speaks through `progress`."""
        return self._busy.get(progress)

    # the pool

    def _take(self) -> Process:
        while self._idle:
            process = self._idle.pop()
            self._ends.pop(process).cancel()
            if process.usable:
                return process
            self._close(process)
        settings = self._settings
        terms = Terms(
            settings.tasks,
            settings.result_bytes,
            settings.log_entry_bytes,
            settings.checkpoint_bytes,
            settings.profile_bytes,
            settings.profile_interval_s,
            settings.flush_s,
            logs.levels(),
        )
        return Process(terms, self._starter)

    def _put_back(self, process: Process) -> None:
        if not process.usable or process.calls == self._settings.process_jobs:
            self._close(process)
            return
        self._idle.append(process)
        loop = asyncio.get_running_loop()
        self._ends[process] = loop.call_later(self._settings.process_idle_s, self._retire, process)

    def _retire(self, process: Process) -> None:
        self._idle.remove(process)
        del self._ends[process]
        self._close(process)

    def _close(self, process: Process) -> None:
        gone = process.close()
        self._closing.add(gone)
        gone.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Kill what runs; returns when all processes have gone, or after a while."""
        for timer in self._ends.values():
            timer.cancel()
        for process in (*self._idle, *self._busy.values()):
            self._close(process)
        self._idle.clear()
        self._ends.clear()
        self._starter.shutdown(wait=False, cancel_futures=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await asyncio.gather(*self._closing)
