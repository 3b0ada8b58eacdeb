"""What is told of task files that do not load, and that the others are served nevertheless."""

import os
from pathlib import Path

import pytest
from taskfiles import TASK, Write, here, told, write

from server.loader import load

__all__ = ["here", "write"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere", "nowhere: no module, file or folder has this name"),
        ("no.where", "no.where: no module, file or folder has this name"),
        ("nowhere.py", "nowhere.py: no such file or folder"),
        ("no/where", "no/where: no such file or folder"),
        ("..", "..: no task files in this folder: *.py, not beginning with _"),
    ],
)
def test_a_name_that_leads_nowhere_is_a_problem(here: Path, name: str, problem: str) -> None:
    (here / "empty").mkdir()
    os.chdir(here / "empty")
    assert told(load([name])) == [problem]


def test_a_named_file_without_tasks_is_a_problem(write: Write) -> None:
    write("jobs.py", "")
    assert told(load(["jobs.py"])) == ["jobs.py: no @task in it"]
    assert told(load(["jobs"])) == ["jobs.py: no @task in it"]


def test_a_file_that_is_not_python_is_a_problem(write: Write) -> None:
    write("jobs.txt", "")
    assert told(load(["jobs.txt"])) == ["jobs.txt: not a Python file: its name has to end in .py"]


def test_the_other_files_are_served_nevertheless(write: Write) -> None:
    write("jobs/a.py", "1 / 0\n")
    write("jobs/b.py", TASK.format(name="b"))
    loaded = load(["jobs"])
    assert loaded.registry.names == ["b"]
    assert told(loaded) == ["jobs/a.py:1: ZeroDivisionError: division by zero"]


def test_a_syntax_error_is_told_with_its_line(write: Write) -> None:
    write("jobs.py", "x = 1\ndef broken(:\n")
    assert told(load(["jobs.py"])) == ["jobs.py:2: SyntaxError: invalid syntax"]


def test_a_syntax_error_in_an_imported_file_is_told_there(write: Write) -> None:
    write("jobs/a.py", "import words\n")
    write("jobs/words.py", "\n\nx = = 1\n")
    assert told(load(["jobs/a.py"])) == ["jobs/words.py:3: SyntaxError: invalid syntax"]


def test_an_error_is_told_at_the_innermost_line_of_the_task_file(write: Write) -> None:
    write("jobs.py", "import json\n\n\ndef read():\n    return json.loads('')\n\n\nread()\n")
    (problem,) = load(["jobs.py"]).problems
    assert (problem.file, problem.line) == ("jobs.py", 5)
    assert problem.message.startswith("json.decoder.JSONDecodeError: Expecting value")
    assert "(raised at " in problem.message


def test_a_missing_import_is_told_at_its_line(write: Write) -> None:
    write("jobs.py", "\nimport nowhere_at_all\n")
    assert told(load(["jobs"])) == ["jobs.py:2: ModuleNotFoundError: No module named 'nowhere_at_all'"]


def test_an_error_of_a_package_above_a_file_is_told_there(write: Write) -> None:
    write("shop/__init__.py", "\n1 / 0\n")
    write("shop/jobs.py", TASK.format(name="a"))
    for name in ("shop", "shop.jobs"):
        assert told(load([name])) == ["shop/__init__.py:2: ZeroDivisionError: division by zero"]


def test_a_file_that_exits_is_a_problem_and_no_exit(write: Write) -> None:
    write("jobs.py", "import sys\nsys.exit(3)\n")
    assert told(load(["jobs.py"])) == ["jobs.py:2: it ends the process when imported (SystemExit: 3)"]


def test_a_failed_file_is_tried_anew_the_next_time(write: Write) -> None:
    write("a/json.py", "1 / 0\n")
    assert load(["a"]).problems
    write("a/json.py", "# longer than it was\n" + TASK.format(name="a"))
    assert load(["a"]).registry.names == ["a"]


def test_a_signature_that_cannot_be_a_tasks_is_told_at_the_def(write: Write) -> None:
    write(
        "jobs.py",
        "from windsock import task\n\n@task(\n    timeout_s=3,\n)\nasync def many(*things): ...\n"
        "\n@task\ndef good(): ...\n",
    )
    loaded = load(["jobs.py"])
    assert loaded.registry.names == ["good"]
    assert told(loaded) == [
        "jobs.py:6: task many: parameter 'things' is variadic positional; arguments of jobs have names"
    ]


def test_an_option_nobody_knows_is_told_at_its_line(write: Write) -> None:
    write("jobs.py", "from windsock import task\n\n@task(speed=3)\ndef a(): ...\n")
    (problem,) = load(["jobs.py"]).problems
    assert problem.line == 3
    assert "speed" in problem.message


def test_an_annotation_that_cannot_be_read_is_told_at_the_def(write: Write) -> None:
    write("jobs.py", "from windsock import task\n\n@task\ndef a(x: 'Nowhere'): ...\n")
    assert told(load(["jobs.py"])) == ["jobs.py:4: task a: an annotation cannot be read: name 'Nowhere' is not defined"]


def test_an_imported_proxy_is_not_touched(write: Write) -> None:
    proxy = (
        "class Proxy:\n    def __call__(self): ...\n"
        "    def __getattr__(self, name): raise RuntimeError('outside of a request')\n\nproxy = Proxy()\n"
    )
    write("jobs.py", proxy + TASK.format(name="a"))
    loaded = load(["jobs.py"])
    assert (loaded.registry.names, told(loaded)) == (["a"], [])


def test_a_problem_is_one_line_of_bounded_length(write: Write) -> None:
    write("jobs.py", "raise ValueError('many\\nlines ' * 1000)\n")
    (problem,) = load(["jobs.py"]).problems
    assert "\n" not in str(problem)
    assert len(problem.message) <= 500


def test_ctrl_c_at_import_is_not_swallowed(write: Write) -> None:
    write("jobs.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load(["jobs.py"])
