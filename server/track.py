"""Goes through something and counts it: what `progress.track(…)` answers. Pure."""

import time
import types
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
BREATHE_S = 0.01  # `async for` over a plain iterable lets the loop go on this often


class Advances(Protocol):
    """What counts."""

    def advance(self, by: float = 1, note: str | None = None) -> None:
        """`by` more are done."""


class Track(Generic[Item]):
    """Iterates over something and advances a progress by one for each item done."""

    __slots__ = ("_items", "_progress")

    def __init__(self, progress: Advances, items: Iterable[Item] | AsyncIterable[Item]) -> None:
        self._progress = progress
        self._items = items

    def __iter__(self) -> Iterator[Item]:
        if not isinstance(self._items, Iterable):
            raise TypeError("an async iterable needs `async for item in progress.track(…)`")
        for item in self._items:
            yield item
            self._progress.advance()

    async def __aiter__(self) -> AsyncIterator[Item]:
        if isinstance(self._items, AsyncIterable):
            async for item in self._items:
                yield item
                self._progress.advance()
            return
        breathed = time.monotonic()
        for item in self._items:
            yield item
            self._progress.advance()
            if time.monotonic() - breathed > BREATHE_S:
                await _breathe()
                breathed = time.monotonic()


@types.coroutine
def _breathe() -> Generator[None, None, None]:
    """One turn of the loop, without importing asyncio here: a bare yield is what `asyncio.sleep(0)` is made of."""
    yield
