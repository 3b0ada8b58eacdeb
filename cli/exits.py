"""How a command ends: exit codes, and the errors that lead to them.

CliError            one line on stderr, never a traceback
├── BadUsage        2   what was typed cannot be
├── Refused         2   the server said no (404, 409, 422 …): the same again gets the same answer
└── Unreachable     4   nobody answers, or not now (429, 5xx): trying again later may help
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import IO, Any, ClassVar

import click

from cli.safe import safe


class Exit(IntEnum):
    """What `$?` says afterwards."""

    SUCCEEDED = 0
    FAILED = 1
    REFUSED = 2
    CANCELLED = 3
    UNREACHABLE = 4
    DETACHED = 130


EXIT_CODES = """\
\b
Exit codes:
  0    done; with --watch or watch: every job succeeded
  1    a watched job failed
  2    wrong usage, or refused by the server (404, 409, 422)
  3    a watched job was cancelled
  4    no server answers, or it cannot serve now (429, 5xx)
  130  detached by Ctrl-C: the jobs go on
"""

_OUTCOMES = {"succeeded": Exit.SUCCEEDED, "failed": Exit.FAILED, "cancelled": Exit.CANCELLED}
_GRAVEST_FIRST = (Exit.FAILED, Exit.REFUSED, Exit.CANCELLED)


def exit_of(state: str) -> Exit:
    """The exit code for a job that ended in `state`; a state nobody knows counts as failed."""
    return _OUTCOMES.get(state, Exit.FAILED)


def gravest(exits: Iterable[Exit]) -> Exit:
    """One exit code for several jobs: any failed, else any refused, else any cancelled, else success."""
    found = set(exits)
    return next((one for one in _GRAVEST_FIRST if one in found), Exit.SUCCEEDED)


class CliError(click.ClickException):
    """An end with a message. The message says what to do."""

    exit_code: ClassVar[int] = Exit.REFUSED

    def show(self, file: IO[Any] | None = None) -> None:
        """One line on stderr."""
        say(self.message)


class BadUsage(CliError):
    """What was typed cannot be."""


class Refused(CliError):
    """The server said no."""


class Unreachable(CliError):
    """Nobody answers, or cannot serve now."""

    exit_code = Exit.UNREACHABLE


def say(message: str) -> None:
    """One line to the person, beside the output: on stderr, safe."""
    click.echo(f"windsock: {safe(message)}", err=True)
