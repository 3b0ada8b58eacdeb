"""How a command ends: exit codes, and the errors that lead to them.

CliError            one line on stderr, never a traceback
├── BadUsage        2   what was typed cannot be
├── NoProfile       2   there is none, or it did not come
├── SaidNo          2   the server said no (404, 409, 422 …): the same again gets the same answer
└── NotNow          4   nobody answers, or not now (429, 5xx): trying again later may help
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import IO, Any, ClassVar

import click

from cli.safe import safe
from windsock.errors import Busy, Error, Refused, Unreachable


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
  130  detached (Ctrl-C, SIGTERM, nobody reads the pipe): the jobs go on
"""

_OUTCOMES = {
    "succeeded": Exit.SUCCEEDED,
    "failed": Exit.FAILED,
    "cancelled": Exit.CANCELLED,
    "refused": Exit.REFUSED,
}
_HINTS = {
    "absent": ": start one with `windsock serve` or give --url",
    "silent": ": is it overloaded, or is --url wrong?",
    "foreign": ": check --url",
    "fault": ": try again later",
}
_GRAVEST_FIRST = (Exit.FAILED, Exit.REFUSED, Exit.CANCELLED)


def exit_of(outcome: str) -> Exit:
    """The exit code for what became of a watched job: its state, or "refused"; one nobody knows counts as failed."""
    return _OUTCOMES.get(outcome, Exit.FAILED)


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


class SaidNo(CliError):
    """The server said no."""


class NoProfile(CliError):
    """What was to be measured is not there."""


class NotNow(CliError):
    """Nobody answers, or cannot serve now."""

    exit_code = Exit.UNREACHABLE


def told(error: Error) -> CliError:
    """The client's error as the end of a command, with what can be done about it."""
    if isinstance(error, Busy):
        return NotNow(f"{error}: try again later")
    if isinstance(error, Refused):
        return SaidNo(str(error))
    hint = _HINTS.get(error.reason, "") if isinstance(error, Unreachable) else ""
    return NotNow(f"{error}{hint}")


def say(message: str) -> None:
    """One line to the person, beside the output: on stderr, safe."""
    click.echo(f"windsock: {safe(message)}", err=True)
