"""The rows of `felt.py`: what was measured, beside what it must be."""

from processes import percentile

Row = tuple[str, str, str]
ROWS: list[Row] = []


def row(what: str, measured: str, must: str) -> None:
    """Keep a figure for the table, and show it at once."""
    ROWS.append((what, measured, must))
    print(f"{what:58} {measured:>24}   must: {must}", flush=True)


def both(values: list[float]) -> str:
    """p50 / p99 in ms of values in seconds."""
    return f"{percentile(values, 0.5) * 1e3:.2f} / {percentile(values, 0.99) * 1e3:.2f} ms"


def show() -> None:
    """All rows, as Markdown."""
    print("\n| what | measured | must |\n|---|---|---|")
    for what, measured, must in ROWS:
        print(f"| {what} | {measured} | {must} |")
