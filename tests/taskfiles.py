"""What the tests of the loader share: a working directory to write task files in."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.loader import Loaded

Write = Callable[[str, str], Path]
TASK = "from windsock import task\n\n\n@task\ndef {name}():\n    return {name!r}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; what is imported in it is forgotten afterwards."""
    modules, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def write(here: Path) -> Write:
    """Write a file below the working directory."""

    def write_file(name: str, text: str) -> Path:
        file = here / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write_file


def told(loaded: Loaded) -> list[str]:
    return [str(problem) for problem in loaded.problems]
