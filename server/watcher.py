"""Who is told of news, and what has news. Pure."""

from collections.abc import Hashable
from typing import Any, Protocol


class Watcher(Protocol):
    """Who is told that a topic or a window has news; must not wait."""

    def notify(self) -> None:
        """There is news."""


class Keeper(Protocol):
    """Whose table it is in."""

    def idle(self, watched: Any) -> None:
        """Nobody watches any more."""


class Watched:
    """What has watchers: a topic, a window, the stats."""

    __slots__ = ("keeper", "standing", "watchers")

    def __init__(self) -> None:
        self.keeper: Keeper | None = None
        self.watchers: dict[Watcher, None] = {}
        self.standing: dict[Hashable, Any] = {}  # by point: a subscription that others may join there

    def tell(self) -> None:
        """There is news. Whoever leaves because of it changes nothing for the others."""
        for watcher in list(self.watchers):
            watcher.notify()

    def unwatch(self, watcher: Watcher) -> None:
        """Tell this one no more."""
        if self.watchers.pop(watcher, self) is None and not self.watchers and self.keeper is not None:
            self.keeper.idle(self)
