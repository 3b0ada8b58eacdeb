"""docs/tasks.md shows each option of `@task` in an example that works, and so do the examples."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from taskfiles import Write, here, write  # noqa: F401  fixtures

from server.loader import Loaded, load
from server.options import Options
from server.registry import Registry
from server.retries import Retry

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "tasks.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
OPTIONS = [option.name for option in fields(Options)]
# Of asyncpg, which nobody needs here.
POOL = "class Pool: ...\n\n\ndef create_pool(url: str, max_size: int) -> Pool: ...\n"


def loaded(number: int, write: Write) -> Loaded:  # noqa: F811
    write("asyncpg.py", POOL)
    return load([str(write(f"tasks_{number}.py", BLOCKS[number]))])


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_each_example_is_a_task_file(number: int, write: Write, here: Path) -> None:  # noqa: F811
    found = loaded(number, write)
    assert found.problems == []
    assert len(found.registry) > 0


def set_by(registry: Registry) -> set[str]:
    """Options that some task has other than by default."""
    default = Options()
    return {name for one in registry for name in OPTIONS if getattr(one.options, name) != getattr(default, name)}


def test_each_option_has_an_example(write: Write, here: Path) -> None:  # noqa: F811
    shown: set[str] = set()
    for number in range(len(BLOCKS)):
        shown |= set_by(loaded(number, write).registry)
    assert set(OPTIONS) - shown == set()


def test_each_option_is_in_the_table() -> None:
    table = re.findall(r"^\| (`.*?) \|", PAGE.read_text(), re.MULTILINE)
    assert set(OPTIONS) <= {name for row in table for name in re.findall(r"`(\w+)`", row)}


def test_each_option_and_each_kind_is_used_by_a_task_of_examples() -> None:
    found = load([str(ROOT / "examples")])
    assert found.problems == []
    assert set(OPTIONS) - set_by(found.registry) == set()
    assert {one.kind.value for one in found.registry} == {"coroutine", "thread", "process"}
    assert any(one.resources for one in found.registry)


def named(name: str, write: Write) -> Any:  # noqa: F811
    for number in range(len(BLOCKS)):
        for one in loaded(number, write).registry:
            if one.name == name:
                return one
    raise AssertionError(f"no example has a task {name}")


def test_the_options_say_what_the_page_says(write: Write, here: Path) -> None:  # noqa: F811
    report = named("daily.report", write)
    assert (report.options.queue, report.options.priority, report.options.max_attempts) == ("reports", 5, 1)
    fetch = named("fetch", write).retries
    assert fetch.delay_s(ConnectionResetError(), 0, 0.0) is not None
    assert fetch.delay_s(ConnectionRefusedError(), 0, 0.0) is None
    assert fetch.delay_s(ConnectionResetError(), 5, 0.0) is None
    wait = named("wait_for_file", write).retries
    assert wait.delay_s(Retry("x", after_s=30), 0, 0.0) == 30
    assert 0 <= wait.delay_s(ValueError(), 50, 1.0) <= 60
    sync = named("sync", write)
    assert (
        sync.limit_of({"user_id": "7"}) == sync.limit_of({"user_id": 7, "full": True}) != sync.limit_of({"user_id": 8})
    )
    morning = named("morning_report", write).describe()["options"]
    assert (morning["cron"], morning["timezone"]) == (["30 6 * * 1-5"], "Europe/Berlin")
    same = named("reindex", write).sameness
    assert same.of({"folder": "a"}).unique == same.of({"folder": "a"}).unique != same.of({"folder": "b"}).unique
    assert named("zeros_of_two_to", write).function(type("P", (), {"track": staticmethod(iter)})(), 10) == 1
