"""Windsock and other job queues, in one run: submits, drain, latency, sleeps, idle cost, a killed worker.

Not `queue.py`: that would hide the standard library's module of this name from all scripts in this folder. What is
measured is alone on the first core; Redis, observers and wrk are on the others. A row is asked of all contestants,
one after the other, before the next begins. Ends by itself; loopback only. The table goes to stdout as Markdown,
progress to stderr.
"""

import argparse
import platform
import signal
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from fanout import busy, make_room, say
from fanout_peers import Missing
from fanout_running import CORES
from processes import Folder
from queue_contestants import CONTESTANTS, Contestant, versions
from queue_rows import AT_ONCE, NOT_QUICK, ROWS
from queue_scale import FULL, QUICK, Cells, Scale
from queue_store import version
from queue_table import figures


def measure(row: str, contestant: Contestant, folder: str, scale: Scale) -> Cells:
    """The figures of one row; what went wrong stands under an empty name."""
    try:
        cells = ROWS[row](contestant, folder, scale)
    except Missing as missing:
        say(f"*** {contestant.name} IS SKIPPED: {missing} ***")
        return {"": f"skipped: {missing}"}
    except Exception as error:  # whatever it is, the others are measured
        say(f"*** {contestant.name} FAILED: {error!r} ***")
        return {"": f"failed: {' '.join(str(error).split())}"[:100].replace("|", "/")}
    shown = (f"{cell:,.2f}" if isinstance(cell, float) else cell for cell in cells.values())
    say(f"  {contestant.name}: {', '.join(shown)}")
    return cells


def all_of(row: str, contestants: list[Contestant], folder: str, scale: Scale) -> dict[tuple[str, str], float | str]:
    """One row of everybody, by figure and contestant."""
    say(row)
    with ThreadPoolExecutor(len(contestants)) as pool:
        each = pool.map if row in AT_ONCE else map
        told = list(each(lambda one: measure(row, one, folder, scale), contestants))
    names = dict.fromkeys(name for cells in told for name in cells if name) or {row: None}
    return {
        (name, one.name): cells.get("", cells.get(name, ""))
        for name in names
        for one, cells in zip(contestants, told, strict=True)
    }


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything, three minutes")
    parser.add_argument("--only", metavar="NAMES", help=f"some of {','.join(one.name for one in CONTESTANTS)}")
    parser.add_argument("--row", metavar="NAMES", help=f"some of {','.join(ROWS)}")
    given = parser.parse_args()
    for names, known in ((given.only, {one.name for one in CONTESTANTS}), (given.row, set(ROWS))):
        if unknown := set((names or "").split(",")) - known - {""}:
            parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return given


def head(contestants: Iterable[Contestant], others: float, scale: Scale) -> str:
    """What stands above the table."""
    return (
        "# Job queues: one run\n\n"
        "What was done, and what the lines mean: [README.md](README.md).\n\n"
        f"- {time.strftime('%Y-%m-%d %H:%M')}, {platform.machine()}, {len(CORES)} cores; at first others kept them"
        f" {others:.0%} busy{'; `--quick`' if scale is QUICK else ''}\n"
        f"- Python {platform.python_version()}, {versions()}\n"
        f"- Redis {version()} for each, empty, on a Unix socket, configured as Windsock's private one:"
        " `appendonly yes`, `appendfsync everysec`, `noeviction`, no snapshots\n"
        f"- {'; '.join(f'{one.name}: {one.what}' for one in contestants)}\n"
    )


def main() -> None:
    """All rows, then the table."""
    given = options()
    scale = QUICK if given.quick else FULL
    contestants = [one for one in CONTESTANTS if not given.only or one.name in given.only.split(",")]
    rows = given.row.split(",") if given.row else [row for row in ROWS if not (given.quick and row in NOT_QUICK)]
    make_room()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started ends too
    report = head(contestants, busy(), scale)
    cells: dict[tuple[str, str], float | str] = {}
    began = time.monotonic()
    with Folder() as folder:
        for row in ROWS:
            if row in rows:
                cells |= all_of(row, contestants, folder, scale)
    say(f"done in {time.monotonic() - began:.0f} s")
    print(report, figures([one.name for one in contestants], cells), sep="\n", end="")


if __name__ == "__main__":
    main()
