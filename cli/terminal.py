"""The terminal as the commands use it: colours only for a person, and never markup from a job."""

import asyncio
import contextlib
import io
import os
import select
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console as RichConsole
from rich.text import Text

from cli.safe import safe
from cli.words import STYLES, SYMBOLS

LOOK_MS = 300  # how long a reader that does not read is given, once we are to leave


def is_terminal() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty()


class Console(RichConsole):
    """A console whose reader may leave: that is for the command to deal with, as with any output."""

    def on_broken_pipe(self) -> NoReturn:
        """Rich would exit with 1."""
        raise BrokenPipeError


class Output:
    """Writes lines to stdout, whose reader may let them wait."""

    def __init__(self) -> None:
        self.left = False  # a signal has come: nobody waits for the reader any more

    def write(self, line: str) -> None:
        """A line, at once and whole.

        Raises:
            asyncio.CancelledError: a signal came, and nobody reads.
        """
        try:
            descriptor = sys.stdout.fileno()
        except io.UnsupportedOperation:  # no file, so nothing that waits
            sys.stdout.write(line + "\n")
            return
        ready = select.poll()
        ready.register(descriptor, select.POLLOUT)
        left = (line + "\n").encode()
        while left:
            if ready.poll(LOOK_MS):  # a piece of this size does not wait, so who leaves knows what was written
                left = left[os.write(descriptor, left[: select.PIPE_BUF]) :]
            elif self.left:
                raise asyncio.CancelledError


output = Output()


def can_redraw() -> bool:
    """Whether what stands on the terminal can be drawn anew."""
    return is_terminal() and not make_console().is_dumb_terminal


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


def with_stdout() -> None:
    """A program that was started without stdout (`>&-`) says nothing; what an encoding has no sign for is escaped."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  to the end of the program
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def quiet_stdout() -> None:
    """Nobody reads stdout any more: let the flush at exit go nowhere instead of complaining."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
