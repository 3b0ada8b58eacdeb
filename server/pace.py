"""What subscriptions of every kind have in common: how far they have come, and how often they may speak. Pure."""

from enum import Enum, auto
from typing import Any

Frame = dict[str, Any]


class Phase(Enum):
    """How far a subscription has come."""

    OPENING = auto()
    REPLAY = auto()
    LIVE = auto()
    ENDED = auto()


class Pace:
    """Not more often than a client asked for: the first at once, the next after the interval."""

    __slots__ = ("interval_s", "last")

    def __init__(self, rate: float) -> None:
        self.interval_s = 1 / rate
        self.last = float("-inf")  # monotonic seconds

    def due_in(self, now: float, hidden_s: float | None) -> float:
        """Seconds until the next frame may go; 0 when it may go now."""
        return max(0.0, self.last + max(self.interval_s, hidden_s or 0.0) - now)


def nobody() -> None:
    """Nobody listens yet."""
