"""What progress calls cost inside steps and outside, and what a worker's look at its jobs costs each second.

`python benchmarks/steps.py` prints a table. All in one process and without Redis: what is measured are the calls that a
task makes, and the sweep that takes a worker's loop; what leaves with a report is measured by felt.py and queues.py.
"""

import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from server.broker import Lease
from server.job import Job, JobState
from server.pace import History
from server.progress import Progress
from server.voice import Voice

CALLS, ROUNDS = 100_000, 9
CLOCK = time.process_time  # the processor's, so that other programs count less


def cost_us(call: Callable[[], object], calls: int = CALLS) -> float:
    """Microseconds of one call: the best of some rounds, less those of a call of nothing."""
    nothing = min(timeit.repeat(lambda: None, timer=CLOCK, number=calls, repeat=ROUNDS))
    return (min(timeit.repeat(call, timer=CLOCK, number=calls, repeat=ROUNDS)) - nothing) / calls * 1e6


def quiet_progress() -> Progress:
    """A progress that has woken its runner already, as between two flushes."""
    progress = Progress("01J", 1, lambda: None)
    progress.update(0, 10**9)
    return progress


def calls(progress: Progress) -> dict[str, float]:
    """The calls that stand in hot loops."""
    return {
        "`update(n)`": cost_us(lambda: progress.update(5)),
        "`advance()`": cost_us(progress.advance),
        "an item of `track`": track_us(progress),
    }


def track_us(progress: Progress) -> float:
    """Microseconds for each item, the loop included."""

    def loop() -> None:
        for _ in progress.track(range(CALLS)):
            pass

    return min(timeit.repeat(loop, timer=CLOCK, number=1, repeat=ROUNDS)) / CALLS * 1e6


def one_step(progress: Progress) -> Callable[[], None]:
    """A step that does nothing."""

    def run() -> None:
        with progress.step("step"):
            pass

    return run


def look_us() -> float:
    """Microseconds for a worker to look at one silent job, whose task has a past."""
    job = Job(
        "01J", "task", "default", JobState.RUNNING, 1, 3, 0, (), 0, None, 0, None, 0, "node", None, (), None, "s", 0, 0
    )
    voice = Voice(Lease("01J", "token", 1, "task", {}, None, 0, job), quiet_progress(), lambda _: None)
    voice.history = History(range(50, 150))
    voice.report(65536, 1.0)
    now = [1.0]

    def look() -> None:
        now[0] += 1e-6
        voice.look(now[0])

    return cost_us(look, CALLS // 10)


def main() -> None:
    """Print the table."""
    rows = {"outside of steps": calls(quiet_progress())}
    stepped = quiet_progress()
    with stepped.step("outer"):
        rows["in a step"] = calls(stepped)
        with stepped.step("inner"), stepped.step("innermost"):
            rows["three steps deep"] = calls(stepped)
        others = {"a step, begun and ended": cost_us(one_step(stepped), CALLS // 10)}
    others["`checkpoint({'rows': n})`"] = cost_us(lambda: stepped.checkpoint({"rows": 5}), CALLS // 10)
    others["a worker's look at one job, once a second"] = look_us()
    names = list(rows["in a step"])
    print("| µs | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for where, costs in rows.items():
        print(f"| {where} | " + " | ".join(f"{costs[name]:.2f}" for name in names) + " |")
    print("\n| µs | |\n|---|---|")
    for what, cost in others.items():
        print(f"| {what} | {cost:.1f} |")


if __name__ == "__main__":
    main()
