"""Which jobs a list or a feed is about. Pure."""

from collections.abc import Iterable
from typing import TypedDict, cast

Value = str | Iterable[str] | None


class Chosen(TypedDict, total=False):
    """A filter: several values of a field mean any of them, different fields must all match."""

    state: Value
    task: Value
    queue: Value
    tag: Value
    parent: Value  # id of the job or the group that they belong to


def wanted(chosen: Chosen) -> dict[str, str | tuple[str, ...]]:
    """As it goes to a server.

    Raises:
        TypeError: a field that there is not; a server would pass over it, and answer all jobs.
    """
    unknown = chosen.keys() - Chosen.__annotations__.keys()
    if unknown:
        raise TypeError(f"jobs are not chosen by {', '.join(sorted(unknown))}")
    given = {name: value for name, value in cast("dict[str, Value]", chosen).items() if value is not None}
    return {name: value if isinstance(value, str) else tuple(value) for name, value in given.items()}
