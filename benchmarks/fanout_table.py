"""Measured cells as Markdown tables. Ratios are to the C loop where it was measured, else to the best of the table."""

from collections.abc import Iterable, Mapping

from fanout_measure import FanOut, Idle

LIMIT = "send()"
OURS = "windsock"
Cell = FanOut | Idle | str  # text is why there are no figures


def fan_out_table(cells: Mapping[str, Cell]) -> str:
    """One scenario: a line for each contestant."""
    measured = {name: cell for name, cell in cells.items() if isinstance(cell, FanOut)}
    base = _base({name: cell.cpu_us for name, cell in measured.items()}, LIMIT)
    head = ("server", "CPU per update", f"ratio to {base}", "p50 / p99", "updates/s", "of wanted")
    head += (
        "published/s in a room",
        "skipped",
        "updates in a message",
        "bytes per update",
        "server core",
        "other core (clients)",
    )
    rows = [
        _fan_out_row(name, cell, measured[base].cpu_us) if isinstance(cell, FanOut) else _empty(name, cell, len(head))
        for name, cell in cells.items()
    ]
    return table(head, rows) + _against({name: cell.cpu_us for name, cell in measured.items()}, "CPU per update")


def idle_table(cells: Mapping[str, Cell]) -> str:
    """The idle connections, in the same way; the memory's ratio is to the leanest peer, as the C loop keeps nothing."""
    memory = {name: cell.memory_kib for name, cell in cells.items() if isinstance(cell, Idle)}
    base = _base({name: kib for name, kib in memory.items() if name not in (LIMIT, OURS)}, OURS)
    head = ("server", "memory per connection", f"ratio to {base}", "full collection", "handshakes/s")
    rows = [
        _idle_row(name, cell, memory.get(base)) if isinstance(cell, Idle) else _empty(name, cell, len(head))
        for name, cell in cells.items()
    ]
    return table(head, rows) + _against(memory, "Memory per connection")


def _base(figures: Mapping[str, float], wished: str) -> str:
    return wished if wished in figures or not figures else min(figures, key=figures.__getitem__)


def _fan_out_row(name: str, cell: FanOut, base_us: float) -> list[str]:
    skipped = f"{cell.skipped:.1%}" if cell.skipped else "none"
    if cell.silent:
        skipped += f", {cell.silent:,} subscriptions silent"
    if cell.closed:
        skipped += f", {cell.closed:,} connections ended"
    return [
        name,
        f"{cell.cpu_us:.1f} µs" if cell.cpu_us >= 1 else f"{cell.cpu_us:.2f} µs",
        f"{cell.cpu_us / base_us:.2f}",
        f"{cell.p50_ms:.1f} / {cell.p99_ms:.1f} ms",
        f"{cell.updates_s:,.0f}",
        f"{cell.part:.0%}",
        f"{cell.rate:.1f}",
        skipped,
        f"{cell.joined:.1f}",
        f"{cell.size:.0f}",
        f"{cell.server_load:.0%}",
        f"{cell.others_load:.0%} ({cell.client_load:.0%})",
    ]


def _idle_row(name: str, cell: Idle, base_kib: float | None) -> list[str]:
    collected = "" if cell.collect_ms is None else f"{cell.collect_ms:.1f} ms"
    ratio = f"{cell.memory_kib / base_kib:.2f}" if base_kib else ""
    return [name, f"{cell.memory_kib:.1f} KiB", ratio, collected, f"{cell.handshakes_s:,.0f}"]


def _empty(name: str, why: object, width: int) -> list[str]:
    return [name, str(why)] + [""] * (width - 2)


def _against(figures: Mapping[str, float], what: str) -> str:
    """The sentence that says how Windsock stands; nothing without a peer to compare with."""
    peers = {name: figure for name, figure in figures.items() if name not in (LIMIT, OURS)}
    if OURS not in figures or not peers:
        return ""
    best = min(peers, key=peers.__getitem__)
    return f"\n{what}, Windsock to the best peer ({best}): {figures[OURS] / peers[best]:.2f}\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Lines of cells as Markdown."""
    heads = list(head)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
