"""`windsock top` as it looks: a panel made into lines of a terminal of some size. Pure but for the clock, given."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli import words
from cli.bars import WIDE, bar, short_id
from cli.loglines import gap_line, log_lines
from cli.panel import FILTERS, Panel
from cli.safe import safe
from cli.terminal import cell, state_cell
from windsock import events
from windsock.job import STATES, Job

NODES_SHOWN = 4
CHOSEN = "bold on grey23"
_RATES = (("submitted", "in"), ("started", "started"), ("succeeded", "ok"), ("failed", "failed"))
_HEAD = 6  # lines that are no rows: title, two of numbers, a blank one, heads of columns, keys
KEYS = "q quit · f filter · ↑↓ choose · enter log · c cancel"
LOG_KEYS = "q quit · esc back · ↑↓ scroll · c cancel"


def view(panel: Panel, width: int, height: int, now: float) -> Group:
    """The whole screen.

    Args:
        panel: what there is to show.
        width, height: of the terminal, in cells.
        now: seconds since the epoch.
    """
    nodes = node_lines(panel, width)
    top = [title(panel, width), numbers(panel.stats, panel.counts), speeds(panel.stats), *nodes]
    room = max(height - _HEAD - len(nodes), 1)
    body = _log(panel, room, now) if panel.opened is not None else _jobs(panel, width, room, now)
    return Group(*(_cut(line, width) for line in top), Text(""), *body, _cut(footer(panel), width))


def title(panel: Panel, width: int) -> Text:
    """Where it looks, and whether that is true now."""
    state = (
        cell("● live", "green") if panel.live else cell("○ catching up" if not panel.trouble else "○ offline", "yellow")
    )
    left = Text("windsock top  ", style="bold").append(safe(panel.url), style="not bold dim")
    return left.append(" " * max(width - left.cell_len - state.cell_len, 1)).append_text(state)


def numbers(stats: Mapping[str, Any], counts: Mapping[str, int]) -> Text:
    """How many jobs there are."""
    told = {**counts, **{name: stats[name] for name in ("queued", "scheduled", "running") if name in stats}}
    line = Text("jobs  ", style="dim")
    for state in STATES:
        if told.get(state) or state in ("queued", "running"):
            shown = f"{words.SYMBOLS[state]} {words.number(told.get(state, 0))} {state}  "
            line.append(shown, style=f"not dim {words.STYLES[state] if told.get(state) else 'dim'}")
    return line


def speeds(stats: Mapping[str, Any]) -> Text:
    """How fast it goes."""
    if not stats:
        return cell("rate  …", "dim")
    rates = [f"{words.number(stats.get(name, 0))}/s {label}" for name, label in _RATES]
    waits = [f"{label} {_span(stats.get(name))}" for label, name in (("pick-up", "pickup_ms"), ("run", "run_ms"))]
    return Text("rate  ", style="dim").append("  ".join([*rates, *waits]), style="not dim")


def node_lines(panel: Panel, width: int) -> list[Text]:
    """A line for each node, the busiest first."""
    nodes = sorted(panel.nodes, key=lambda node: -(node.get("worker") or {}).get("running", 0))
    lines = [_node(node) for node in nodes[:NODES_SHOWN]]
    if len(nodes) > NODES_SHOWN:
        lines.append(cell(f"      … and {len(nodes) - NODES_SHOWN} more nodes", "dim"))
    return lines


def footer(panel: Panel) -> Text:
    """What can be done, what is asked, or what went wrong."""
    if panel.asked is not None:
        job = panel.asked
        return cell(f"cancel {job.task} {short_id(job.id)} ({job.state})? y yes · any other key no", "bold yellow")
    if panel.trouble:
        return cell(f"⚠ {panel.trouble}", "yellow")
    if panel.note:
        return cell(panel.note, "bold")
    keys = LOG_KEYS if panel.opened is not None else f"{KEYS} · showing {panel.filter}"
    return cell(keys, "dim")


def _node(node: Mapping[str, Any]) -> Text:
    worker = node.get("worker") or {}
    lanes = (worker.get("lanes") or {}).values()
    slots = sum(lane.get("slots", 0) for lane in lanes)
    kept = len(node.get("children") or ())
    works = f"{worker.get('running', 0)}/{slots} running" if worker else "no worker"
    works = f"keeps {kept} worker{'s' * (kept > 1)}" if kept else works
    lag = node.get("loop_lag_ms")
    parts = [works, f"loop {lag:.0f} ms late" if lag is not None else "", f"{node.get('clients', 0)} clients"]
    parts.append("draining" if node.get("draining") else "")
    line = Text("node  ", style="dim").append(safe(node.get("name", "?")), style="not dim bold")
    return line.append("  " + "  ".join(part for part in parts if part), style="not dim not bold")


def _jobs(panel: Panel, width: int, room: int, now: float) -> list[RenderableType]:
    if not panel.jobs:
        told = "no jobs" if panel.filter == "all" else f"no jobs: {', '.join(FILTERS[panel.filter])}"
        return [Text(""), cell(told if panel.live else "…", "dim"), *[Text("")] * (room - 1)]
    index = panel.index or 0
    first = max(0, min(index - room // 2, len(panel.jobs) - room))
    shown = panel.jobs[first : first + room]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, width=width, header_style="dim", show_edge=False)
    for name, options in _columns(width):
        table.add_column(name, no_wrap=True, overflow="ellipsis", **options)
    for job in shown:
        chosen = job.id == panel.chosen
        table.add_row(cell("▸" if chosen else " "), *_row(job, width, now), style=CHOSEN if chosen else "")
    return [table, *[Text("")] * (room - len(shown))]


def _columns(width: int) -> list[tuple[str, dict[str, Any]]]:
    wide = width >= WIDE
    columns: list[tuple[str, dict[str, Any]]] = [
        ("", {"width": 1}),
        ("state", {"width": 11}),
        ("job", {"width": 8}),
        ("task", {"ratio": 2, "min_width": 8}),
        ("", {"width": 16 if wide else 8}),
        ("progress", {"justify": "right", "max_width": 22 if wide else 14}),
    ]
    if wide:
        columns.append(("rate", {"justify": "right", "max_width": 16}))
    return [*columns, ("time", {"justify": "right", "max_width": 14}), ("", {"ratio": 3, "min_width": 6})]


def _row(job: Job, width: int, now: float) -> list[RenderableType]:
    raw = dict(job.raw)
    told = raw.get("progress")
    seconds = words.run_seconds(raw, now)
    row: list[RenderableType] = [
        state_cell(job.state),
        cell(short_id(job.id)),
        cell(job.task),
        bar(raw, pulses=False),
        cell(words.progress(told)),
    ]
    if width >= WIDE:
        row.append(cell(words.rate(told)))
    ran = "" if seconds is None else words.duration(seconds)
    return [*row, cell(words.left(raw, now) or ran), cell(" · ".join(words.doing(raw)))]


def _log(panel: Panel, room: int, now: float) -> list[RenderableType]:
    job = panel.opened
    assert job is not None
    head = state_cell(job.state).append(f"  {safe(job.task)} {safe(job.id)}  ", style="not bold default")
    told = [words.progress(job.raw.get("progress")), words.left(dict(job.raw), now), *words.doing(dict(job.raw))]
    head.append(safe(" · ".join(part for part in told if part)), style="dim")
    lines = [line for event in panel.lines for line in _event_lines(event)]
    if job.error is not None:
        lines.append(cell(f"{job.error.code}: {job.error.message}", "red"))
    end = max(len(lines) - panel.scrolled, min(room, len(lines)))
    shown = lines[max(0, end - room) : end]
    for line in (head, *shown):
        line.no_wrap, line.overflow = True, "ellipsis"
    return [head, *shown, *[Text("")] * (room - len(shown))]


def _event_lines(event: events.Log | events.Value | events.Gap) -> list[Text]:
    if isinstance(event, events.Log):
        return log_lines([{"at": event.at, "level": event.level, "text": event.text}])
    if isinstance(event, events.Value):
        return log_lines([{"at": event.at, "value": event.value}])
    return [gap_line({"from": event.first, "to": event.last, "why": event.why})]


def _span(told: Mapping[str, Any] | None) -> str:
    """Such as "2 ms … 9 ms": median and 99th percentile."""
    half, most = (told or {}).get("p50"), (told or {}).get("p99")
    return "-" if half is None or most is None else f"{_ms(half)} … {_ms(most)}"


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value < 1000 else words.duration(value / 1000)


def _cut(line: Text, width: int) -> Text:
    line.no_wrap, line.overflow = True, "ellipsis"
    line.truncate(width, overflow="ellipsis")
    return line
