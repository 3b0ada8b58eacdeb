"""Who is told of news. Pure."""

from collections.abc import Iterable
from typing import Protocol


class Watcher(Protocol):
    """Who is told that a topic or a window has news; must not wait."""

    def notify(self) -> None:
        """There is news."""


def tell(watchers: Iterable[Watcher]) -> None:
    """Tell all of them; one that leaves because of it changes nothing."""
    for watcher in list(watchers):
        watcher.notify()
