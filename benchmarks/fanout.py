"""Fan-out of Windsock and of its peers, in one run: server CPU for each delivered update, latency, idle connections.

The server is alone on the first core; clients, publishers, workers and Redis are on the others. A scenario is asked of
all contestants, one after the other, before the next begins, so that a noisy minute hits neighbours alike. Ends by
itself; loopback only. The report goes to stdout as Markdown, progress to stderr.
"""

import argparse
import os
import platform
import resource
import signal
import subprocess
import sys
import time

from fanout_measure import Contestant, FanOut, Idle, fan_out, idle
from fanout_peers import PEERS_KNOWN, Missing, versions
from fanout_running import CORES, PINNED, cores_cpu_s
from fanout_scenarios import QUICK, SCENARIOS, Scenario
from fanout_table import Cell, fan_out_table, idle_table
from fanout_windsock import Windsock
from processes import Folder

CONTESTANTS: dict[str, Contestant] = {one.name: one for one in (Windsock(), *PEERS_KNOWN)}
MEASURE_S, QUICK_S = 6.0, 2.0
LOOK_S, QUIET = 3.0, 0.05


def say(words: str) -> None:
    """Progress, beside the report."""
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)


def measure(contestant: Contestant, scenario: Scenario, folder: str, seconds: float) -> Cell:
    """A cell, or why there is none."""
    try:
        cell = fan_out(contestant, scenario, folder, seconds) if scenario.rate else idle(contestant, scenario, folder)
    except Missing as missing:
        say(f"*** {contestant.name} IS SKIPPED: {missing} ***")
        return f"skipped: {missing}"
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        say(f"*** {contestant.name} FAILED: {error} ***")
        return f"failed: {' '.join(str(error).split())}"[:120]
    say(f"  {contestant.name}: {shown(cell)}")
    return cell


def shown(cell: FanOut | Idle) -> str:
    """A cell in a line of progress."""
    if isinstance(cell, FanOut):
        return f"{cell.cpu_us:.2f} µs, {cell.p50_ms:.1f} / {cell.p99_ms:.1f} ms, {cell.updates_s:,.0f}/s"
    return f"{cell.memory_kib:.1f} KiB, {cell.handshakes_s:,.0f} handshakes/s"


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three scenarios, 2 s each; under three minutes")
    parser.add_argument("--only", metavar="NAMES", help=f"some of {','.join(CONTESTANTS)}")
    parser.add_argument("--scenario", metavar="NAMES", help=f"some of {','.join(one.name for one in SCENARIOS)}")
    given = parser.parse_args()
    for names, known in ((given.only, set(CONTESTANTS)), (given.scenario, {one.name for one in SCENARIOS})):
        if unknown := set((names or "").split(",")) - known - {""}:
            parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return given


def chosen(given: argparse.Namespace) -> tuple[list[Contestant], list[Scenario]]:
    """Who is measured, and in what."""
    known = QUICK if given.quick and not given.scenario else SCENARIOS
    contestants = [one for name, one in CONTESTANTS.items() if not given.only or name in given.only.split(",")]
    return contestants, [one for one in known if not given.scenario or one.name in given.scenario.split(",")]


def make_room() -> None:
    """As many open files as are allowed, for the servers too; this process goes where the clients are."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if PINNED:
        os.sched_setaffinity(0, CORES[1:])
    else:
        say("*** one core only: clients and server disturb each other ***")


def busy() -> float:
    """The part of all cores that somebody else keeps busy, before anything is started."""
    before = cores_cpu_s(CORES)
    time.sleep(LOOK_S)
    found = (cores_cpu_s(CORES) - before) / LOOK_S / len(CORES)
    if found > QUIET:
        say(f"*** others keep {found:.0%} of this machine busy: latencies mean little, CPU times are too high ***")
    return found


def head(contestants: list[Contestant], others: float) -> str:
    """What stands above the tables."""
    return (
        "# Fan-out against peers: one run\n\n"
        "What was done, and what the columns mean: [README.md](README.md).\n\n"
        f"- {time.strftime('%Y-%m-%d %H:%M')}, {platform.machine()}, {len(CORES)} cores; at first others kept them"
        f" {others:.0%} busy\n"
        f"- Python {platform.python_version()}, {versions()}\n"
        f"- {'; '.join(f'{one.name}: {one.what}' for one in contestants)}\n"
    )


def main() -> None:
    """All cells, then the report."""
    given = options()
    contestants, scenarios = chosen(given)
    make_room()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started ends too
    report = [head(contestants, busy())]
    seconds = QUICK_S if given.quick else MEASURE_S
    with Folder() as folder:
        for scenario in scenarios:
            say(scenario.title)
            cells = {one.name: measure(one, scenario, folder, seconds) for one in contestants}
            table = fan_out_table if scenario.rate else idle_table
            report.append(f"## {scenario.title}\n\n{table(cells)}")
    print("\n".join(report), end="")


if __name__ == "__main__":
    main()
