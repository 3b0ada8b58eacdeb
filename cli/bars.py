"""Watching on a terminal: a live bar for each job, and above the bars the log and whatever has ended."""

import time
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli import words
from cli.loglines import end_lines, gap_line, log_lines
from cli.terminal import cell, state_cell
from cli.watched import Frame, Watch, Watched

REFRESH_S = 0.1
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

    def show(self, watched: Watched | None, frame: Frame) -> None:
        """Print what belongs above the bars; the bars themselves wait for the next refresh."""
        lines = self._lines(watched, frame) if watched is not None else []
        if lines:
            self._console.print(*lines, sep="\n")

    def lost(self, why: str, delay_s: float) -> None:
        """The bars stay as they were, and say that they may be old."""
        self._trouble = f"{why}: trying again in {delay_s:.1f} s"
        self.refresh()

    def back(self) -> None:
        """The bars are true again."""
        self._trouble = ""

    def _lines(self, watched: Watched, frame: Frame) -> list[RenderableType]:
        prefix = f"{short_id(watched.job_id)} " if len(self._watch.jobs) > 1 else ""
        kind = frame["type"]
        if kind == "log":
            return [Text("\n").join(log_lines(frame["entries"], prefix))]
        if kind == "gap":
            return [gap_line(frame, prefix)]
        if kind == "end":
            return [self._rows([watched]), *end_lines(frame["job"], prefix)]
        if kind == "error":
            return [cell(f"✘ {watched.job_id}: {watched.refusal}", "red")]
        return []

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
        grid.add_column(no_wrap=True, justify="right")
        grid.add_column(no_wrap=True, justify="right")
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
        for one in jobs:
            grid.add_row(*_row(one))
        return grid


def short_id(job_id: str) -> str:
    """The end of an id, for the eye."""
    return job_id[-_SHORT_ID:]


def _row(watched: Watched) -> list[RenderableType]:
    job = watched.summary
    if job is None:
        return [cell("… connecting", "dim"), cell(short_id(watched.job_id)), "", "", "", ""]
    told = job.get("progress") or {}
    seconds = words.run_seconds(job, time.time())
    return [
        state_cell(job["state"]),
        cell(f"{job['task']} {short_id(watched.job_id)}"),
        _bar(job),
        cell(words.progress(told)),
        cell("" if seconds is None else words.duration(seconds)),
        cell(_note(job, told), "dim"),
    ]


def _bar(job: Frame) -> ProgressBar:
    share = words.share(job.get("progress"))
    if job["state"] == "succeeded":
        share = 1.0
    waits = job["state"] in ("scheduled", "queued") or job["state"] in words.TERMINAL
    style = words.STYLES.get(job["state"], "cyan")
    return ProgressBar(
        total=1.0,
        completed=share or 0.0,
        pulse=share is None and not waits,
        complete_style=style,
        finished_style=style,
        pulse_style=style,
    )


def _note(job: Frame, told: Frame) -> str:
    parts = []
    if job.get("attempt", 1) > 1:
        parts.append(f"attempt {job['attempt']}")
    if job["state"] == "scheduled" and job.get("scheduled_at") is not None:
        parts.append(f"at {words.moment(job['scheduled_at'])}")
    if told.get("note"):
        parts.append(str(told["note"]))
    warnings = job.get("warnings")
    if warnings:
        parts.append(f"⚠ {warnings[-1].get('text') or warnings[-1].get('message') or 'warning'}")
    return " · ".join(parts)
