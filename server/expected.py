"""When a waiting job should start: from its place, the slots that serve it, and how long its task takes. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots that serve a task."""

    all: int
    free: int  # of these

    def under(self, limit: int | None) -> "Slots":
        """What a limit leaves of them; how many it has let in is not known, so none counts as free."""
        return self if limit is None else Slots(min(self.all, limit), 0)


def slots_for(task: str, queue: str, nodes: Iterable[Mapping[str, Any]]) -> Slots:
    """The slots of all workers that take jobs of a task from a queue.

    Args:
        nodes: as they describe themselves.
    """
    slots = free = 0
    for node in nodes:
        worker = node.get("worker")
        if not worker or node.get("draining") or not {"*", queue} & set(worker["queues"]):
            continue
        for lane in worker["lanes"].values():
            if task in lane["tasks"]:
                slots += lane["slots"]
                free += max(0, lane["slots"] - lane["running"])
    return Slots(slots, free)


def start_in_s(position: int, slots: Slots, usual_s: float | None) -> float | None:
    """Seconds until a job should start; None where that cannot be known.

    As if the slots were for this task alone: jobs of others may come between.

    Args:
        position: how many jobs are before it.
        usual_s: how long a job of its task takes on average; None while too few have run.
    """
    if not slots.all:
        return None
    before = position + 1 - slots.free  # that many jobs must have ended first
    if before <= 0:
        return 0.0
    if usual_s is None:
        return None
    seconds = (before - 0.5) * usual_s / slots.all  # those that run are half way on average
    return round(seconds, 1) if seconds < 10 else float(round(seconds))
