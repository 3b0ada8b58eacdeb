"""`windsock top`."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from cli import words
from cli.exits import Exit
from cli.keys import names, pressed
from cli.options import command, json_option, option, run
from cli.panel import FILTERS, Panel, Wish
from cli.panel_view import view
from cli.safe import wire_json
from cli.server import connect
from cli.terminal import can_redraw, echo_lines, make_console, tabbed
from windsock.async_client import AsyncClient
from windsock.errors import Error
from windsock.events import Stats
from windsock.job import Job
from windsock.watching import EventStream

DRAW_S = 0.25
NODES_S = 2.0
RATE = 4  # updates of the list a second: as often as it is drawn
TTY_BYTES = 4096  # all that a terminal holds: a key that was cut would be another
LOG_LINES = 200  # of a log that is opened


@command("top")
@option("--once", is_flag=True, help="Print what there is now, and end.")
@option("--show", type=click.Choice(list(FILTERS)), default="all", help="Which jobs to begin with.")
@option("--limit", type=click.IntRange(1, 500), default=100, metavar="N", help="At most this many jobs, the newest.")
@json_option
def top(url: str, *, once: bool, show: str, limit: int, as_json: bool) -> None:
    """Show jobs, nodes and rates, live, on the whole screen.

    \b
    Keys:
      q        quit; the jobs go on
      f        another filter: all, running, waiting, failed, ended
      up down  choose a job (also j, k, page up, page down, home, end)
      enter    its log, live; esc goes back
      c        cancel it, after a question

    In a pipe, or with --once, it prints what there is now: lines of columns parted by tabs, of which the first says
    what the line is: `stats` (name, number), `node` (name, running, slots, loop lateness in ms, clients) or `job` (id,
    task, state, progress, rate, time, what it does). --json prints one object instead: stats, nodes, jobs.

    \b
    Examples:
      windsock top
      windsock top --show failed
      windsock top --once | awk -F'\\t' '$1 == "node" && $5 > 100'
    """
    live = can_redraw() and sys.stdin is not None and sys.stdin.isatty() and not once and not as_json
    raise SystemExit(run(_live(url, show, limit) if live else _once(url, show, limit, as_json)))


async def _live(url: str, show: str, limit: int) -> Exit:
    async with connect(url) as client, client.stream() as stream:
        return await Top(client, stream, Panel(client.url, show), limit, make_console()).run()


class Top:
    """The live view.

    Duties in call order: `run`, which takes the screen and gives it back, whatever ends it.
    """

    def __init__(self, client: AsyncClient, stream: EventStream, panel: Panel, limit: int, console: Console) -> None:
        self._client = client
        self._stream = stream
        self._panel = panel
        self._limit = limit
        self._console = console
        self._over = asyncio.Event()
        self._commands: set[asyncio.Task[None]] = set()
        self._log: int | None = None  # subscription to the log that is open
        self._feed = self._open_feed()
        self._stream.stats()

    async def run(self) -> Exit:
        """Until somebody quits.

        Raises:
            Unreachable, Refused: no server answered at first; it will not have us.
        """
        panel, loop, keys = self._panel, asyncio.get_running_loop(), sys.stdin.fileno()
        panel.nodes = await self._client.nodes()  # no server: told in a line, before the screen is taken
        screen = Live(console=self._console, screen=True, auto_refresh=False, get_renderable=self._render)
        with screen, pressed(keys):
            loop.add_reader(keys, lambda: self._press(_read(keys), screen.refresh))
            try:
                await self._work(screen.refresh)
            finally:
                loop.remove_reader(keys)
        return Exit.SUCCEEDED

    async def _work(self, refresh: Callable[[], None]) -> None:
        works = [self._over.wait(), self._follow(), self._draw(refresh), self._look()]
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await asyncio.gather(*self._commands)  # a cancel that was said yes to is not left behind by quitting
        finally:
            left = [*tasks, *self._commands]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _render(self) -> Any:
        width, height = self._console.size
        return view(self._panel, width, height, time.time())

    async def _follow(self) -> None:
        async for event in self._stream:
            self._panel.take(event)

    async def _draw(self, refresh: Callable[[], None]) -> None:
        while True:
            refresh()
            await asyncio.sleep(DRAW_S)

    async def _look(self) -> None:
        """The nodes, now and again; a server that is away is told of by the connection."""
        while True:
            with contextlib.suppress(Error):
                self._panel.nodes = await self._client.nodes()
            await asyncio.sleep(NODES_S)

    def _open_feed(self) -> int:
        states = FILTERS[self._panel.filter]
        return self._stream.feed({"state": states} if states else {}, self._limit, RATE)

    def _press(self, data: bytes, refresh: Callable[[], None]) -> None:
        if not data:  # the terminal is gone
            raise KeyboardInterrupt
        for key in names(data):
            self._heed(self._panel.press(key))
        refresh()

    def _heed(self, wish: Wish | None) -> None:
        if wish is Wish.QUIT:
            self._over.set()
        elif wish is Wish.FILTER:
            self._stream.drop(self._feed)
            self._panel.jobs = ()
            self._feed = self._open_feed()
        elif wish is Wish.CANCEL and self._panel.asked is not None:
            command = asyncio.create_task(self._cancel(self._panel.asked))
            self._panel.asked = None
            self._commands.add(command)
            command.add_done_callback(self._commands.discard)
        elif wish is Wish.OPEN and self._panel.opened is not None:
            self._log = self._stream.watch(self._panel.opened.id, log=LOG_LINES)
        elif wish is Wish.CLOSE and self._log is not None:
            self._stream.drop(self._log)
            self._log = None

    async def _cancel(self, job: Job) -> None:
        try:
            told = await self._client.cancel(job.id)
        except Error as error:
            self._panel.note = str(error)
        else:
            self._panel.note = f"{told.task} {told.id}: {told.state}"


def _read(keys: int) -> bytes:
    """What was pressed; nothing when the terminal is gone."""
    try:
        return os.read(keys, TTY_BYTES)
    except OSError:
        return b""


async def _once(url: str, show: str, limit: int, as_json: bool) -> Exit:
    async with connect(url) as client:
        nodes = await client.nodes()
        page = await client.list(state=FILTERS[show] or None, limit=limit)
        stats = await _stats(client)
    if as_json:
        echo_lines([wire_json({"stats": stats, "nodes": nodes, "jobs": [dict(job.raw) for job in page.jobs]})])
    else:
        echo_lines([*_stats_lines(stats), *map(_node_line, nodes), *(_job_line(job, time.time()) for job in page.jobs)])
    return Exit.SUCCEEDED


async def _stats(client: AsyncClient) -> dict[str, Any]:
    events = client.stats()
    while not isinstance(event := await anext(events), Stats):
        pass  # the connection was lost, and is made anew
    return dict(event.numbers)


def _stats_lines(stats: dict[str, Any]) -> list[str]:
    flat = {name: value for name, value in stats.items() if not isinstance(value, dict)}
    for name, value in stats.items():
        if isinstance(value, dict):
            flat |= {f"{name}_{part}": number for part, number in value.items()}
    return [tabbed(("stats", name, "" if value is None else str(value))) for name, value in flat.items()]


def _node_line(node: Any) -> str:
    worker = node.get("worker") or {}
    slots = sum(lane.get("slots", 0) for lane in (worker.get("lanes") or {}).values())
    told: Sequence[Any] = ("node", node["name"], worker.get("running", 0), slots, node["loop_lag_ms"], node["clients"])
    return tabbed(str(one) for one in told)


def _job_line(job: Job, now: float) -> str:
    raw = dict(job.raw)
    told = raw.get("progress")
    seconds = words.run_seconds(raw, now)
    ran = words.left(raw, now) or ("" if seconds is None else words.duration(seconds))
    doing = " · ".join(words.doing(raw))
    return tabbed(("job", job.id, job.task, job.state, words.progress(told), words.rate(told), ran, doing))
