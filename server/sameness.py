"""What makes two submits the same: digests of values, and which arguments of a task count. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

_canonical = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode


def digest(value: Any) -> str:
    """A name for a checked value: equal values have equal ones, whatever codec or order of keys they came in."""
    return blake2b(_canonical(value).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Same:
    """By what the store knows jobs that are the same as a new one."""

    unique: str | None  # digest: while one with it waits or runs, that one is the answer
    cache: str | None  # digest: for some time after one with it has succeeded, that one is the answer
    cache_s: float  # this long; 0 where there is no cache


class Sameness:
    """Which jobs of one task are the same.

    Args:
        unique: the arguments by which a job is unique: True for all, False for none.
        cache_s: how long a success answers for jobs with the same arguments; None: never.
        defaults: what counts for an argument that is not given; all must be JSON values.
    """

    __slots__ = ("_cache_s", "_defaults", "_unique")

    def __init__(self, unique: "bool | Sequence[str]", cache_s: float | None, defaults: Mapping[str, Any]) -> None:
        self._unique = unique
        self._cache_s = cache_s
        self._defaults = dict(defaults)

    def of(self, args: Mapping[str, Any]) -> Same:
        """By what a job with these checked arguments is known."""
        counted = {**self._defaults, **args}
        every = digest(counted) if self._unique is True or self._cache_s is not None else None
        if isinstance(self._unique, bool):
            unique = every if self._unique else None
        else:
            unique = digest({name: counted[name] for name in self._unique if name in counted})
        return Same(unique, None if self._cache_s is None else every, self._cache_s or 0.0)
