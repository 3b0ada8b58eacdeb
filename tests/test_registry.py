"""Tasks: what `@task` marks, what a signature becomes, and how arguments are checked against it."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field

from server.errors import Invalid
from server.options import task
from server.progress import Progress
from server.registry import Kind, NameTaken, Registry, Task, make_task


@task
async def resize(progress: Progress, folder: str, size: Annotated[int, Field(ge=1)] = 256) -> int:
    """Make small pictures.

    And more about it.
    """
    return size


@task(name="sums", queue="slow", timeout_s=60, max_attempts=1)
def checksums(files: list[str]) -> None: ...


def progress() -> Progress:
    return Progress("j", 1, lambda: None)


def refused(one: Task, args: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        one.check(args)
    return {error.field: error.message for error in caught.value.errors}


# Marking


def test_a_task_is_still_the_function_it_was() -> None:
    assert checksums([]) is None


def test_a_task_is_named_and_summed_up_by_its_function() -> None:
    made = make_task(resize)
    assert (made.name, made.summary, made.kind) == ("resize", "Make small pictures.", Kind.COROUTINE)


def test_a_task_without_a_docstring_has_an_empty_summary() -> None:
    assert make_task(checksums).summary == ""


def test_a_plain_function_runs_in_a_thread() -> None:
    assert make_task(checksums).kind is Kind.THREAD


def test_options_are_kept() -> None:
    made = make_task(checksums)
    assert (made.name, made.options.queue, made.options.timeout_s, made.options.max_attempts) == (
        "sums",
        "slow",
        60,
        1,
    )


@pytest.mark.parametrize(
    "options",
    [
        {"speed": 1},
        {"name": ""},
        {"name": "a b"},
        {"name": "a\n"},
        {"name": 1},
        {"queue": ""},
        {"queue": "x" * 65},
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"timeout_s": "1"},
        {"max_attempts": 0},
        {"max_attempts": 1.5},
    ],
)
def test_an_option_that_cannot_be_is_refused_at_the_decorator(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        task(**options)


# Signatures


def test_the_parameter_that_is_a_progress_is_no_argument() -> None:
    made = make_task(resize)
    assert made.progress_parameter == "progress"
    assert "progress" in refused(made, {"progress": 1, "folder": "."}).popitem()[0]


def test_a_call_is_bound_with_its_progress_and_its_defaults() -> None:
    ours = progress()
    assert make_task(resize).bind({"folder": "."}, ours) == {"folder": ".", "size": 256, "progress": ours}


def test_arguments_arrive_as_their_annotations_say() -> None:
    class Point(BaseModel):
        x: int

    @task
    def move(point: Point, path: Path) -> None: ...

    assert make_task(move).bind({"point": {"x": 1}, "path": "a/b"}, progress()) == {
        "point": Point(x=1),
        "path": Path("a/b"),
    }


@pytest.mark.parametrize("name", ["json", "_hidden", "model_config", "schema", "copy", "argument_x", "self", "args"])
def test_an_argument_may_be_called_anything(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def job({name}: int = 1): return {name}", scope)
    made = make_task(task(scope["job"]))
    assert made.bind({name: 7}, progress()) == {name: 7}
    assert list(made.describe()["arguments"]["properties"]) == [name]


def test_annotations_may_be_written_as_text() -> None:
    @task
    def job(progress: "Progress", size: "int") -> None: ...

    made = make_task(job)
    assert made.progress_parameter == "progress"
    assert refused(made, {"size": "large"}).keys() == {"args.size"}


def test_a_parameter_without_annotation_takes_anything() -> None:
    @task
    def job(value): ...  # type: ignore[no-untyped-def]

    make_task(job).check({"value": [{"a": None}]})


def variadic(*things: int) -> None: ...
def keywords(**things: int) -> None: ...
def positional(thing: int, /) -> None: ...
def not_json(thing: Callable[[int], int]) -> None: ...
def unknown(thing: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def arbitrary(thing: Registry) -> None: ...
def wrong_pattern(thing: Annotated[str, Field(pattern="(")]) -> None: ...
def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    "function",
    [variadic, keywords, positional, not_json, unknown, arbitrary, wrong_pattern, generator, async_generator],
    ids=lambda function: function.__name__,
)
def test_a_signature_that_cannot_be_a_tasks_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=f"^task {function.__name__}") as caught:
        make_task(task(function))
    assert "errors.pydantic.dev" not in str(caught.value)


def test_a_function_whose_name_no_job_could_say_is_refused() -> None:
    with pytest.raises(TypeError, match="jobs cannot be named so"):
        make_task(task(lambda: None))


# Arguments


def test_fitting_arguments_pass() -> None:
    make_task(resize).check({"folder": ".", "size": 3})


def test_every_wrong_argument_is_named() -> None:
    assert refused(make_task(resize), {"size": 0, "colour": "red"}) == {
        "args.folder": "Field required",
        "args.size": "Input should be greater than or equal to 1",
        "args.colour": "unknown field",
    }


def test_an_unknown_argument_is_named_whatever_it_is_called() -> None:
    assert refused(make_task(resize), {"folder": ".", "my-key.x": 1}) == {"args.my-key.x": "unknown field"}


def test_the_inner_name_of_an_argument_is_not_its_name() -> None:
    assert "args.argument_folder" in refused(make_task(resize), {"argument_folder": "."})


def test_a_wrong_value_inside_is_named_by_its_path() -> None:
    @task
    def job(sizes: dict[str, list[int]]) -> None: ...

    assert list(refused(make_task(job), {"sizes": {"a-b": [1, "x"]}})) == ["args.sizes.a-b.1"]


def test_the_branches_of_a_union_are_not_named() -> None:
    @task
    def job(value: int | Literal["all"] | None) -> None: ...

    assert list(refused(make_task(job), {"value": []})) == ["args.value"]


def test_a_check_that_raises_is_a_refusal() -> None:
    def check(value: int) -> int:
        return 1 // value

    @task
    def job(value: Annotated[int, AfterValidator(check)]) -> None: ...

    assert "ZeroDivisionError" in refused(make_task(job), {"value": 0})["args"]


def test_a_default_is_not_shared_between_jobs() -> None:
    @task
    def job(names: list[str] = []) -> None: ...  # noqa: B006

    made = make_task(job)
    made.bind({}, progress())["names"].append("x")
    assert made.bind({}, progress()) == {"names": []}


def test_a_task_describes_itself() -> None:
    described = make_task(resize).describe()
    assert described["arguments"] == {
        "type": "object",
        "title": "resize arguments",
        "additionalProperties": False,
        "required": ["folder"],
        "properties": {
            "folder": {"type": "string", "title": "Folder"},
            "size": {"type": "integer", "title": "Size", "minimum": 1, "default": 256},
        },
    }
    assert described["kind"] == "coroutine"
    plain = {"queue": "default", "timeout_s": None, "max_attempts": 3, "priority": 0, "unique": False, "cache_s": None}
    assert described["options"].items() >= plain.items()


# The registry


def test_marked_functions_are_added_and_others_left() -> None:
    registry = Registry()
    assert registry.add_functions([resize, checksums, print, 1, None, Progress]) == 2
    assert registry.names == ["resize", "sums"]
    assert [one.name for one in registry] == registry.names
    assert len(registry) == 2


def test_the_same_function_may_be_added_again() -> None:
    registry = Registry([make_task(resize)])
    registry.add(make_task(resize))
    assert len(registry) == 1


def test_another_function_of_the_same_name_is_refused() -> None:
    @task(name="resize")
    def another() -> None: ...

    registry = Registry([make_task(resize)])
    with pytest.raises(NameTaken, match="two tasks are named 'resize'") as caught:
        registry.add(make_task(another))
    assert (caught.value.known.function, caught.value.refused.function) == (resize, another)
    assert registry.get("resize").function is resize


def test_an_unknown_task_is_refused_with_those_that_are_known() -> None:
    registry = Registry([make_task(resize), make_task(checksums)])
    with pytest.raises(Invalid, match="task: unknown task 'rezise'; known: resize, sums"):
        registry.get("rezise")
    assert "rezise" not in registry


def test_an_empty_registry_says_how_to_fill_it() -> None:
    with pytest.raises(Invalid, match="none is loaded, see --tasks"):
        Registry().get("sleep")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 5}, "there is no option 'timeout'"),
        ({"timeout_s": "5"}, "timeout_s must be a number of seconds"),
        ({"timeout_s": float("inf")}, "timeout_s must be a number of seconds"),
        ({"cache_s": True}, "cache_s must be a number of seconds"),
        ({"backoff_s": None}, "backoff_s must be a number of seconds"),
        ({"max_attempts": True}, "max_attempts must be a whole number from 1 on"),
        ({"name": 5}, "5 is not a name"),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_words(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"^@task: {message}"):
        task(**options)
