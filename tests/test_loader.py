"""From `--tasks` to a registry: what loads, what is told of what does not, and what is left alone."""

import subprocess
import sys
from pathlib import Path

from taskfiles import TASK, Write, here, told, write

from server.loader import load

__all__ = ["here", "write"]


# What is named


def test_a_file_is_loaded(write: Write) -> None:
    loaded = load([str(write("jobs.py", TASK.format(name="resize")))])
    assert (loaded.registry.names, told(loaded)) == (["resize"], [])


def test_a_module_in_the_working_directory_is_loaded(write: Write) -> None:
    write("jobs.py", TASK.format(name="resize"))
    assert load(["jobs"]).registry.names == ["resize"]


def test_a_module_in_a_package_is_loaded(write: Write) -> None:
    write("shop/__init__.py", "")
    write("shop/jobs.py", TASK.format(name="resize"))
    assert load(["shop.jobs"]).registry.names == ["resize"]


def test_a_folder_gives_its_files_and_not_those_below_it(write: Write) -> None:
    write("jobs/a.py", TASK.format(name="a"))
    write("jobs/b.py", TASK.format(name="b"))
    write("jobs/notes.txt", "not Python")
    write("jobs/below/c.py", TASK.format(name="c"))
    loaded = load(["jobs"])
    assert (loaded.registry.names, told(loaded)) == (["a", "b"], [])


def test_files_that_begin_with_an_underscore_are_skipped(write: Write) -> None:
    write("jobs/_hidden.py", TASK.format(name="hidden"))
    write("jobs/a.py", TASK.format(name="a"))
    assert load(["jobs"]).registry.names == ["a"]


def test_several_names_are_loaded_together(write: Write) -> None:
    write("jobs/a.py", TASK.format(name="a"))
    write("b.py", TASK.format(name="b"))
    write("c.py", TASK.format(name="c"))
    assert load(["jobs", "b.py", "c"]).registry.names == ["a", "b", "c"]


def test_a_file_of_a_folder_need_not_have_tasks(write: Write) -> None:
    write("jobs/a.py", TASK.format(name="a"))
    write("jobs/words.py", "WORDS = 1\n")
    assert told(load(["jobs"])) == []


def test_the_examples_of_the_project_load() -> None:
    loaded = load([str(Path(__file__).parent.parent / "examples")])
    assert told(loaded) == []
    assert "checksums" in loaded.registry


# Names


def test_files_of_the_same_name_in_different_folders_go_together(write: Write) -> None:
    write("one/jobs.py", TASK.format(name="a"))
    write("two/jobs.py", TASK.format(name="b"))
    loaded = load(["one", "two"])
    assert (loaded.registry.names, told(loaded)) == (["a", "b"], [])


def test_a_file_named_like_a_module_of_python_hides_nothing(write: Write) -> None:
    loaded = load([str(write("json.py", TASK.format(name="a")))])
    assert loaded.registry.names == ["a"]
    assert hasattr(sys.modules["json"], "loads")


def test_a_file_whose_name_is_no_identifier_is_loaded(write: Write) -> None:
    assert load([str(write("my-jobs.py", TASK.format(name="a")))]).registry.names == ["a"]


def test_files_of_a_folder_import_each_other_by_name(write: Write) -> None:
    write("jobs/a.py", "from words import WORD\n" + TASK.format(name="a"))
    write("jobs/words.py", "WORD = 1\n")
    assert told(load(["jobs"])) == []


def test_files_of_a_package_import_each_other_as_a_package(write: Write) -> None:
    write("away/jobs/__init__.py", "")
    write("away/jobs/a.py", "from . import words\nfrom jobs.words import WORD\n" + TASK.format(name="a"))
    write("away/jobs/words.py", "WORD = 1\n")
    loaded = load(["away/jobs"])
    assert (loaded.registry.names, told(loaded)) == (["a"], [])
    assert "jobs.a" in sys.modules


def test_the_working_directory_comes_last_on_the_path(here: Path) -> None:
    load([])
    assert sys.path[-1] == str(here)


def test_the_path_does_not_grow_when_a_name_comes_again(write: Write) -> None:
    write("jobs/a.py", TASK.format(name="a"))
    load(["jobs"])
    before = list(sys.path)
    load(["jobs"])
    assert sys.path == before


# The same task twice


def test_the_same_file_named_twice_counts_once(write: Write) -> None:
    write("jobs/a.py", TASK.format(name="a"))
    loaded = load(["jobs", "jobs/a.py", "./jobs"])
    assert (loaded.registry.names, told(loaded)) == (["a"], [])


def test_an_imported_task_counts_once(write: Write) -> None:
    write("jobs/a.py", TASK.format(name="a"))
    write("jobs/b.py", "from a import a\n" + TASK.format(name="b"))
    loaded = load(["jobs"])
    assert (loaded.registry.names, told(loaded)) == (["a", "b"], [])


def test_a_file_imported_under_two_names_counts_once(write: Write) -> None:
    write("jobs/a.py", TASK.format(name="a"))
    write("jobs/b.py", "from jobs.a import a\n" + TASK.format(name="b"))
    loaded = load(["jobs"])
    assert {"a", "jobs.a"} <= set(sys.modules)
    assert (loaded.registry.names, told(loaded)) == (["a", "b"], [])


def test_two_tasks_of_one_name_are_told_with_both_places(write: Write) -> None:
    write("jobs/a.py", TASK.format(name="resize"))
    write("jobs/b.py", "\n\n" + TASK.format(name="resize"))
    loaded = load(["jobs"])
    assert told(loaded) == [
        "jobs/b.py:7: two tasks are named 'resize'; give one of them another: @task(name=…);"
        " the other is at jobs/a.py:5"
    ]
    assert loaded.registry.get("resize").function.__module__ == "a"


def test_two_tasks_made_by_one_decorator_are_two_tasks(write: Write) -> None:
    twice = (
        "from windsock import task\ndef loud(f):\n    def wrapper(): return f()\n    return wrapper\n"
        "@task\n@loud\ndef a(): pass\n@task\n@loud\ndef b(): pass\n"
    )
    (problem,) = load([str(write("jobs.py", twice))]).problems
    assert problem.message.startswith("two tasks are named 'wrapper'")


def test_loading_starts_neither_tornado_nor_redis(write: Write) -> None:
    write("jobs.py", TASK.format(name="a"))
    code = "import sys, server.loader as l; l.load(['jobs.py']); print({'tornado', 'redis'} & {*sys.modules})"
    root = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, env={"PYTHONPATH": root}, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
