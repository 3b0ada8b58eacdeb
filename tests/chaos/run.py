"""The long run: `python -m chaos.run --rounds 1000`. One line a round, a table at the end, status 1 if one failed.

Every fifty rounds a line tells how many failed so far, and what the processes hold: memory, open files.

A round is told by its seed and number: `--seed 7 --first 12 --rounds 1` plays number 12 again: the same fault with the
same choices. When bytes and signals arrive is never the same twice.
"""

import argparse
import asyncio
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from chaos.faults import FAULTS
from chaos.house import House
from chaos.round import Outcome, Round

PULSE_ROUNDS = 50
SHOWN_FAILURES = 20
# On a slow disk Redis postpones its writes, and kill -9 at that moment may lose some.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def fault_of(seed: int, number: int, kinds: list[str]) -> str:
    """Each kind once in a row of as many rounds as there are kinds, in an order of its own."""
    row, index = divmod(number - 1, len(kinds))
    return random.Random(f"{seed}/{row}").sample(kinds, len(kinds))[index]


def pulse(house: House | None) -> str:
    """What this process and those of the house hold now."""
    children = [] if house is None else [(child.name, child.pid) for child in (*house.ours, house.redis)]
    told = []
    for name, pid in [("driver", os.getpid()), *children]:
        process = psutil.Process(pid)
        told.append(f"{name} {process.memory_info().rss / 2**20:.0f} MiB {process.num_fds()} files")
    return f"{', '.join(told)}; {len(asyncio.all_tasks())} tasks in the driver"


def by_kind(problems: list[str]) -> dict[str, list[str]]:
    """Problems by what stands before their first colon."""
    found: dict[str, list[str]] = {}
    for problem in problems:
        found.setdefault(problem.partition(":")[0], []).append(problem)
    return found


class Run:
    """Plays rounds in one house; after one that did not come to its end in a new one. Logs of failed rounds stay."""

    def __init__(self, seed: int, kinds: list[str]) -> None:
        self.seed = seed
        self.outcomes: list[Outcome] = []
        self._kinds = kinds
        self._house: House | None = None
        self.failed: list[int] = []  # numbers of rounds
        self._kept = Path(tempfile.gettempdir()) / f"windsock-chaos-{seed}-{os.getpid()}"  # logs of failed rounds

    async def play(self, first: int, rounds: int, until: float) -> None:
        """So many rounds, or until this monotonic time."""
        try:
            for number in range(first, first + rounds):
                if time.monotonic() > until:
                    return
                await self._play(number)
        finally:
            if self._house is not None:
                await self._leave(self._house)

    async def _play(self, number: int) -> None:
        if self._house is None:
            folder = tempfile.mkdtemp(prefix="windsock-chaos-", dir=MEMORY)
            self._house = House(Path(folder))
            await self._house.start()
        outcome = await Round(self._house, self.seed, number, fault_of(self.seed, number, self._kinds)).run()
        self.outcomes.append(outcome)
        print(f"seed {self.seed} {outcome.line()}", flush=True)
        for kind, problems in by_kind(outcome.problems).items():
            for problem in problems[:3]:
                print(f"  ! {problem}", flush=True)
            print(f"  ! {kind}: {len(problems)}", flush=True)
        if outcome.problems:
            self.failed.append(number)
            await self._put_by(self._house, number, outcome)
        else:
            self._house.sweep()
        if len(self.outcomes) % PULSE_ROUNDS == 0:
            print(f"after {len(self.outcomes)} rounds {len(self.failed)} failed; {pulse(self._house)}", flush=True)

    async def _put_by(self, house: House, number: int, outcome: Outcome) -> None:
        """Keep what was said; where the accounts could not even be compared, the next round has a new house."""
        kept = self._kept / f"round-{number}"
        house.put_by(kept)
        print(f"  ! files in {kept}", flush=True)
        if not outcome.settled:
            self._house = None
            await self._leave(house)

    async def _leave(self, house: House) -> None:
        await house.stop()
        shutil.rmtree(house.folder, ignore_errors=True)

    def table(self) -> str:
        """Rounds by fault."""
        rounds = Counter(outcome.fault for outcome in self.outcomes)
        failed = Counter(outcome.fault for outcome in self.outcomes if outcome.problems)
        lines = [f"{kind:22} {rounds[kind]:5} rounds {failed[kind]:5} failed" for kind in sorted(rounds)]
        done = self.outcomes
        lines.append(
            f"{'all':22} {len(done):5} rounds {sum(failed.values()):5} failed; {sum(one.jobs for one in done)} jobs, "
            f"{sum(one.ends for one in done)} ends and {sum(one.entries for one in done)} log entries told, "
            f"{sum(one.losses for one in done)} connections lost, {sum(one.resumes for one in done)} resumes, "
            f"{sum(one.gaps for one in done)} gaps"
        )
        if done:
            mean_s, slowest_s = sum(one.took_s for one in done) / len(done), max(one.settled_s for one in done)
            lines.append(
                f"{mean_s:.2f} s a round; the slowest had all told {slowest_s:.1f} s after its fault was mended"
            )
        kinds = Counter(kind for one in done for kind in by_kind(one.problems))
        lines += [f"rounds with the problem {kind!r}: {count}" for kind, count in sorted(kinds.items())]
        lines += [f"again: {self._again(number)}" for number in self.failed[:SHOWN_FAILURES]]
        return "\n".join(lines)

    def _again(self, number: int) -> str:
        """The command that plays a round again."""
        words = [sys.executable, "-m", "chaos.run", "--seed", str(self.seed), "--first", str(number), "--rounds", "1"]
        few = [] if len(self._kinds) == len(FAULTS) else [word for kind in self._kinds for word in ("--fault", kind)]
        return "PYTHONPATH=tests:. " + shlex.join([*words, *few])


async def _main(options: argparse.Namespace) -> int:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    kinds = [name for name in FAULTS if not options.fault or name in options.fault]
    print(f"seed {options.seed}, {len(kinds)} kinds of fault, round {options.first} first", flush=True)
    run = Run(options.seed, kinds)
    try:
        await run.play(options.first, options.rounds, time.monotonic() + options.seconds)
    except asyncio.CancelledError:
        print("interrupted")
        print(run.table())
        return 130
    print(run.table())
    return 1 if any(outcome.problems for outcome in run.outcomes) else 0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=1, help="number of the first round")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--fault", action="append", choices=list(FAULTS), help="only these; may be repeated")
    raise SystemExit(asyncio.run(_main(parser.parse_args())))


if __name__ == "__main__":
    main()
