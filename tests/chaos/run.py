"""The long run: `python -m chaos.run --rounds 1000`. One line a round, a table at the end, status 1 if one failed.

A round is told by its seed and number: `--seed 7 --first 12 --rounds 1` plays number 12 again: the same fault with the
same choices. When bytes and signals arrive is never the same twice.
"""

import argparse
import asyncio
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

from chaos.faults import FAULTS
from chaos.house import House
from chaos.round import Outcome, Round

# On a slow disk Redis postpones its writes, and kill -9 at that moment may lose some.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def fault_of(seed: int, number: int, kinds: list[str]) -> str:
    """Each kind once in a row of as many rounds as there are kinds, in an order of its own."""
    row, index = divmod(number - 1, len(kinds))
    return random.Random(f"{seed}/{row}").sample(kinds, len(kinds))[index]


def by_kind(problems: list[str]) -> dict[str, list[str]]:
    """Problems by what stands before their first colon."""
    found: dict[str, list[str]] = {}
    for problem in problems:
        found.setdefault(problem.partition(":")[0], []).append(problem)
    return found


class Run:
    """Plays rounds in one house; after one that did not come to its end in a new one, and the old one's files stay."""

    def __init__(self, seed: int, kinds: list[str]) -> None:
        self.seed = seed
        self.outcomes: list[Outcome] = []
        self._kinds = kinds
        self._house: House | None = None

    async def play(self, first: int, rounds: int, until: float) -> None:
        """So many rounds, or until this monotonic time."""
        try:
            for number in range(first, first + rounds):
                if time.monotonic() > until:
                    return
                await self._play(number)
        finally:
            if self._house is not None:
                await self._house.stop()
                shutil.rmtree(self._house.folder, ignore_errors=True)

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
        if not outcome.settled:
            print(f"  ! files in {self._house.folder}", flush=True)
            await self._house.stop()
            self._house = None

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
            f"{sum(one.gaps for one in done)} gaps; slowest {max((one.settled_s for one in done), default=0):.1f} s"
        )
        kinds = Counter(kind for one in done for kind in by_kind(one.problems))
        lines += [f"rounds with the problem {kind!r}: {count}" for kind, count in sorted(kinds.items())]
        return "\n".join(lines)


async def _main(options: argparse.Namespace) -> int:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    kinds = [name for name in FAULTS if not options.fault or name in options.fault]
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
