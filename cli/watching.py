"""Watching as a command does it: the right screen for where stdout goes, to the end, with its exit code."""

import asyncio
from collections.abc import Sequence

from cli.backoff import Backoff
from cli.bars import REFRESH_S, BarsScreen
from cli.exits import Exit, say
from cli.ndjson import NdjsonScreen
from cli.stream import Screen, Stream
from cli.terminal import is_terminal, make_console
from cli.watched import LogWish, Watch


async def watch_jobs(
    url: str, job_ids: Sequence[str], log: LogWish, *, as_json: bool = False, known: bool = False
) -> Exit:
    """Watch until every job has ended; the exit code that tells how.

    Args:
        url: base URL of the server.
        job_ids: whom to watch.
        log: how much of each log to show.
        as_json: frames as NDJSON even on a terminal.
        known: a server has just answered there, so wait for it even if the first connection fails.

    Raises:
        Unreachable, Refused: see `Stream.follow`.
    """
    watch = Watch.of(job_ids, log)
    try:
        if as_json or not is_terminal():
            await _follow(url, watch, NdjsonScreen(), known)
        else:
            await _with_bars(url, watch, known)
    except (asyncio.CancelledError, BrokenPipeError):
        _say_detached(watch)
        raise
    return watch.exit


async def _with_bars(url: str, watch: Watch, known: bool) -> None:
    with BarsScreen(make_console(), watch) as screen:
        drawing = asyncio.create_task(_draw(screen))
        try:
            await _follow(url, watch, screen, known)
        finally:
            drawing.cancel()
            await asyncio.gather(drawing, return_exceptions=True)


async def _draw(screen: BarsScreen) -> None:
    while True:
        screen.refresh()
        await asyncio.sleep(REFRESH_S)


async def _follow(url: str, watch: Watch, screen: Screen, known: bool) -> None:
    await Stream(url, watch, screen, known=known, backoff=Backoff()).follow()


def _say_detached(watch: Watch) -> None:
    ids = [one.job_id for one in watch.jobs.values() if not one.done]
    if ids:
        goes_on = "the job goes on" if len(ids) == 1 else f"{len(ids)} jobs go on"
        say(f"detached; {goes_on}. Come back with: windsock watch {' '.join(ids)}")
