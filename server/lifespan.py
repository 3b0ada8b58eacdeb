"""What the jobs of a process share, from before the first job until after the last: opened, handed out, closed.

A worker opens what its coroutine and thread tasks take, and what no task takes: that is there for what it does at the
start and at the end. What only `@task(process=True)` takes is opened in each of their processes.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from server.errors import StartupError
from server.registry import Kind, Registry, Task
from server.resource import Resource, in_order

log = logging.getLogger("windsock.lifespan")
Values = dict[Callable[..., Any], Any]  # what was opened, by the marked function


class Resources:
    """Owns what the jobs of a worker share. Duties in call order: `open`, `bound`, `close`."""

    def __init__(self, registry: Registry, open_s: float, close_s: float) -> None:
        self._registry = registry
        self._wanted = wanted_here(registry)
        self._open_s = open_s  # longest time that opening one may take
        self._close_s = close_s
        self._values: Values = {}
        self._open: list[tuple[Resource, AsyncGenerator[Any, None] | _Confined]] = []
        self._opened = asyncio.Event()  # … or it is known that they will not be
        self._closing = asyncio.Event()
        self._failure: StartupError | None = None
        self._life: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open all, those that others need first.

        Raises:
            StartupError: one could not be opened; those before it are closed again.
        """
        self._life = asyncio.create_task(self._live(), name="resources")
        await self._opened.wait()
        if self._failure is not None:
            await self._life
            raise self._failure

    def bound(self) -> list[Task]:
        """The tasks, each with what it takes, but for those that run in processes."""
        return [task if task.kind is Kind.PROCESS else bind(task, self._values) for task in self._registry]

    async def close(self) -> None:
        """Close all, the last one first; what does not close is logged."""
        self._closing.set()
        if self._life is None:
            return
        if not self._opened.is_set():
            self._life.cancel()
        await asyncio.wait([self._life])

    async def _live(self) -> None:
        """From the first opening to the last closing. One task does both: a cancel scope has to end in its own."""
        try:
            for one in self._wanted:
                await self._open_one(one)
            self._opened.set()
            await self._closing.wait()
        except StartupError as error:
            self._failure = error
        finally:
            while self._open:
                await self._close_one(*self._open.pop())
            self._opened.set()

    async def _open_one(self, one: Resource) -> None:
        generator = self._generator(one)
        try:
            async with asyncio.timeout(self._open_s) as timeout:
                self._values[one.function] = await anext(generator)
        except (Exception, SystemExit) as error:
            late = timeout.expired() and isinstance(error, TimeoutError)
            raise _not_open(one, f"not within {self._open_s:g} s" if late else error) from None
        self._open.append((one, generator))

    def _generator(self, one: Resource) -> "AsyncGenerator[Any, None] | _Confined":
        made: Any = one.function(**_given(one.needs, self._values))
        return made if one.is_async else _Confined(made, one.function.__name__)

    async def _close_one(self, one: Resource, generator: "AsyncGenerator[Any, None] | _Confined") -> None:
        self._values.pop(one.function, None)
        try:
            async with asyncio.timeout(self._close_s) as timeout:
                with suppress(StopAsyncIteration):
                    await anext(generator)
                    log.error("%s yields more than once", one)
                    await generator.aclose()
        except (Exception, SystemExit):
            if timeout.expired():
                log.error("%s was not closed within %g s", one, self._close_s)  # noqa: TRY400
            else:
                log.exception("%s was not closed well", one)


class _Confined:
    """Steps a plain generator in a thread of its own: what knows the thread that made it is closed there too.

    The thread holds no process up: it may hang in what it opens.
    """

    def __init__(self, generator: Generator[Any, None, None], name: str) -> None:
        self._generator = generator
        self._orders: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=f"windsock-{name}", daemon=True).start()

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            step, future = order
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(step())
            except StopIteration:  # which a future cannot carry
                future.set_exception(StopAsyncIteration())
            except BaseException as error:
                future.set_exception(error)

    def _order(self, step: Callable[[], Any]) -> "Awaitable[Any]":
        future: Future[Any] = Future()
        self._orders.put((step, future))
        return asyncio.wrap_future(future)

    async def __anext__(self) -> Any:
        try:
            return await self._order(lambda: next(self._generator))
        except BaseException:
            self._orders.put(None)  # it has ended, or will when it comes back
            raise

    async def aclose(self) -> None:
        """End the generator and its thread."""
        await self._order(self._generator.close)
        self._orders.put(None)


class PlainResources:
    """What the jobs of a process of the pool share. Duties in call order: `open`, `bound`, `close`, in one thread."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._wanted = in_order(_taken_by(task for task in registry if task.kind is Kind.PROCESS))
        self._values: Values = {}
        self._open: list[tuple[Resource, Generator[Any, None, None]]] = []

    def open(self) -> None:
        """Open all, those that others need first.

        Raises:
            StartupError: one could not be opened; those before it are closed again.
        """
        for one in self._wanted:
            try:
                generator = one.function(**_given(one.needs, self._values))
                self._values[one.function] = next(generator)
            except (Exception, SystemExit) as error:
                self.close()
                raise _not_open(one, error) from None
            self._open.append((one, generator))

    def bound(self, task: Task) -> Task:
        """The task with what it takes."""
        return bind(task, self._values)

    def close(self) -> None:
        """Close all, the last one first; what does not close is logged."""
        while self._open:
            one, generator = self._open.pop()
            try:
                next(generator)
                log.error("%s yields more than once", one)
                generator.close()
            except StopIteration:
                continue
            except (Exception, SystemExit):
                log.exception("%s was not closed well", one)


def wanted_here(registry: Registry) -> list[Resource]:
    """What a worker opens itself, in order."""
    here = _taken_by(task for task in registry if task.kind is not Kind.PROCESS)
    elsewhere = in_order(_taken_by(task for task in registry if task.kind is Kind.PROCESS))
    away = {one.function for one in elsewhere}
    return in_order([*(one for one in registry.resources if one.function not in away), *here])


def _taken_by(tasks: Iterable[Task]) -> list[Resource]:
    return [one for task in tasks for one in task.resources.values()]


def bind(task: Task, values: Values) -> Task:
    """The same task, whose function has what it takes."""
    if not task.resources:
        return task
    return replace(task, function=partial(task.function, **_given(task.resources, values)))


def _given(needs: Mapping[str, Resource], values: Values) -> dict[str, Any]:
    return {parameter: values[one.function] for parameter, one in needs.items()}


def _not_open(one: Resource, error: BaseException | str) -> StartupError:
    if isinstance(error, StopIteration | StopAsyncIteration):
        error = "it ends without a yield"
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}".removesuffix(": ")
    return StartupError(f"{one} could not be opened: {' '.join(text.split())}")
