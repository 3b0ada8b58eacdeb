"""When to come back to a server that is gone. Pure but for the dice, which are given."""

from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from random import uniform

BASE_S = 0.5
CAP_S = 20.0
STEADY_S = 5.0  # a connection that lasted this long was a good one: the count begins anew
_BUSY_FAILURES = 3
LONGEST_S = 300.0  # of what a server may ask for


def is_final(close_code: int | None) -> bool:
    """Whether a close code says: do not come back unchanged (40xx)."""
    return close_code is not None and 4000 <= close_code < 4100


def is_busy(close_code: int | None) -> bool:
    """Whether a close code says: back off, this node has too much to do, or we are too slow (41xx)."""
    return close_code is not None and 4100 <= close_code < 4200


def retry_after_s(text: str | None, now: float) -> float | None:
    """Seconds in a Retry-After header (RFC 9110, section 10.2.3), at most five minutes; None without one.

    Args:
        text: the header: seconds or a date.
        now: seconds since the epoch.
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_S)
    try:
        return min(max(parsedate_to_datetime(text).timestamp() - now, 0.0), LONGEST_S)
    except (ValueError, OverflowError):
        return None


@dataclass(slots=True)
class Backoff:
    """Full jitter: any moment up to 0.5 s, then 1 s … 20 s, so that many clients do not come at once."""

    dice: Callable[[float, float], float] = field(default=uniform)
    failures: int = 0  # in a row

    def delay_s(self, lasted_s: float, *, busy: bool = False, at_least_s: float = 0.0) -> float:
        """How long to wait now.

        Args:
            lasted_s: how long the connection that was lost had stood; 0 if it never did.
            busy: the server asked to back off, so a good connection does not begin the count anew.
            at_least_s: the server asked to stay away this long.
        """
        if busy:
            self.failures = max(self.failures, _BUSY_FAILURES)
        elif lasted_s >= STEADY_S:
            self.failures = 0
        ceiling = min(CAP_S, BASE_S * 2.0 ** min(self.failures, 16))
        self.failures += 1
        return at_least_s + self.dice(0.0, ceiling)

    def moment_s(self, window: object) -> float:
        """A random moment in the window `[a, b]` of a drain; at once if there is none."""
        if isinstance(window, list | tuple) and len(window) == 2:
            return max(self.dice(float(window[0]), float(window[1])), 0.0)
        return 0.0
