"""What a task knows of children: how it wishes for them, how it holds them, and how they fail. Pure.

`progress.spawn` and `progress.gather` are here; what they do is done by a `Family`, of which there is one kind for
each kind of task: on the loop, from a thread, or over the line of a process.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Protocol

from pydantic_core import PydanticSerializationError, to_jsonable_python

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's, as in ULIDs
_TIME = 10  # characters of a ULID that are its time; the other 16 are 80 bits
_NUMBER_BITS = 20


class OnFailure(StrEnum):
    """What `gather` does when a child has failed or was cancelled."""

    FAIL = "fail"  # cancels the others and raises
    COLLECT = "collect"  # waits for all


class SpawnRefused(Exception):
    """A child cannot be: unknown task, arguments that do not fit, a limit, or another one was in its place before."""


class ChildFailed(Exception):
    """A child has ended without a result.

    Attributes:
        child: its id.
        task: name of its task.
        state: `failed` or `cancelled`; `gone` where it was deleted, or has expired, before its result was read.
        error: `code`, `message` and perhaps `traceback`, as the API shows it; None where it was cancelled.
    """

    def __init__(self, child: str, task: str, state: str, error: Mapping[str, Any] | None = None) -> None:
        why = "" if error is None else f": {error.get('message', '')}"
        super().__init__(f"child {child} ({task}) {'is' if state == 'gone' else 'has ended'} {state}{why}")
        self.child = child
        self.task = task
        self.state = state
        self.error = None if error is None else dict(error)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.child, self.task, self.state, self.error)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a child is to be. All of it are JSON values: it may come from another process."""

    task: str
    args: dict[str, Any]
    weight: float = 1.0
    key: str | None = None  # what it is known by in later attempts; None: by its number
    queue: str | None = None
    priority: int | None = None
    delay_s: float | None = None
    timeout_s: float | None = None
    max_attempts: int | None = None
    tags: Sequence[str] = ()


class Child:
    """A child as the task that spawned it holds it.

    In a coroutine `await` it to know that it is stored; without that, `gather` waits for it.
    """

    __slots__ = ("_stored", "id", "task")

    def __init__(self, job_id: str, task: str, stored: Any = None) -> None:
        self.id = job_id
        self.task = task  # its name
        self._stored = stored  # an awaitable, in coroutines

    def __await__(self) -> Generator[Any, None, "Child"]:
        if self._stored is not None:
            yield from self._stored.__await__()
        return self

    def __repr__(self) -> str:
        return f"<child {self.id} ({self.task})>"


class Family(Protocol):
    """The children of one attempt."""

    def spawn(self, wish: Wish) -> Child:
        """Have a child."""

    def gather(self, children: Sequence[Child], on_failure: OnFailure) -> Any:
        """What `Spawning.gather` answers."""

    def stop(self) -> None:
        """The job was asked to end: whoever waits in a thread is let go."""


class Spawning:
    """The part of a job's voice that is about children."""

    __slots__ = ()

    def relatives(self) -> Family:
        """The family, made when it is first needed."""
        raise NotImplementedError

    def spawn(
        self,
        task: "str | Callable[..., Any]",
        /,
        *,
        weight: float = 1.0,
        key: str | None = None,
        args: Mapping[str, Any] | None = None,
        in_queue: str | None = None,
        with_priority: int | None = None,
        after_s: float | None = None,
        at_most_s: float | None = None,
        max_attempts: int | None = None,
        tagged: Iterable[str] = (),
        **arguments: Any,
    ) -> Child:
        """Start a child job: `child = await progress.spawn(thumbnail, path="a.png")`, in a `def` without `await`.

        A job that runs again after its worker was lost finds the children it has had: by their number, so they must be
        spawned in the same order each time, or by their `key`.

        Args:
            task: a function marked with `@task`, or the name of a task.
            weight: how much of this job's progress the child is.
            key: what the child is known by in later attempts, instead of by its number.
            args: arguments whose names are taken here, such as `key`.
            in_queue: its queue; that of its task by default. As `with_priority`, `max_attempts` and `at_most_s`, the
                longest run of one attempt in seconds.
            after_s: seconds before which it does not start.
            tagged: its tags.
            arguments: those of its task.

        Raises:
            SpawnRefused: it cannot be; the message says why.
            JobCancelled: this job was asked to end (`def` tasks).
        """
        if not weight > 0:
            raise SpawnRefused("weight must be over 0")
        try:
            values = to_jsonable_python({**(args or {}), **arguments})
        except (PydanticSerializationError, ValueError) as error:
            raise SpawnRefused(f"the arguments are no JSON values: {error}") from None
        name = task if isinstance(task, str) else task_name(task)
        timeout_s, tags = at_most_s, list(tagged)
        wish = Wish(name, values, float(weight), key, in_queue, with_priority, after_s, timeout_s, max_attempts, tags)
        return self.relatives().spawn(wish)

    def gather(self, *children: Child, on_failure: str = OnFailure.FAIL) -> Any:
        """Wait for children, and answer with their results in order: `results = await progress.gather()`.

        While it waits, the job takes no slot of its worker and no place under its limit. In a `def` without `await`.

        Args:
            children: those to wait for; all there are where none is given.
            on_failure: "fail" cancels the others when one has failed and raises; "collect" waits for all, and answers
                with a `ChildFailed` in the place of each result there is not.

        Raises:
            ChildFailed: a child has failed, was cancelled, or is gone.
            SpawnRefused: one of them was never stored.
        """
        return self.relatives().gather(children, OnFailure(on_failure))


def nobody() -> Family:
    """The family of a job that no worker runs.

    Raises:
        SpawnRefused: always.
    """
    raise SpawnRefused("no worker runs this job")


MARK = "__windsock_task__"  # what `@task` leaves on a function


def task_name(function: Callable[..., Any]) -> str:
    """What jobs call a task that is given as its function.

    Raises:
        SpawnRefused: it is none.
    """
    options = getattr(function, MARK, None)
    if options is None:
        raise SpawnRefused(f"{function!r} is no task: mark it with @task, or give the name of one")
    return str(options.name or getattr(function, "__name__", "?"))


def child_id(parent: str, number: int, key: str | None = None) -> str:
    """The id of a child: always the same for one parent and one number, or one key.

    It has the form of a ULID and its parent's time; children sort behind each other in the order of their numbers.
    """
    seed = f"{parent}/" if key is None else f"{parent}/{key}"
    random = int.from_bytes(blake2b(seed.encode(), digest_size=10).digest(), "big")
    if key is None:
        random = (random >> _NUMBER_BITS << _NUMBER_BITS) + number
    digits = "".join(_DIGITS[random >> shift & 31] for shift in range(75, -1, -5))
    return parent[:_TIME] + digits
