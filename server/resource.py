"""`@resource`: what the jobs of a process share, as a task file says it. Nothing is opened here; pure.

Like `@task` it only marks a function, so a task file can be imported by tests and scripts without a server.
"""

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
MARK = "__windsock_resource__"


def resource(function: Function) -> Function:
    """Mark a generator function as a resource: what it yields is shared by all jobs of a process.

    It is opened before the process takes jobs, and closed, by going on after its `yield`, when they have ended. Tasks
    and other resources take it by annotation: `db: Annotated[Pool, database]`, where `database` is the marked function.

    Raises:
        TypeError: it is no generator function, `async` or plain.
    """
    if not (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
        name = getattr(function, "__name__", "?")
        raise TypeError(f"@resource {name}: it has to yield, once: before that it opens, after that it closes")
    setattr(function, MARK, True)
    return function


def is_resource(function: object) -> bool:
    """Whether it is marked. Looked up without `getattr`, which runs code of proxies and mocks."""
    return inspect.getattr_static(function, MARK, False) is True


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A marked function and what can be known of it without opening it."""

    function: Callable[..., Any]
    needs: "Mapping[str, Resource]"  # by parameter: what has to be open before

    @property
    def is_async(self) -> bool:
        """Whether it needs an event loop."""
        return inspect.isasyncgenfunction(self.function)

    def is_copy_of(self, other: "Resource") -> bool:
        """Whether both are one definition, in a file that was imported once or under two names.

        Functions made by one decorator share their place too, but live in one module.
        """
        modules = {self.function.__module__, other.function.__module__}
        return self.function is other.function or (str(self) == str(other) and len(modules) > 1)

    def __str__(self) -> str:
        code = self.function.__code__
        return f"resource {self.function.__name__} ({code.co_filename}:{code.co_firstlineno})"


def make_resource(function: Callable[..., Any], above: tuple[Callable[..., Any], ...] = ()) -> Resource:
    """The resource that a marked function is, with all that it needs.

    Args:
        above: those that need this one.

    Raises:
        TypeError: it cannot be opened; the message says why.
    """
    name = function.__name__
    if function in above:
        circle = " → ".join(one.__name__ for one in (*above[above.index(function) :], function))
        raise TypeError(f"resource {name} needs itself: {circle}")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, SyntaxError, AttributeError) as error:
        raise TypeError(f"resource {name}: an annotation cannot be read: {error}") from None
    needs: dict[str, Resource] = {}
    for parameter in inspect.signature(function).parameters.values():
        wanted = wanted_by(hints.get(parameter.name), parameter, f"resource {name}")
        if wanted is not None:
            needs[parameter.name] = make_resource(wanted, (*above, function))
        elif parameter.default is parameter.empty:
            raise TypeError(f"resource {name}: parameter {parameter.name!r} is not annotated with a resource")
    return Resource(function, needs)


def wanted_by(annotation: Any, parameter: inspect.Parameter, who: str) -> Callable[..., Any] | None:
    """The resource that a parameter asks for: `Annotated[its type, the marked function]`; None if it asks for none.

    Raises:
        TypeError: the function is not marked, or the parameter cannot be given by name.
    """
    for extra in getattr(annotation, "__metadata__", ()):
        if is_resource(extra):
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise TypeError(f"{who}: parameter {parameter.name!r} takes a resource and has to have a name")
            wanted: Callable[..., Any] = extra
            return wanted
        if inspect.isgeneratorfunction(extra) or inspect.isasyncgenfunction(extra):
            raise TypeError(f"{who}: parameter {parameter.name!r} asks for {extra.__name__}, which lacks @resource")
    return None


def plain_only(resources: Mapping[str, Resource], who: str) -> Mapping[str, Resource]:
    """The same resources, all of which can be opened without an event loop.

    Raises:
        TypeError: one cannot.
    """
    for one in in_order(resources.values()):
        if one.is_async:
            raise TypeError(f"{who} runs in a process, where the async {one} cannot be opened")
    return resources


def in_order(resources: Iterable[Resource]) -> list[Resource]:
    """These and all that they need, each once, and after what it needs."""
    found: dict[Callable[..., Any], Resource] = {}

    def visit(one: Resource) -> None:
        if one.function not in found:
            for needed in one.needs.values():
                visit(needed)
            found[one.function] = one

    for one in resources:
        visit(one)
    return list(found.values())
