"""How many jobs of a task run at once, over all workers: of the task, or for each value of some arguments. Pure.

Jobs that share a limit name it alike. The name travels with the job, how many may run is said by the code of the worker
that claims: so a changed number holds for jobs that wait already, and a changed key for new ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_jsonable_python

from server.sameness import digest


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of one task."""

    task: str  # its name
    most: int  # jobs that run at once under one name
    key: tuple[str, ...] = ()  # names of the arguments whose values share one; none: all jobs of the task do
    trees: bool = False  # who waits for children keeps its place; children have none, or they could wait for each other

    def name(self, values: Mapping[str, Any]) -> str:
        """What the job with these converted arguments shares with others."""
        if not self.key:
            return self.task
        return f"{self.task}/{digest([to_jsonable_python(values[one], fallback=str) for one in self.key])}"


def make_limit(
    task: str, most: int | None, key: "str | Sequence[str]", arguments: Sequence[str], *, trees: bool = False
) -> Limit | None:
    """What the options of `@task` mean; None where there is no limit.

    Args:
        arguments: names of all arguments of the task.
        trees: its `limit_trees`.

    Raises:
        TypeError: a value that cannot be.
    """
    names = (key,) if isinstance(key, str) else tuple(key)
    if most is None:
        if names:
            raise TypeError(f"task {task}: key says by what jobs are limited, and there is no limit")
        if trees:
            raise TypeError(f"task {task}: limit_trees says what the limit bounds, and there is no limit")
        return None
    if type(most) is not int or most < 1:
        raise TypeError(f"task {task}: limit must be a whole number from 1 on")
    if not isinstance(trees, bool):
        raise TypeError(f"task {task}: limit_trees must be True or False")
    for name in names:
        if name not in arguments:
            raise TypeError(f"task {task}: key names {name!r}, which is none of its arguments")
    return Limit(task, most, names, trees)
