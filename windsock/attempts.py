"""When a request is asked again. Pure but for the dice and the clock, which are given.

What may come twice without harm (a GET, a submit with its key) is asked again whatever happened to it; anything else
only if it certainly was not done: the connection was refused, or the server said "not now".
"""

from dataclasses import dataclass, field

from windsock.backoff import Backoff
from windsock.errors import Busy, Unreachable


@dataclass(slots=True)
class Attempts:
    """One request, over as many tries as it may have."""

    repeatable: bool  # whether it may come twice
    until: float  # monotonic seconds: no new try begins later
    backoff: Backoff = field(default_factory=Backoff)

    def delay_s(self, failure: Busy | Unreachable, now: float) -> float | None:
        """Seconds to wait for the next try; None when there is none.

        Args:
            failure: what came of the last one.
            now: monotonic seconds.
        """
        if isinstance(failure, Unreachable) and failure.sent and not self.repeatable:
            return None
        at_least_s = (failure.after_s or 0.0) if isinstance(failure, Busy) else 0.0
        delay_s = self.backoff.delay_s(0.0, at_least_s=at_least_s)
        left_s = self.until - now
        if left_s <= 0 or at_least_s > left_s:
            return None
        return min(delay_s, left_s)
