"""Where the function of a task runs: on the loop, in a thread of a bounded pool, or in a process of another."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from server.marks import MARK, Mark
from server.progress import Progress
from server.registry import Kind, Task
from server.settings import Settings

if TYPE_CHECKING:
    from server.process_executor import ProcessExecutor


MOST_WAITING = 10_000  # threads that wait for children, at a time


class Executor(Protocol):
    """One way to run a function."""

    async def run(self, task: Task, args: Mapping[str, Any], progress: Progress, begin: Callable[[], None]) -> Any:
        """Bind the arguments, call `begin` and then the task's function; what it returns or raises.

        Raises:
            Invalid: the arguments do not fit.
        """

    def interrupt(self, running: "asyncio.Task[None]", progress: Progress) -> None:
        """Ask the function to end."""

    def end(self, progress: Progress) -> bool:
        """End the function that speaks through `progress` by force; False where nobody can."""


class CoroutineExecutor:
    """Runs `async def` on the loop. Asked to end, it sees `CancelledError` at its next await."""

    async def run(self, task: Task, args: Mapping[str, Any], progress: Progress, begin: Callable[[], None]) -> Any:
        call = task.bind(args, progress)
        begin()
        mark = MARK.get()
        if mark is not None and mark.traced is not None:
            return await mark.traced.steps(task.function(**call))
        return await task.function(**call)

    def interrupt(self, running: "asyncio.Task[None]", progress: Progress) -> None:
        running.cancel()

    def end(self, progress: Progress) -> bool:
        return False


class ThreadExecutor:
    """Runs `def` in a pool of threads: as many as run, which the slots bound, and one for each job that waits for its
    children. Asked to end, its next progress call raises `JobCancelled`."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads + MOST_WAITING, thread_name_prefix="windsock-job")

    async def run(self, task: Task, args: Mapping[str, Any], progress: Progress, begin: Callable[[], None]) -> Any:
        call = task.bind(args, progress)
        begin()
        return await asyncio.get_running_loop().run_in_executor(self._pool, _marked, MARK.get(), task, call)

    def interrupt(self, running: "asyncio.Task[None]", progress: Progress) -> None:
        progress.stop()

    def end(self, progress: Progress) -> bool:
        return False

    def close(self) -> None:
        """Take no more; threads that still run end with the process."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _marked(mark: Mark | None, task: Task, call: Mapping[str, Any]) -> Any:
    """Run the function under its attempt's place, so that its stack says whose it is."""
    if mark is None:
        return _guarded(task, call)
    mark.thread = threading.get_ident()
    traced = mark.traced
    if traced is not None:
        return mark.place.call(lambda: traced.call(lambda: _guarded(task, call)))
    return mark.place.call(lambda: _guarded(task, call))


def _guarded(task: Task, call: Mapping[str, Any]) -> Any:
    try:
        return task.function(**call)
    except StopIteration as error:  # a future cannot carry it
        raise RuntimeError("the task raised StopIteration") from error


class Executors:
    """The executor for each kind of task. That for processes is made, and imported, for the first job that needs it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadExecutor(settings.threads)
        self._processes: ProcessExecutor | None = None
        self._by_kind: dict[Kind, Executor] = {
            Kind.COROUTINE: CoroutineExecutor(),
            Kind.THREAD: self._threads,
        }

    def __getitem__(self, kind: Kind) -> Executor:
        if kind not in self._by_kind:
            from server.process_executor import ProcessExecutor  # noqa: PLC0415  2 MiB that most workers do not need

            self._processes = self._by_kind[kind] = ProcessExecutor(self._settings)
        return self._by_kind[kind]

    async def close(self) -> None:
        """Let the pools go; returns when no process is left."""
        self._threads.close()
        if self._processes is not None:
            await self._processes.close()
