"""What the commands share: how one is made, the options they have in common, and how one is run."""

import asyncio
import contextlib
import errno
import itertools
import math
import re
import signal
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from types import FrameType
from typing import Any, TypeVar

import click

from cli.exits import EXIT_CODES, BadUsage, Exit, told
from cli.terminal import output, quiet_stdout, with_stdout
from windsock.address import DEFAULT_URL, VARIABLE
from windsock.errors import Error

Result = TypeVar("Result")
_LEAVE: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)", re.ASCII)


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A command of the client: --url, exit codes in --help, each flag also as WINDSOCK_<NAME>_<FLAG>."""
    settings = {"help_option_names": ["-h", "--help"], "show_default": True}

    def make(function: Callable[..., Any]) -> click.Command:
        with_url = option(
            "--url",
            envvar=VARIABLE,
            default=DEFAULT_URL,
            metavar="URL",
            help="The server to talk to.",
        )(function)
        made = click.command(name, cls=_Command, context_settings=settings, epilog=EXIT_CODES)(with_url)
        for one in made.params:
            if isinstance(one, click.Option) and one.envvar is None:
                one.envvar = f"WINDSOCK_{name}_{one.opts[0].lstrip('-')}".upper().replace("-", "_")
        return made

    return make


class _Command(click.Command):
    """A command of the client: it ends with a code of `Exit`, in a line at most, whatever becomes of its output."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        with_stdout()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            quiet_stdout()
            raise SystemExit(Exit.DETACHED) from None
        except BrokenPipeError:  # a reader that has seen enough
            quiet_stdout()
            return None
        except OSError as error:
            quiet_stdout()
            raise BadUsage(f"cannot go on: {error.strerror or error}") from None


def option(*names: str, **attributes: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A click option whose environment variable is shown in --help."""
    return click.option(*names, show_envvar=True, **attributes)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's work to its end. Ctrl-C, SIGTERM and SIGHUP leave it with 130 and a tidy terminal."""
    try:
        return asyncio.run(_interruptible(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise SystemExit(Exit.DETACHED) from None
    except Error as error:
        raise told(error) from None
    except OSError as error:
        if not isinstance(error, BrokenPipeError) and error.errno != errno.EIO:  # EIO: the terminal is gone
            raise
        quiet_stdout()
        raise SystemExit(Exit.DETACHED) from None


async def _interruptible(work: Coroutine[Any, Any, Result]) -> Result:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    signals = itertools.count(1)

    def leave(number: int, frame: FrameType | None) -> None:
        if next(signals) > 1:
            raise KeyboardInterrupt
        output.left = True
        loop.call_soon_threadsafe(task.cancel)

    with _heeding(leave):
        return await work


@contextlib.contextmanager
def _heeding(leave: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Signals that are ignored stay so: `nohup` asks for that."""
    before: dict[int, Any] = {}
    try:
        with contextlib.suppress(ValueError):  # not in the main thread
            for number in _LEAVE:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    before[number] = signal.signal(number, leave)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Duration(click.ParamType[float]):
    """Seconds: `90`, `1.5`, `30s`, `5m`, `2h`, `1d`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds in `value`."""
        if isinstance(value, int | float):
            return float(value)
        match = _DURATION.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a duration: write seconds, or 30s, 5m, 2h, 1d", param, ctx)
        seconds = float(match[1]) * _UNITS_S[match[2]]
        if math.isinf(seconds):
            self.fail(f"{value!r} is longer than anything lasts", param, ctx)
        return seconds


class Moment(click.ParamType[int]):
    """Milliseconds since the epoch, from ISO 8601 in local time or with a zone."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The milliseconds in `value`."""
        text = str(value).strip()
        if text.isascii() and text.isdigit() and len(text) >= 12:
            return int(text)
        try:
            return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{value!r} is not a time: write 2030-01-31T18:30, or with a zone 2030-01-31T18:30Z",
                param,
                ctx,
            )


class LogWish(click.ParamType[str | int]):
    """`none`, `all`, or a number: the last N entries."""

    name = "none|all|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """The wish as it goes on the wire."""
        if value in ("none", "all"):
            return str(value)
        if not re.fullmatch("[0-9]{1,9}", str(value)):
            self.fail(f"{value!r} is neither none, nor all, nor a number", param, ctx)
        return int(value)


log_option = option(
    "--log",
    type=LogWish(),
    default="all",
    metavar="none|all|N",
    help="How much of the log comes first: nothing (and none later), everything kept, or the last N entries.",
)
json_option = option("--json", "as_json", is_flag=True, help="One JSON object per line, for programs.")
