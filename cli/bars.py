"""Watching on a terminal: a live bar for each job, and above the bars the log and whatever has ended."""

import time
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli import words
from cli.loglines import end_lines, gap_line, is_reset, log_lines, refusal_text, reset_line
from cli.terminal import cell, state_cell
from windsock.job import TERMINAL
from windsock.watch import Subscription, Watch
from windsock.watched import Frame, Watched

REFRESH_S = 0.1
WIDE = 100  # columns from which on there is room for rates
_ROOM_FOR_CTRL_C = 3  # the terminal echoes ^C behind a bar; a wrapped line would be erased wrongly
_SHORT_ID = 8  # last characters of a ULID: its random end, enough to tell jobs of one watch apart


class BarsScreen:
    """Owns the live region of the terminal while jobs are watched.

    Duties in call order: enter, `show` each new frame, `refresh` ten times a second, leave it clean.
    """

    def __init__(self, console: Console, watch: Watch) -> None:
        self._console = console
        self._watch = watch
        self._trouble = ""  # about the connection
        self._warned: set[tuple[str, Any, Any]] = set()  # warnings that were shown: job, moment, kind
        self._live = Live(console=console, auto_refresh=False, transient=True, get_renderable=self._render)

    def __enter__(self) -> "BarsScreen":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._live.transient = error is None  # on detaching the bars stay, to say where the jobs stood
        self._live.stop()

    def refresh(self) -> None:
        """Draw the bars as they are now."""
        self._live.refresh()

    def show(self, one: Subscription | None, frame: Frame) -> None:
        """Print what belongs above the bars; the bars themselves wait for the next refresh."""
        lines = self._lines(one, frame) if isinstance(one, Watched) else []
        if lines:
            self._console.print(*lines, sep="\n")

    def lost(self, why: str, delay_s: float) -> None:
        """The bars stay as they were, and say that they may be old."""
        self._trouble = f"{why}: trying again in {delay_s:.1f} s"
        self.refresh()

    def back(self) -> None:
        """The bars are true again."""
        self._trouble = ""

    async def room(self) -> None:
        """A terminal takes what comes."""

    def _lines(self, watched: Watched, frame: Frame) -> list[RenderableType]:
        prefix = f"{short_id(watched.job_id)} " if len(self._watch.jobs) > 1 else ""
        kind = frame["type"]
        if kind == "log":
            return [Text("\n").join(log_lines(frame["entries"], prefix))]
        if kind == "gap":
            return [gap_line(frame, prefix)]
        if kind in ("snapshot", "update"):
            reset = [reset_line(frame, prefix)] if is_reset(frame) else []
            return [*reset, *self._warnings(frame["job"], prefix)]
        if kind == "end":
            warnings = self._warnings(frame["job"], prefix)
            return [*warnings, self._rows([watched]), *end_lines(frame["job"], prefix)]
        if kind == "error":
            return [cell(f"✘ {watched.job_id}: {refusal_text(watched)}", "red")]
        return []

    def _warnings(self, job: Frame, prefix: str) -> list[RenderableType]:
        """Lines for the warnings of a job that were not shown yet."""
        lines: list[RenderableType] = []
        for told in job.get("warnings") or ():
            known = (job["id"], told.get("at"), told.get("kind"))
            if known not in self._warned:
                self._warned.add(known)
                lines.append(cell(f"{prefix}⚠ {words.warning(told)}", "yellow"))
        return lines

    def _render(self) -> RenderableType:
        waiting = [one for one in self._watch.jobs.values() if not one.done]
        room = max(self._console.size.height - 4, 1)
        parts: list[RenderableType] = [self._rows(waiting[:room])] if waiting else []
        if len(waiting) > room:
            parts.append(cell(f"… and {len(waiting) - room} more", "dim"))
        trouble = self._trouble or (f"stale: {self._watch.stale}" if self._watch.stale else "")
        if trouble:
            parts.append(cell(f"⚠ {trouble}", "yellow"))
        return Group(*parts)

    def _rows(self, jobs: list[Watched]) -> Table:
        width = max(self._console.size.width - _ROOM_FOR_CTRL_C, 20)
        grid = Table(box=None, show_header=False, show_edge=False, padding=(0, 1, 0, 0), width=width)
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis", max_width=24)
        grid.add_column(ratio=2, min_width=8)
        wide = self._console.size.width >= WIDE
        for _ in ("progress", "rate", "time") if wide else ("progress", "time"):
            grid.add_column(no_wrap=True, justify="right")
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
        for one in jobs:
            grid.add_row(*_row(one, wide))
        return grid


def short_id(job_id: str) -> str:
    """The end of an id, for the eye."""
    return job_id[-_SHORT_ID:]


def _row(watched: Watched, wide: bool) -> list[RenderableType]:
    job = watched.summary
    if job is None:
        return [cell("… connecting", "dim"), cell(short_id(watched.job_id)), *[""] * (5 if wide else 4)]
    told = job.get("progress") or {}
    seconds = words.run_seconds(job, time.time())
    return [
        state_cell(job["state"]),
        cell(f"{job['task']} {short_id(watched.job_id)}"),
        bar(job),
        cell(words.progress(told)),
        *([cell(words.rate(told), "dim")] if wide else []),
        cell(words.left(job, time.time()) or ("" if seconds is None else words.duration(seconds))),
        cell(" · ".join(words.doing(job)), "dim"),
    ]


def bar(job: Frame, *, pulses: bool = True) -> ProgressBar:
    """How far a job is, as a bar; one of unknown length may pulse."""
    share = words.share(job.get("progress"))
    if job["state"] == "succeeded":
        share = 1.0
    waits = job["state"] in ("scheduled", "queued") or job["state"] in TERMINAL
    style = words.STYLES.get(job["state"], "cyan")
    return ProgressBar(
        total=1.0,
        completed=share or 0.0,
        pulse=pulses and share is None and not waits,
        complete_style=style,
        finished_style=style,
        pulse_style=style,
    )
