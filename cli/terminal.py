"""The terminal as the commands use it: colours only for a person, and never markup from a job."""

import contextlib
import os
import sys
from collections.abc import Iterable

import click
from rich.console import Console
from rich.text import Text

from cli.safe import safe
from cli.words import STYLES, SYMBOLS


def is_terminal() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty()


def make_console() -> Console:
    """A console on stdout. NO_COLOR is respected (by Rich); FORCE_COLOR must not colour a pipe."""
    return Console(
        force_terminal=is_terminal(),
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=False,
    )


def cell(text: object, style: str = "") -> Text:
    """Text for a table or a line, safe."""
    return Text(safe(text), style=style)


def state_cell(state: str) -> Text:
    """A state by symbol, word and colour: never by colour alone."""
    return cell(f"{SYMBOLS.get(state, '?')} {state}", STYLES.get(state, ""))


def tabbed(columns: Iterable[str]) -> str:
    """One line for a pipe, the columns parted by tabs; a tab within a column is escaped."""
    return "\t".join(safe(column) for column in columns)


def echo_lines(lines: Iterable[str]) -> None:
    """Lines for a pipe. A reader that has seen enough (`head`) is no error."""
    try:
        for line in lines:
            click.echo(line)
        sys.stdout.flush()
    except BrokenPipeError:
        quiet_stdout()


def quiet_stdout() -> None:
    """Nobody reads stdout any more: let the flush at exit go nowhere instead of complaining."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
