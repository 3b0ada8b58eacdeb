"""Figures of all contestants as one Markdown table, a line for each figure."""

from collections.abc import Iterable, Mapping

from fanout_table import table
from queue_contestants import OURS

LESS_IS_BETTER = (" ms", " µs", " s", " MiB", "Redis", "scripts")  # ends of the names; the others are jobs/s


def figures(names: Iterable[str], cells: Mapping[tuple[str, str], float | str]) -> str:
    """The table; `cells` are by figure and contestant."""
    contestants = list(names)
    rows = [
        [figure, *(_shown(cells.get((figure, name), "")) for name in contestants), _against(figure, contestants, cells)]
        for figure in dict.fromkeys(figure for figure, _ in cells)
    ]
    return table(["", *contestants, "against the best peer"], rows)


def _shown(cell: float | str) -> str:
    if isinstance(cell, str):
        return cell
    if cell >= 100:
        return f"{cell:,.0f}"
    return f"{cell:.1f}" if cell >= 10 else f"{cell:.2f}" if cell >= 0.1 else f"{cell:.3f}"


def _against(figure: str, names: list[str], cells: Mapping[tuple[str, str], float | str]) -> str:
    """How many times better ours is than the best peer's; below 1 it is worse."""
    found = {name: cell for name in names if isinstance(cell := cells.get((figure, name)), float) and cell > 0}
    ours = found.pop(OURS, None)
    if ours is None or not found:
        return ""
    if figure.endswith(LESS_IS_BETTER):
        best = min(found, key=found.__getitem__)
        return f"{found[best] / ours:.2f} ({best})"
    best = max(found, key=found.__getitem__)
    return f"{ours / found[best]:.2f} ({best})"
