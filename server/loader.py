"""From `--tasks` to a registry: what is named is imported, and its tasks are gathered.

A name is a folder (its `*.py` files, sorted, without those that begin with `_`), a `.py` file or a module,
tried in this order. The working directory is appended to `sys.path`, never put first. A file is imported

1. as part of its package, if its folder has an `__init__.py`; the folder above the package is appended;
2. else by its own name, its folder appended, as for a script: files of a folder import each other by name;
3. if another module has that name already, by a made-up one. So `a/jobs.py` and `b/jobs.py` go together.

A file imported under two names is two modules, but its tasks count once.
"""

import hashlib
import importlib
import importlib.util
import inspect
import linecache
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

from server.registry import NameTaken, Registry

MAX_MESSAGE = 500  # characters
_DEF = re.compile(r"\s*(async\s+)?def\s")


@dataclass(frozen=True, slots=True)
class TaskFileProblem:
    """What is wrong with a task file, and where. The other files are served nevertheless."""

    file: str  # as the user may call it: below the working directory without it
    line: int | None  # None where no line can be named
    message: str  # one line

    def __str__(self) -> str:
        return f"{self.file}: {self.message}" if self.line is None else f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of the names."""

    registry: Registry
    problems: list[TaskFileProblem]


class _Place(NamedTuple):
    file: str
    line: int | None


def load(names: Iterable[str]) -> Loaded:
    """The tasks of everything named; never raises, whatever the task files do.

    Args:
        names: folders, files and modules, as `--tasks` takes them.
    """
    _append(os.getcwd())
    loaded = Loaded(Registry(), [])
    for name in names:
        _load(name, loaded)
    return loaded


def _load(name: str, loaded: Loaded) -> None:
    path = Path(name).expanduser()
    if path.is_dir():
        _load_folder(path, loaded)
    elif path.is_file():
        _load_file(path, loaded, wants_tasks=True)
    elif name.endswith(".py") or os.sep in name:
        _tell(loaded, _Place(name, None), "no such file or folder")
    else:
        _load_module(name, loaded)


def _load_folder(folder: Path, loaded: Loaded) -> None:
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".py" and path.is_file())
    except OSError as error:
        return _tell(loaded, _Place(str(folder), None), f"cannot be read: {error.strerror}")
    files = [path for path in files if not path.name.startswith("_")]
    if not files:
        _tell(loaded, _Place(str(folder), None), "no task files in this folder: *.py, not beginning with _")
    for path in files:
        _load_file(path, loaded, wants_tasks=False)
    return None


def _load_file(path: Path, loaded: Loaded, *, wants_tasks: bool) -> None:
    path = Path(os.path.realpath(path))
    if path.suffix != ".py":
        return _tell(loaded, _Place(str(path), None), "not a Python file: its name has to end in .py")
    return _import(lambda: _import_file(path), str(path), loaded, wants_tasks=wants_tasks)


def _load_module(name: str, loaded: Loaded) -> None:
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        spec = None
    except (Exception, SystemExit) as error:  # of a package above it
        return _tell_error(loaded, error, name)
    if spec is None:
        return _tell(loaded, _Place(name, None), "no module, file or folder has this name")
    return _import(lambda: importlib.import_module(name), spec.origin or name, loaded, wants_tasks=True)


def _import(importing: Callable[[], ModuleType], file: str, loaded: Loaded, *, wants_tasks: bool) -> None:
    try:
        module = importing()
    except (Exception, SystemExit) as error:
        return _tell_error(loaded, error, file)
    count = sum(_register(value, file, loaded) for value in list(vars(module).values()))
    if wants_tasks and not count:
        _tell(loaded, _Place(file, None), "no @task in it")
    return None


# Importing.


def _import_file(path: Path) -> ModuleType:
    root = path.parent
    while (root / "__init__.py").is_file() and root != root.parent:
        root = root.parent
    _append(str(root))
    importlib.invalidate_caches()
    name = ".".join(path.relative_to(root).with_suffix("").parts)
    if _leads_to(name, path):
        return importlib.import_module(name)
    return _import_by_path(path)


def _leads_to(name: str, path: Path) -> bool:
    """Whether importing `name` gives the file at `path`, and not one that comes earlier on `sys.path`.

    An error of a package above it is raised: the file could not do without that package either.
    """
    try:
        spec = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        return False
    return spec is not None and spec.origin is not None and os.path.realpath(spec.origin) == str(path)


def _import_by_path(path: Path) -> ModuleType:
    name = f"windsock_tasks_{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no way to import {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _append(folder: str) -> None:
    if folder not in sys.path:
        sys.path.append(folder)


# Gathering.


def _register(value: object, file: str, loaded: Loaded) -> bool:
    """Whether `value` is a task, even one that has to be refused."""
    try:
        return loaded.registry.add_functions([value]) > 0
    except NameTaken as error:
        if not _same_source(error.known.function, error.refused.function):
            here, there = _definition(error.refused.function, file), _definition(error.known.function, file)
            _tell(loaded, here, f"{error}; the other is at {_shown(there.file)}:{there.line}")
    except Exception as error:  # annotations are code too
        _tell(loaded, _definition(value, file), _text(error))
    return True


def _same_source(one: object, other: object) -> bool:
    """Whether two functions come of one definition in a file that was imported under two names.

    Functions made by one decorator share their code too, but live in one module.
    """
    code = _code(one)
    same_code = code is not None and code == _code(other)
    return same_code and getattr(one, "__module__", None) != getattr(other, "__module__", None)


def _code(function: object) -> CodeType | None:
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    return code if isinstance(code, CodeType) else None


def _definition(function: object, file: str) -> _Place:
    """Where a function is defined: the line of its `def`, below its decorators."""
    code = _code(function)
    if code is None:
        return _Place(file, None)
    line = code.co_firstlineno
    while text := linecache.getline(code.co_filename, line):
        if _DEF.match(text):
            return _Place(code.co_filename, line)
        line += 1
    return _Place(code.co_filename, code.co_firstlineno)


# Telling.


def _tell(loaded: Loaded, place: _Place, message: str) -> None:
    problem = TaskFileProblem(_shown(place.file), place.line, message[:MAX_MESSAGE])
    if problem not in loaded.problems:
        loaded.problems.append(problem)


def _tell_error(loaded: Loaded, error: BaseException, file: str) -> None:
    """Tell of an error at import: the innermost line within the task file, and where it came from."""
    if isinstance(error, SyntaxError) and error.filename and os.path.isfile(error.filename):
        return _tell(loaded, _Place(error.filename, error.lineno), f"{type(error).__name__}: {error.msg}")
    trace = [_Place(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    trace = [place for place in trace if place.file != __file__ and not place.file.startswith("<frozen ")]
    within = [place for place in trace if os.path.realpath(place.file) == os.path.realpath(file)] or trace[:1]
    message = _text(error)
    if within and trace[-1] != within[-1]:
        message += f" (raised at {_shown(trace[-1].file)}:{trace[-1].line})"
    return _tell(loaded, within[-1] if within else _Place(file, None), message)


def _text(error: BaseException) -> str:
    """Kind and text of an error in one line."""
    if isinstance(error, SystemExit):
        return f"it ends the process when imported (SystemExit: {error.code})"
    if type(error) is TypeError:  # `make_task` says which parameter and why
        return " ".join(str(error).split())
    return " ".join("".join(traceback.format_exception_only(error)).split())


def _shown(file: str) -> str:
    """A path as the user may call it."""
    path, here = os.path.realpath(file), os.getcwd()
    if not os.path.isabs(file) or not path.startswith(here + os.sep):
        return file
    return os.path.relpath(path, here)
