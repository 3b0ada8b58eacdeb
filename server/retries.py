"""Whether a job gets another attempt after an exception, and when. Pure: what was raised, a count and a draw go in.

An exception is final unless the options of the task say otherwise. Attempts that are lost with their worker are
another matter, and another count: see `max_attempts`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from server.outcome import is_a

DEFAULT_RETRIES = 3  # where a task says what to retry and not how often, and for `Retry`
MAX_DELAY_S = 366 * 86_400.0
MAX_DOUBLINGS = 60  # beyond that any wait is the longest one

Kinds = tuple[type[Exception], ...]


class Retry(Exception):
    """Raised by a task that wants another attempt: `raise Retry("not there yet", after_s=30)`.

    It counts as one of the task's retries (3 where the task has none); when they are used up it is a failure as any
    other exception.

    Args:
        reason: shown among the job's warnings.
        after_s: seconds until the next attempt, at most a year; left out: as long as the task's backoff says.
    """

    def __init__(self, reason: str = "", *, after_s: float | None = None) -> None:
        if after_s is not None and not 0 <= after_s <= MAX_DELAY_S:
            raise ValueError(f"Retry: after_s must be from 0 to {MAX_DELAY_S:.0f}")
        super().__init__(reason or "the task asked for another attempt")
        self.after_s = after_s


class Jitter(StrEnum):
    """How the waits of many jobs that failed together are spread."""

    FULL = "full"  # anything from 0 to the backoff
    EQUAL = "equal"  # half of the backoff, and anything up to its other half
    NONE = "none"  # the backoff


@dataclass(frozen=True, slots=True)
class Retries:
    """What one task says of its exceptions."""

    most: int = DEFAULT_RETRIES  # retries of one job
    retry_on: Kinds = ()  # exceptions that are worth another attempt …
    give_up_on: Kinds = ()  # … without these
    backoff_s: float = 1.0  # before the first retry; twice as long before each further one
    max_backoff_s: float = 300.0
    jitter: Jitter = Jitter.EQUAL

    def delay_s(self, error: BaseException, retried: int, draw: float) -> float | None:
        """Seconds until the next attempt; None when the exception is final.

        Args:
            retried: how many retries the job has had.
            draw: a random number from 0 to 1, for the jitter.
        """
        if retried >= self.most:
            return None
        if is_a(error, (Retry,)):
            asked_s = getattr(error, "after_s", None)
            return self.wait_s(retried, draw) if asked_s is None else float(asked_s)
        if is_a(error, self.give_up_on) or not is_a(error, self.retry_on):
            return None
        return self.wait_s(retried, draw)

    def timeout_delay_s(self, retried: int, draw: float) -> float | None:
        """The same for an attempt that ran longer than its `timeout_s`.

        It is retried only where `TimeoutError` itself is named: what runs into its time once mostly does so again.
        """
        return self.wait_s(retried, draw) if TimeoutError in self.retry_on and retried < self.most else None

    def wait_s(self, retried: int, draw: float) -> float:
        """The backoff before the retry behind `retried` others."""
        longest_s = min(self.max_backoff_s, self.backoff_s * 2.0 ** min(retried, MAX_DOUBLINGS))
        if self.jitter is Jitter.FULL:
            return longest_s * draw
        if self.jitter is Jitter.EQUAL:
            return longest_s * (1 + draw) / 2
        return longest_s


PLAIN = Retries()  # an exception is final


def make_retries(
    retries: int | None,
    retry_on: "type[Exception] | Sequence[type[Exception]]",
    give_up_on: "type[Exception] | Sequence[type[Exception]]",
    backoff_s: float,
    max_backoff_s: float,
    jitter: str,
) -> Retries:
    """What the options of `@task` mean: `retries` alone retries any exception, `retry_on` alone retries three times.

    Raises:
        TypeError: a value that cannot be.
    """
    if not (retries is None or (type(retries) is int and retries >= 0)):
        raise TypeError("@task: retries must be a whole number from 0 on")
    if not 0 <= backoff_s <= max_backoff_s <= MAX_DELAY_S:
        raise TypeError("@task: backoff_s and max_backoff_s must be from 0 to a year, the first not over the second")
    if jitter not in list(Jitter):
        raise TypeError(f"@task: jitter must be one of {', '.join(Jitter)}")
    wanted, unwanted = _kinds("retry_on", retry_on), _kinds("give_up_on", give_up_on)
    if unwanted and not (wanted or retries):
        raise TypeError("@task: give_up_on says which exceptions are not retried, and without retries none is")
    return Retries(
        most=DEFAULT_RETRIES if retries is None else retries,
        retry_on=wanted or ((Exception,) if retries else ()),
        give_up_on=unwanted,
        backoff_s=float(backoff_s),
        max_backoff_s=float(max_backoff_s),
        jitter=Jitter(jitter),
    )


def _kinds(name: str, given: "type[Exception] | Sequence[type[Exception]]") -> Kinds:
    kinds = tuple(given) if isinstance(given, list | tuple) else (given,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise TypeError(f"@task: {name} takes exception classes, not {kind!r}")
    return kinds
