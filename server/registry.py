"""Tasks: what their arguments must look like, how they are run, and which a process knows."""

import dataclasses
import inspect
import re
import time
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from server.codec import is_json
from server.errors import FieldError, Invalid
from server.job import NAME_PATTERN
from server.limits import Limit, make_limit
from server.options import Options, is_marked, options_of
from server.progress import Progress
from server.protocol import field_errors
from server.resource import Resource, is_resource, make_resource, plain_only, wanted_by
from server.retries import PLAIN, Retries
from server.sameness import Sameness
from server.schedules import Schedule, make_schedules

_FIELD = "argument_"  # before field names, so that an argument may be called `json`, `_x` or `model_config`
_ADVICE = "For further information visit"  # pydantic's, about pydantic


class Kind(StrEnum):
    """Where the function of a task runs."""

    COROUTINE = "coroutine"
    THREAD = "thread"
    PROCESS = "process"


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
    sameness: Sameness | None = None  # which jobs are the same; None: it does not matter
    retries: Retries = PLAIN  # which exceptions are followed by another attempt
    limit: Limit | None = None  # how many of its jobs run at once
    schedules: tuple[Schedule, ...] = ()  # when it is run by itself
    resources: Mapping[str, Resource] = dataclasses.field(default_factory=dict)  # by the parameter that gets it

    def check(self, args: Mapping[str, Any]) -> None:
        """Make sure that a job with `args` can be called.

        Raises:
            Invalid: naming every argument that is missing, unknown or of the wrong kind.
        """
        self._model(args)

    def limit_of(self, args: Mapping[str, Any]) -> str | None:
        """The name of what a job with these checked arguments shares a limit with; None where there is no limit."""
        if self.limit is None or not self.limit.key:
            return None if self.limit is None else self.limit.task
        model = self._model(args)
        return self.limit.name({name: getattr(model, _FIELD + name) for name in self.limit.key})

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
                "priority": self.options.priority,
                "unique": list(unique) if isinstance(unique := self.options.unique, list | tuple) else unique,
                "cache_s": self.options.cache_s,
                **self._describe_runs(),
            },
        }

    def _describe_runs(self) -> dict[str, Any]:
        now = time.time_ns() // 1_000_000
        ticks = [tick for schedule in self.schedules if (tick := schedule.next_after(now)) is not None]
        return {
            "retries": self.retries.most if self.retries.retry_on else 0,
            "retry_on": [kind.__name__ for kind in self.retries.retry_on],
            "limit": None if self.limit is None else self.limit.most,
            "key": [] if self.limit is None else list(self.limit.key),
            "limit_trees": self.limit is not None and self.limit.trees,
            "cron": [schedule.expression for schedule in self.schedules],
            "timezone": self.schedules[0].zone.key if self.schedules else None,
            "missed": self.schedules[0].missed.value if self.schedules else None,
            "next_at": min(ticks, default=None),
        }


def make_task(function: Callable[..., Any]) -> Task:
    """The task that a marked function is.

    Raises:
        TypeError: its signature cannot be a task's; the message says which parameter and why.
    """
    options = options_of(function)
    name = _name(function, options)
    hints = _hints(function, name)
    fields: dict[str, Any] = {}
    progress_parameter: str | None = None
    resources: dict[str, Resource] = {}
    for parameter in inspect.signature(function).parameters.values():
        annotation = hints.get(parameter.name, Any)
        if annotation is Progress:
            progress_parameter = parameter.name
            continue
        if (wanted := wanted_by(annotation, parameter, f"task {name}")) is not None:
            resources[parameter.name] = make_resource(wanted)
            continue
        default = _default(function, parameter)
        fields[_FIELD + parameter.name] = (annotation, Field(default, alias=parameter.name))
    arguments = _arguments_model(name, fields)
    kind = _kind(function, options, name)
    return Task(
        name=name,
        function=function,
        kind=kind,
        options=options,
        arguments=arguments,
        progress_parameter=progress_parameter,
        summary=(inspect.getdoc(function) or "").partition("\n")[0],
        sameness=_sameness(name, options, arguments),
        retries=options.retrying,
        limit=_limit(name, options, fields),
        schedules=_schedules(name, options, arguments),
        resources=plain_only(resources, f"task {name}") if kind is Kind.PROCESS else resources,
    )


def _limit(name: str, options: Options, fields: Mapping[str, Any]) -> Limit | None:
    arguments = [one.removeprefix(_FIELD) for one in fields]
    return make_limit(name, options.limit, options.key, arguments, trees=options.limit_trees)


def _schedules(name: str, options: Options, arguments: type[BaseModel]) -> tuple[Schedule, ...]:
    schedules = make_schedules(name, options.cron, options.timezone, options.missed)
    for field_name, field in arguments.model_fields.items() if schedules else ():
        if field.is_required():
            argument = field_name.removeprefix(_FIELD)
            raise TypeError(f"task {name} has a cron expression, and its argument {argument!r} has no default")
    return schedules


def _sameness(name: str, options: Options, arguments: type[BaseModel]) -> Sameness | None:
    """Which jobs are the same. An argument that is left out counts as its default, where that is a JSON value."""
    if options.unique is False and options.cache_s is None:
        return None
    known = {field_name.removeprefix(_FIELD): field for field_name, field in arguments.model_fields.items()}
    strangers = [] if isinstance(options.unique, bool) else sorted(set(options.unique) - set(known))
    if strangers:
        raise TypeError(f"task {name}: unique names {strangers[0]!r}, which is none of its arguments")
    defaults = {argument: field.default for argument, field in known.items() if is_json(field.default)}
    return Sameness(options.unique, options.cache_s, defaults)


def _name(function: Callable[..., Any], options: Options) -> str:
    name = options.name if options.name is not None else str(getattr(function, "__name__", "?"))
    if not re.fullmatch(NAME_PATTERN, name):
        raise TypeError(f"task {name}: jobs cannot be named so; give it a name: @task(name=…)")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"task {name} is a generator; a task returns its result and emits parts by progress.emit")
    return name


def _kind(function: Callable[..., Any], options: Options, name: str) -> Kind:
    if not inspect.iscoroutinefunction(function):
        return Kind.PROCESS if options.process else Kind.THREAD
    if options.process:
        raise TypeError(f"task {name} is async, and process=True is for plain `def`")
    return Kind.COROUTINE


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
    """The tasks a process knows, by name, and the resources of their files."""

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        self._tasks: dict[str, Task] = {}
        self.resources: list[Resource] = []  # those that were loaded, taken by a task or not
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
        marked = [cast(Callable[..., Any], one) for one in functions if is_marked(one) or is_resource(one)]
        for function in marked:
            if is_resource(function):
                self._add_resource(make_resource(function))
            else:
                self.add(make_task(function))
        return len(marked)

    def _add_resource(self, one: Resource) -> None:
        """A file that was imported under two names opens nothing twice."""
        if not any(one.is_copy_of(known) for known in self.resources):
            self.resources.append(one)

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
