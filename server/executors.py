"""Where the function of a task runs: on the loop, or in a thread of a bounded pool."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from server.progress import Progress
from server.registry import Kind, Task


class Executor(Protocol):
    """One way to run a function."""

    async def run(self, task: Task, call: Mapping[str, Any]) -> Any:
        """Call the task's function; what it returns or raises."""

    def interrupt(self, running: "asyncio.Task[None]", progress: Progress) -> None:
        """Ask the function to end."""


class CoroutineExecutor:
    """Runs `async def` on the loop. Asked to end, it sees `CancelledError` at its next await."""

    async def run(self, task: Task, call: Mapping[str, Any]) -> Any:
        return await task.function(**call)

    def interrupt(self, running: "asyncio.Task[None]", progress: Progress) -> None:
        running.cancel()


class ThreadExecutor:
    """Runs `def` in a pool of threads. Asked to end, its next progress call raises `JobCancelled`."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="windsock-job")

    async def run(self, task: Task, call: Mapping[str, Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: _guarded(task, call))

    def interrupt(self, running: "asyncio.Task[None]", progress: Progress) -> None:
        progress.stop()

    def close(self) -> None:
        """Take no more; threads that still run end with the process."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _guarded(task: Task, call: Mapping[str, Any]) -> Any:
    try:
        return task.function(**call)
    except StopIteration as error:  # a future cannot carry it
        raise RuntimeError("the task raised StopIteration") from error


class Executors:
    """The executor for each kind of task."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadExecutor(threads)
        self._by_kind: dict[Kind, Executor] = {
            Kind.COROUTINE: CoroutineExecutor(),
            Kind.THREAD: self._threads,
        }

    def __getitem__(self, kind: Kind) -> Executor:
        return self._by_kind[kind]

    def close(self) -> None:
        """Let the pools go."""
        self._threads.close()
