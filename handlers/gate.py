"""Whether one more client may come: how many a node holds, and how much opening it does at a time.

`docs/operations.md` says what is refused and why. A refusal is 503 with `Retry-After`, before the upgrade.
"""

import logging
import random
import resource
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from server.errors import Unavailable
from server.settings import Settings

log = logging.getLogger("windsock.gate")
MAX_DESCRIPTORS = 1 << 20  # the kernel's own limit (fs.nr_open), where the hard one is none
LEAST_SPARE = 200  # descriptors for Redis, files, requests and what tasks open
PAUSE_S = {"full": (5.0, 15.0), "greeting": (1.0, 5.0)}  # least and most of Retry-After
LEAST_SPREAD_S, MOST_SPREAD_S = 1.0, 30.0
TELL_S = 10.0  # between two log lines


class Reason(StrEnum):
    """Why a client is sent away."""

    FULL = "full"  # as many as the node may hold are connected
    GREETING = "greeting"  # too many are connected that have not said hello
    LATE = "late"  # it waited too long to be accepted, and those before it did as well


WORDS = {
    Reason.FULL: "this node holds as many clients as it may",
    Reason.GREETING: "too many clients are connecting at once",
    Reason.LATE: "too many clients are connecting at once",
}


def raise_descriptors() -> None:
    """Let this process open as many descriptors as it may: a client takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # macOS has a second limit, which it does not tell
        log.info("descriptors stay limited to %d: %s", soft, error)


def room() -> int:
    """How many clients the descriptors of this process are good for; a tenth, at least 200, is kept for the rest."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = MAX_DESCRIPTORS
    return max(1, soft - max(LEAST_SPARE, soft // 10))


class Gate:
    """Owns what is counted to say whether one more may come. Time is an argument, monotonic seconds.

    A queue that is worked off is none of its business: only where the kernel's queue has not been empty for `accept_s`
    are those sent away who have waited longer than that (the idea is CoDel's, RFC 8289). So nobody waits much longer
    than `accept_s`, whatever a handshake costs on this machine, and a pause of the loop alone sends nobody away.
    """

    def __init__(
        self, settings: Settings, refused: Counter[str], held: Callable[[], int], greeting: Callable[[], int]
    ) -> None:
        """Nobody has come yet.

        Args:
            refused: counts those sent away, by reason.
            held: how many clients are connected.
            greeting: how many of them have not said hello.
        """
        self._settings = settings
        self._refused = refused
        self._most = min(settings.connections or MAX_DESCRIPTORS, room())
        self._held, self._greeting = held, greeting
        self._busy_since: float | None = None  # the kernel's queue was empty for the last time
        self._taken = self._late = 0  # since then
        self._told = -TELL_S

    def shut(self, *, greets: bool = True) -> Reason | None:
        """Why nobody may come now; None where anybody may. Who reads events over HTTP does not greet."""
        if self._held() >= self._most:
            return Reason.FULL
        if greets and self._greeting() >= self._settings.greeting:
            return Reason.GREETING
        return None

    def check(self, now: float, *, greets: bool = True) -> None:
        """Make sure that one more client may come.

        Raises:
            Unavailable: there is no room now.
        """
        reason = self.shut(greets=greets)
        if reason is not None:
            raise self.refusal(reason, now)

    def refusal(self, reason: Reason, now: float) -> Unavailable:
        """Count somebody who is sent away, and say so."""
        self._refused[reason.value] += 1
        if reason is Reason.LATE:
            self._late += 1
        if now - self._told >= TELL_S:
            self._told = now
            log.info("clients are sent away: %s (%s); not told again for %g s", WORDS[reason], reason, TELL_S)
        return Unavailable(WORDS[reason], after_s=self._pause_s(reason, now))

    def _pause_s(self, reason: Reason, now: float) -> float:
        """Spread, so that those sent away do not come back together."""
        if reason is not Reason.LATE:
            return random.uniform(*PAUSE_S[reason])
        busy_s = 0.0 if self._busy_since is None else now - self._busy_since
        needed_s = busy_s * self._late / max(1, self._taken)  # to take all that were sent away, at this speed
        return random.uniform(0.0, min(MOST_SPREAD_S, max(LEAST_SPREAD_S, needed_s)))

    # the kernel's queue

    def judge(self, waited_s: float, now: float) -> Reason | None:
        """Why a connection that was just accepted, having waited so long, should be sent away; None: it may stay."""
        if self._busy_since is None:
            self._busy_since = now
            self._taken = self._late = 0
        limit_s = self._settings.accept_s
        reason = self.shut()
        if reason is None and waited_s > limit_s and now - self._busy_since > limit_s:
            reason = Reason.LATE
        self._taken += reason is None
        return reason

    def emptied(self) -> None:
        """Nobody waits any more."""
        self._busy_since = None

    def exhausted(self) -> None:
        """A connection could not be accepted for want of a descriptor, or of memory."""
        self._refused["descriptors"] += 1
