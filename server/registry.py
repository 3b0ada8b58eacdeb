"""Tasks: `@task`, what their arguments must look like, and where they come from.

`@task` only marks a function; nothing is registered anywhere until a `Registry` loads the module. So a task file can be
imported by tests and scripts without a server.
"""

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar, cast, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from server.errors import FieldError, Invalid
from server.job import NAME_PATTERN
from server.progress import Progress
from server.protocol import field_errors

Function = TypeVar("Function", bound=Callable[..., Any])
_MARK = "__windsock_task__"
_FIELD = "argument_"  # before field names, so that an argument may be called `json`, `_x` or `model_config`
_ADVICE = "For further information visit"  # pydantic's, about pydantic
DEFAULT_QUEUE = "default"
DEFAULT_MAX_ATTEMPTS = 3


class Kind(StrEnum):
    """Where the function of a task runs."""

    COROUTINE = "coroutine"
    THREAD = "thread"


@dataclass(frozen=True, slots=True)
class Options:
    """What `@task(…)` was told."""

    name: str | None = None  # default: the function's name
    queue: str = DEFAULT_QUEUE
    timeout_s: float | None = None  # longest run of one attempt
    max_attempts: int = DEFAULT_MAX_ATTEMPTS  # attempts that may be lost with their worker


@overload
def task(function: Function, /) -> Function: ...
@overload
def task(
    *, name: str | None = None, queue: str = ..., timeout_s: float | None = None, max_attempts: int = ...
) -> Callable[[Function], Function]: ...
def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Mark a function as a task: `@task` or `@task(timeout_s=60)`.

    `async def` runs on the event loop, plain `def` in a thread. A parameter annotated with `Progress` gets the job's
    progress; all others are arguments, checked against their annotations when a job is submitted.

    Args:
        name: how jobs name it; the function's name by default.
        queue: where its jobs wait if the submission does not say.
        timeout_s: longest run of one attempt; then the job fails with `timeout`.
        max_attempts: how many attempts may be lost with their worker before the job fails with `worker_lost`.

    Raises:
        TypeError: an option nobody knows, or one with a value that cannot be.
    """
    chosen = Options(**options)
    _check_options(chosen)

    def mark(marked: Callable[..., Any]) -> Callable[..., Any]:
        setattr(marked, _MARK, chosen)
        return marked

    return mark if function is None else mark(function)


def _check_options(options: Options) -> None:
    for name in (options.name, options.queue):
        if name is not None and not re.fullmatch(NAME_PATTERN, name):
            raise TypeError(f"@task: {name!r} is not a name: up to 64 of A-Z a-z 0-9 _ . -")
    if options.timeout_s is not None and not options.timeout_s > 0:
        raise TypeError("@task: timeout_s must be over 0")
    if not (isinstance(options.max_attempts, int) and options.max_attempts >= 1):
        raise TypeError("@task: max_attempts must be 1 or more")


@dataclass(frozen=True, slots=True)
class Task:
    """A registered function and what can be known of it without running it."""

    name: str
    function: Callable[..., Any]
    kind: Kind
    options: Options
    arguments: type[BaseModel]  # made from the signature
    progress_parameter: str | None  # the parameter that gets the Progress
    summary: str  # first line of the docstring

    def check(self, args: Mapping[str, Any]) -> None:
        """Make sure that a job with `args` can be called.

        Raises:
            Invalid: naming every argument that is missing, unknown or of the wrong kind.
        """
        self._model(args)

    def bind(self, args: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """The keyword arguments of one call: converted values and the progress.

        Raises:
            Invalid: as `check`.
        """
        model = self._model(args)
        call = {name.removeprefix(_FIELD): getattr(model, name) for name in type(model).model_fields}
        if self.progress_parameter is not None:
            call[self.progress_parameter] = progress
        return call

    def _model(self, args: Mapping[str, Any]) -> BaseModel:
        try:
            return self.arguments.model_validate(dict(args))
        except ValidationError as error:
            raise Invalid(field_errors(error, args, "args.")) from None
        except Exception as error:  # validators in annotations are the task's code
            raise Invalid.field("args", f"cannot be checked: {type(error).__name__}: {error}"[:500]) from error

    def describe(self) -> dict[str, Any]:
        """The task as `GET /api/tasks` shows it."""
        return {
            "name": self.name,
            "summary": self.summary,
            "kind": self.kind.value,
            "arguments": self.arguments.model_json_schema(),
            "options": {
                "queue": self.options.queue,
                "timeout_s": self.options.timeout_s,
                "max_attempts": self.options.max_attempts,
            },
        }


def _is_marked(function: object) -> bool:
    """Looked up without `getattr`, which runs code of proxies and mocks that a task file may have imported."""
    return isinstance(inspect.getattr_static(function, _MARK, None), Options)


def make_task(function: Callable[..., Any]) -> Task:
    """The task that a marked function is.

    Raises:
        TypeError: its signature cannot be a task's; the message says which parameter and why.
    """
    options: Options = getattr(function, _MARK)
    name = _name(function, options)
    hints = _hints(function, name)
    fields: dict[str, Any] = {}
    progress_parameter: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        annotation = hints.get(parameter.name, Any)
        if annotation is Progress:
            progress_parameter = parameter.name
            continue
        default = _default(function, parameter)
        fields[_FIELD + parameter.name] = (annotation, Field(default, alias=parameter.name))
    return Task(
        name=name,
        function=function,
        kind=Kind.COROUTINE if inspect.iscoroutinefunction(function) else Kind.THREAD,
        options=options,
        arguments=_arguments_model(name, fields),
        progress_parameter=progress_parameter,
        summary=(inspect.getdoc(function) or "").partition("\n")[0],
    )


def _name(function: Callable[..., Any], options: Options) -> str:
    name = options.name if options.name is not None else str(getattr(function, "__name__", "?"))
    if not re.fullmatch(NAME_PATTERN, name):
        raise TypeError(f"task {name}: jobs cannot be named so; give it a name: @task(name=…)")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"task {name} is a generator; a task returns its result and emits parts by progress.emit")
    return name


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, SyntaxError, AttributeError) as error:
        raise TypeError(f"task {name}: an annotation cannot be read: {error}") from None


def _default(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        raise TypeError(
            f"task {function.__name__}: parameter {parameter.name!r} is {parameter.kind.description};"
            " arguments of jobs have names"
        )
    return ... if parameter.default is parameter.empty else parameter.default


def _arguments_model(name: str, fields: Mapping[str, Any]) -> type[BaseModel]:
    """The model that checks arguments; it must be able to describe itself too."""
    try:
        model: type[BaseModel] = create_model(f"{name} arguments", __config__=ConfigDict(extra="forbid"), **fields)
        model.model_json_schema()
    except (PydanticUserError, SchemaError, NameError) as error:
        raise TypeError(f"task {name}: {str(error).partition(_ADVICE)[0].strip()}") from None
    return model


class NameTaken(ValueError):
    """Another function has the name of a task already."""

    def __init__(self, known: Task, refused: Task) -> None:
        super().__init__(f"two tasks are named {refused.name!r}; give one of them another: @task(name=…)")
        self.known = known
        self.refused = refused


class Registry:
    """The tasks a process knows, by name."""

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        self._tasks: dict[str, Task] = {}
        for one in tasks:
            self.add(one)

    def add(self, one: Task) -> None:
        """Register a task.

        Raises:
            NameTaken: another function has this name already.
        """
        known = self._tasks.get(one.name)
        if known is not None and known.function is not one.function:
            raise NameTaken(known, one)
        self._tasks[one.name] = one

    def add_functions(self, functions: Iterable[object]) -> int:
        """Register every marked function among `functions`; how many there were."""
        marked = [function for function in functions if _is_marked(function)]
        for function in marked:
            self.add(make_task(cast(Callable[..., Any], function)))
        return len(marked)

    def get(self, name: str) -> Task:
        """The task of this name.

        Raises:
            Invalid: there is none; the message names those that are.
        """
        try:
            return self._tasks[name]
        except KeyError:
            known = ", ".join(sorted(self._tasks)) or "none is loaded, see --tasks"
            raise Invalid([FieldError("task", f"unknown task {name!r}; known: {known}")]) from None

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    def __iter__(self) -> Iterator[Task]:
        return iter(sorted(self._tasks.values(), key=lambda one: one.name))

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def names(self) -> list[str]:
        """The names of all tasks, sorted."""
        return sorted(self._tasks)
