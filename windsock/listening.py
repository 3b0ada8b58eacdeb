"""Watching from a thread that waits: the connection lives in a thread of its own, which keeps it alive meanwhile."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from windsock.events import Event
from windsock.target import Target
from windsock.watched import LogWish
from windsock.watching import CLOSED, HELD, EventStream


class Listening:
    """As `EventStream`, for a thread without a loop.

    Duties in call order: `watch`, `feed`, `stats`, also later; iterate, until every job has ended; `close`.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._events: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
        self._begun = threading.Event()
        self._failure: Exception | None = None  # why it could not begin
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="windsock-events", daemon=True)
        self._thread.start()
        self._begun.wait()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        listening = self._listen()
        try:
            asyncio.run(listening)
        except Exception as error:  # such as OSError: no descriptor is left for a loop
            listening.close()
            self._failure = error
        finally:
            self._begun.set()
            self._events.put(None)  # whoever still waits for an event

    async def _listen(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(HELD)
        self._wanted = asyncio.Event()
        self._closing = asyncio.Event()
        self._stream = EventStream(self._target)
        self._begun.set()
        passing = asyncio.create_task(self._pass_on())
        await self._closing.wait()
        passing.cancel()
        await asyncio.gather(passing, return_exceptions=True)
        await self._stream.close()

    async def _pass_on(self) -> None:
        while True:
            await self._wanted.wait()
            last: BaseException | None = None
            try:
                async for event in self._stream:
                    await self._room.acquire()
                    self._events.put(event)
            except Exception as error:
                last = error
            self._wanted.clear()  # by now it was wanted again by who takes this end
            self._events.put(last)

    def _do(self, act: Callable[[], Any]) -> Any:
        if self._closed:
            raise RuntimeError(CLOSED)

        async def done() -> Any:
            return act()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result()

    def watch(self, job_id: str, *, log: LogWish = "all", after: str | None = None) -> int:
        """A job, to its end; see `EventStream.watch`."""
        sub: int = self._do(lambda: self._stream.watch(job_id, log=log, after=after))
        return sub

    def feed(self, chosen: Mapping[str, str | Sequence[str]], limit: int = 100, rate: float | None = None) -> int:
        """The newest jobs that match; see `EventStream.feed`."""
        sub: int = self._do(lambda: self._stream.feed(chosen, limit, rate))
        return sub

    def stats(self) -> int:
        """How the whole store goes; see `EventStream.stats`."""
        sub: int = self._do(self._stream.stats)
        return sub

    def drop(self, sub: int) -> None:
        """Watch this no more."""
        self._do(lambda: self._stream.drop(sub))

    def __iter__(self) -> Iterator[Event]:
        """The events, until every job has ended, or until it is closed.

        Raises:
            Unreachable, Refused: the server never answered; it will not have us.
        """
        self._soon(self._wanted.set)
        while not self._closed and (event := self._events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            self._soon(self._room.release)
            yield event

    def _soon(self, act: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # it was closed meanwhile, and its loop with it
            self._loop.call_soon_threadsafe(act)

    def close(self) -> None:
        """End the connection and the thread; whoever waits for an event is told that there are no more."""
        self._closed = True
        if self._thread.is_alive():
            self._soon(self._closing.set)
            self._thread.join()

    def __enter__(self) -> "Listening":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
