"""The documentation says what is: settings, commands, links, and the example of a task file."""

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic.fields import FieldInfo
from taskfiles import Write, here, write  # noqa: F401  fixtures

import run
from server.loader import load
from server.progress import Progress
from server.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
OPERATIONS = ROOT / "docs" / "operations.md"
PAGES = [README, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"^```[^\n]*\n(.*?)^```|`([^`\n]+)`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"""\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)\"""")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# Settings.


def rows() -> dict[str, list[str]]:
    """The settings table by name: variable, flag, default, unit, meaning."""
    found = re.findall(rf"^\| `(\w+)` \| (`{PREFIX}.*) \|$", OPERATIONS.read_text(), re.MULTILINE)
    assert len(found) == len(dict(found)), "a setting has two rows"
    return {name: [cell.strip() for cell in rest.split(" | ")] for name, rest in found}


MADE = {"_node_name": "the host name", "_processors": "the processors"}


def shown_default(field: FieldInfo) -> str:
    """A default as the table writes it."""
    if field.default_factory is not None:
        return MADE[field.default_factory.__name__]
    value = field.default
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{value.value if isinstance(value, Enum) else value}`"


def flag_of(name: str) -> str:
    options = [option for command in (run.serve, run.worker) for option in command.params]
    return next((f"`{option.opts[0]}`" for option in options if option.name == name), "")


def test_every_setting_has_a_row_and_no_row_is_for_anything_else() -> None:
    assert set(rows()) == set(Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_row_has_the_variable_the_flag_the_default_the_unit_and_a_meaning(name: str) -> None:
    variable, flag, default, unit, meaning = rows()[name]
    assert variable == f"`{PREFIX}{name.upper()}`"
    assert flag == flag_of(name)
    assert default == shown_default(Settings.model_fields[name])
    assert meaning
    if name.endswith("_bytes"):
        assert unit == "bytes"
    elif name.endswith("_s"):
        assert unit == ("1/s" if name.endswith("_per_s") else "s")


# Commands.


def commands(page: Path) -> Iterator[str]:
    """What is written as code and begins with our command, from there on."""
    for block, span in CODE.findall(page.read_text()):
        for line in (block or span).splitlines():
            yield from re.findall(r"(?<!from )\bwindsock( [a-z].*)", line)


@each_page
def test_commands_and_flags_that_are_named_exist(page: Path) -> None:
    for line in commands(page):
        name, *words = line.split("#")[0].split()
        assert name in run.main.commands, f"windsock{line}"
        known = {flag for option in run.main.commands[name].params for flag in option.opts} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= known, f"windsock{line}"


def test_the_readme_names_commands() -> None:
    assert {line.split()[0] for line in commands(README)} >= {"serve", "submit", "watch"}


def test_make_targets_that_the_readme_names_exist() -> None:
    named = re.findall(r"^make (\w+)|`make (\w+)", README.read_text(), re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    for target in {one or other for one, other in named}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


# Links.


@each_page
def test_relative_links_lead_to_a_file(page: Path) -> None:
    for target in (one or other for one, other in LINK.findall(page.read_text())):
        if not re.match(r"[a-z]+:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), target


# The example.


def example() -> tuple[str, str]:
    """Name and text of the task file in the README."""
    text = re.search(r"^```python\n(# (\w+\.py)\n.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert text is not None
    return text[2], text[1]


def test_the_example_of_the_readme_loads_and_runs(write: Write, here: Path) -> None:  # noqa: F811
    name, text = example()
    loaded = load([str(write(name, text))])
    assert loaded.problems == []
    (task,) = loaded.registry
    write("notes/a.md", "one two three")
    write("notes/b.md", "four")
    assert task.function(**task.bind({"folder": str(here / "notes")}, progress())) == {"files": 2, "words": 4}


def test_the_example_speaks_of_its_progress(write: Write, here: Path) -> None:  # noqa: F811
    name, text = example()
    (task,) = load([str(write(name, text))]).registry
    write("notes/a.md", "one two three")
    spoken = progress()
    task.function(**task.bind({"folder": str(here / "notes")}, spoken))
    assert spoken.take() == {"done": 1, "total": 1, "unit": "files", "note": "a.md"}
    first, entries = spoken.unsent(10_000)
    assert (first, len(entries)) == (1, 2)


def progress() -> Progress:
    return Progress("J", 1, lambda: None)


def test_the_command_of_the_readme_that_serves_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    name, _ = example()
    line = next(line for line in commands(README) if name in line)
    given: dict[str, Any] = {}
    monkeypatch.setattr(run.main.commands["serve"], "callback", lambda **options: given.update(options))
    assert isinstance(run.main.commands["serve"], click.Command)
    run.main.main(line.split(), standalone_mode=False)
    assert name in given["tasks"]
