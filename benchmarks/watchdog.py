"""What it costs to watch the loop: the same server with a watchdog that looks (block_s 0.2) and one that hardly does.

    .venv/bin/python benchmarks/watchdog.py [--rounds N]

The two take turns, and what is compared is the CPU time of the process, which another program beside it disturbs less
than it does the clock. Prints a table in Markdown.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
import urllib.request

from processes import TASKS, Folder, Http, Process

JOBS = 5000
IDLE_S = 5.0
KINDS = {"looks every 50 ms": "0.2", "hardly looks": "100000"}


def serve(folder: str, block_s: str) -> Process:
    """A server with its private Redis in `folder`."""
    words = ("--tasks", TASKS, "--data-dir", folder, "--port", "0", "--drain", "0")
    return Process("serve", *words, WINDSOCK_BLOCK_S=block_s)


def left(url: str) -> int:
    """Jobs that have not ended."""
    with urllib.request.urlopen(f"{url}/api/jobs?limit=1") as answer:
        counts = json.load(answer)["counts"]
    return sum(counts[state] for state in ("queued", "running", "scheduled", "cancelling"))


async def drain(server: Process) -> tuple[float, float]:
    """CPU microseconds of the server for each of many no-ops from submit to end, and how many a second ended."""
    http = await Http(server.url).open()
    body = json.dumps([{"task": "noop"}] * 1000).encode()
    cpu_s, since = server.cpu_s(), time.perf_counter()
    for _ in range(JOBS // 1000):
        await http.post("/api/jobs", body)
    while left(server.url):
        await asyncio.sleep(0.05)
    seconds = time.perf_counter() - since
    http.close()
    return (server.cpu_s() - cpu_s) / JOBS * 1e6, JOBS / seconds


def idle(server: Process) -> float:
    """CPU of a server with nothing to do, in milliseconds a second."""
    cpu_s = server.cpu_s()
    time.sleep(IDLE_S)
    return (server.cpu_s() - cpu_s) / IDLE_S * 1000


def measure(rounds: int) -> dict[str, list[tuple[float, float, float]]]:
    """Figures of each kind, round by round."""
    found: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in KINDS}
    for number in range(rounds):
        for kind in sorted(KINDS, reverse=number % 2 == 1):
            with Folder() as folder:
                server = serve(folder, KINDS[kind])
                try:
                    asyncio.run(drain(server))  # warm
                    cpu_us, rate = asyncio.run(drain(server))
                    found[kind].append((cpu_us, rate, idle(server)))
                finally:
                    server.stop()
    return found


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    found = measure(parser.parse_args().rounds)
    load = os.getloadavg()[0]
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {load:.1f}, {JOBS} no-ops; medians\n")
    print("| the watchdog | server CPU per job, µs | jobs/s | idle, ms of CPU a second |\n|---|---|---|---|")
    for kind, rows in found.items():
        cpu_us, rate, idle_ms = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {kind} | {cpu_us:.0f} | {rate:,.0f} | {idle_ms:.1f} |")


if __name__ == "__main__":
    main()
