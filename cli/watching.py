"""Watching as a command does it: the right screen for where stdout goes, to the end, with its exit code."""

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator

from cli.bars import REFRESH_S, BarsScreen
from cli.cursors import CursorFile
from cli.exits import BadUsage, Exit, exit_of, gravest, say
from cli.ndjson import NdjsonScreen
from cli.terminal import is_terminal, make_console
from windsock.address import Address, chosen_url
from windsock.backoff import Backoff
from windsock.stream import Screen, Stream
from windsock.target import Target
from windsock.watch import Watch
from windsock.watched import Watched

SAVE_S = 1.0  # how old the cursor file may be when this program is killed


async def watch_jobs(
    target: Target, watch: Watch, *, as_json: bool = False, known: bool = False, file: CursorFile | None = None
) -> Exit:
    """Watch until every job has ended; the exit code that tells how.

    Args:
        target: the server.
        watch: the jobs, and where to go on with each.
        as_json: frames as NDJSON even on a terminal.
        known: a server has just answered there, so wait for it even if the first connection fails.
        file: where to keep the cursors.

    Raises:
        Unreachable, Refused: see `Stream.follow`.
        BadUsage: the cursor file cannot be written.
    """
    try:
        async with _keeping(watch, file):
            if as_json or not is_terminal():
                await _follow(target, watch, NdjsonScreen(), known)
            else:
                await _with_bars(target, watch, known)
    except asyncio.CancelledError:
        _say_detached(target.address.url, watch, file)
        raise
    except OSError:
        # What the pipe still held was never read: a cursor would leave that out.
        _say_detached(target.address.url, watch, file, exact=False)
        raise
    return gravest(exit_of(one.outcome) for one in watch.jobs.values() if one.outcome is not None)


async def _with_bars(target: Target, watch: Watch, known: bool) -> None:
    with BarsScreen(make_console(), watch) as screen:
        drawing = asyncio.create_task(_draw(screen))
        try:
            await _follow(target, watch, screen, known)
        finally:
            drawing.cancel()
            await asyncio.gather(drawing, return_exceptions=True)


async def _draw(screen: BarsScreen) -> None:
    while True:
        screen.refresh()
        await asyncio.sleep(REFRESH_S)


async def _follow(target: Target, watch: Watch, screen: Screen, known: bool) -> None:
    await Stream(target, watch, screen, known=known, backoff=Backoff()).follow()


@contextlib.asynccontextmanager
async def _keeping(watch: Watch, file: CursorFile | None) -> AsyncIterator[None]:
    """The cursor file is written at once, so that one that cannot be is known; then each second, and at the end."""
    if file is None:
        yield
        return
    file.save(watch)
    saving = asyncio.create_task(_save(file, watch))
    try:
        yield
    finally:
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        file.save(watch)


async def _save(file: CursorFile, watch: Watch) -> None:
    while True:
        await asyncio.sleep(SAVE_S)
        with contextlib.suppress(BadUsage):  # the disk may have room again a second later
            file.save(watch)


def _say_detached(url: str, watch: Watch, file: CursorFile | None, *, exact: bool = True) -> None:
    left = [one for one in watch.jobs.values() if not one.done]
    if left:
        goes_on = "the job goes on" if len(left) == 1 else f"{len(left)} jobs go on"
        say(f"detached; {goes_on}. To go on watching: {_come_back(url, left, file, exact=exact)}")


def _come_back(url: str, left: list[Watched], file: CursorFile | None, *, exact: bool) -> str:
    """The command that goes on where this one was left; for several jobs without a file, from the beginning."""
    words = ["windsock", "watch", *(one.job_id for one in left)]
    if file is not None:
        words += ["--cursor-file", str(file.path)]
    elif exact and len(left) == 1 and left[0].shown:
        words += ["--after", left[0].shown]
    if left[0].log != "all":
        words += ["--log", str(left[0].log)]
    if not _is_default(url):
        words += ["--url", url]
    return shlex.join(words)


def _is_default(url: str) -> bool:
    try:
        return Address.of(chosen_url()).url == url
    except ValueError:
        return False
