"""`@task`: what a task file says of a function, and every option it may give.

`@task` only marks a function; nothing is registered anywhere until a `Registry` loads the module. So a task file can be
imported by tests and scripts without a server.
"""

import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, overload

from server.job import MAX_PRIORITY, MIN_PRIORITY, NAME_PATTERN
from server.retries import Retries, make_retries
from server.tree import MARK

Function = TypeVar("Function", bound=Callable[..., Any])
DEFAULT_QUEUE = "default"
DEFAULT_MAX_ATTEMPTS = 3
MAX_CACHE_S = 10 * 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Options:
    """What `@task(…)` was told."""

    name: str | None = None  # default: the function's name
    queue: str = DEFAULT_QUEUE
    timeout_s: float | None = None  # longest run of one attempt
    max_attempts: int = DEFAULT_MAX_ATTEMPTS  # attempts that may be lost with their worker
    process: bool = False  # a plain `def` runs in a process, not in a thread
    priority: int = 0  # -10 … 10, higher first
    unique: "bool | Sequence[str]" = False  # by which arguments jobs are the same; True: by all
    cache_s: float | None = None  # how long a success answers for jobs with the same arguments
    retries: int | None = None  # how often an exception is followed by another attempt
    retry_on: "type[Exception] | Sequence[type[Exception]]" = ()  # exceptions that are
    give_up_on: "type[Exception] | Sequence[type[Exception]]" = ()  # … and those that are not all the same
    backoff_s: float = 1.0  # wait before the first retry; doubled for each further one
    max_backoff_s: float = 300.0
    jitter: str = "equal"  # how waits are spread: full, equal, none
    limit: int | None = None  # jobs that run at once, over all workers
    key: "str | Sequence[str]" = ()  # arguments for each value of which the limit holds
    limit_trees: bool = False  # a job that waits for its children keeps its place under the limit
    cron: "str | Sequence[str]" = ()  # when to run it
    timezone: str = "UTC"  # … by the clocks of this zone
    missed: str = "skip"  # ticks that no node was there for: skip, once, all

    @property
    def retrying(self) -> Retries:
        """What they say of exceptions."""
        return make_retries(
            self.retries, self.retry_on, self.give_up_on, self.backoff_s, self.max_backoff_s, self.jitter
        )


@overload
def task(function: Function, /) -> Function: ...
@overload
def task(
    *,
    name: str | None = None,
    queue: str = ...,
    timeout_s: float | None = None,
    max_attempts: int = ...,
    process: bool = ...,
    priority: int = ...,
    unique: "bool | Sequence[str]" = ...,
    cache_s: float | None = None,
    retries: int | None = None,
    retry_on: "type[Exception] | Sequence[type[Exception]]" = ...,
    give_up_on: "type[Exception] | Sequence[type[Exception]]" = ...,
    backoff_s: float = ...,
    max_backoff_s: float = ...,
    jitter: Literal["full", "equal", "none"] = ...,
    limit: int | None = None,
    key: "str | Sequence[str]" = ...,
    limit_trees: bool = ...,
    cron: "str | Sequence[str]" = ...,
    timezone: str = ...,
    missed: Literal["skip", "once", "all"] = ...,
) -> Callable[[Function], Function]: ...
def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Mark a function as a task: `@task` or `@task(timeout_s=60)`.

    `async def` runs on the event loop, plain `def` in a thread, or with `process=True` in a process. A parameter
    annotated with `Progress` gets the job's progress; all others are arguments, checked against their annotations when
    a job is submitted.

    Args:
        name: how jobs name it; the function's name by default.
        queue: where its jobs wait if the submission does not say.
        timeout_s: longest run of one attempt; then the job fails with `timeout`.
        max_attempts: how many attempts may be lost with their worker before the job fails with `worker_lost`.
        process: for plain `def` that keeps the CPU busy or may crash: it runs in a process, apart from all others.
        priority: of its jobs if the submission does not say; -10 to 10, higher first.
        unique: while a job waits or runs, a submit with the same arguments is answered with it instead of a new one;
            names of arguments say which of them count.
        cache_s: after a success a submit with the same arguments is answered with that job, for so many seconds.
        retries: how often an exception is followed by another attempt; alone, any exception is.
        retry_on: exceptions that are followed by another attempt, three times if `retries` does not say; a timeout only
            where `TimeoutError` itself is named.
        give_up_on: exceptions that are final though `retry_on` names a base of theirs.
        backoff_s: wait before the first retry; each further one waits twice as long, up to `max_backoff_s`.
        jitter: "full" waits anything up to that, "equal" at least half of it, "none" just that.
        limit: how many of its jobs run at once, over all workers.
        key: names of arguments: the limit holds for the jobs with the same values of them.
        limit_trees: a job that waits for its children keeps its place, so `limit` bounds the trees that have begun; a
            job that another one has spawned needs no place.
        cron: a cron expression or several: a job without arguments is submitted at each of its times.
        timezone: the zone by whose clocks `cron` goes, such as "Europe/Berlin".
        missed: what becomes of times at which no node was running: "skip", "once" (the last one) or "all".

    Raises:
        TypeError: an option nobody knows, or one with a value that cannot be.
    """
    for name in options.keys() - {field.name for field in fields(Options)}:
        raise TypeError(f"@task: there is no option {name!r}")
    chosen = Options(**options)
    _check_options(chosen)

    def mark(marked: Callable[..., Any]) -> Callable[..., Any]:
        setattr(marked, MARK, chosen)
        return marked

    return mark if function is None else mark(function)


def _check_options(options: Options) -> None:
    for name in (options.name, options.queue):
        if name is not None and not (isinstance(name, str) and re.fullmatch(NAME_PATTERN, name)):
            raise TypeError(f"@task: {name!r} is not a name: up to 64 of A-Z a-z 0-9 _ . -")
    _check_seconds(options)
    if options.timeout_s is not None and not options.timeout_s > 0:
        raise TypeError("@task: timeout_s must be over 0")
    if not (type(options.max_attempts) is int and options.max_attempts >= 1):
        raise TypeError("@task: max_attempts must be a whole number from 1 on")
    if not isinstance(options.process, bool):
        raise TypeError("@task: process must be True or False")
    if type(options.priority) is not int or not MIN_PRIORITY <= options.priority <= MAX_PRIORITY:
        raise TypeError(f"@task: priority must be a whole number from {MIN_PRIORITY} to {MAX_PRIORITY}")
    _check_same(options)
    _ = options.retrying


def _check_seconds(options: Options) -> None:
    for name in ("timeout_s", "cache_s", "backoff_s", "max_backoff_s"):
        value = getattr(options, name)
        optional = value is None and name in {"timeout_s", "cache_s"}
        if not (optional or (type(value) in {int, float} and math.isfinite(value))):
            raise TypeError(f"@task: {name} must be a number of seconds")


def _check_same(options: Options) -> None:
    unique = options.unique
    names = isinstance(unique, list | tuple) and unique and all(isinstance(name, str) for name in unique)
    if not (isinstance(unique, bool) or names):
        raise TypeError("@task: unique must be True, False or a tuple of names of arguments")
    if options.cache_s is not None and not 0 < options.cache_s <= MAX_CACHE_S:
        raise TypeError("@task: cache_s must be over 0, and at most ten years")


def is_marked(function: object) -> bool:
    """Whether it is a task. Looked up without `getattr`, which runs code of proxies and mocks."""
    return isinstance(inspect.getattr_static(function, MARK, None), Options)


def options_of(function: Callable[..., Any]) -> Options:
    """What `@task` was told of a marked function."""
    options: Options = getattr(function, MARK)
    return options
