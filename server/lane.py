"""The slots of a worker for one kind of task."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from server.registry import Kind, Registry, Task
from server.settings import Settings


class Lane:
    """The slots for one kind of task."""

    def __init__(self, kind: Kind, slots: int, tasks: Sequence[Task], queues: Sequence[str]) -> None:
        self.kind = kind
        self.slots = slots
        self.tasks = [task.name for task in tasks]
        self.limits = {task.name: task.limit.most for task in tasks if task.limit is not None}  # jobs at once
        self.busy = 0  # slots taken
        self.asked = 0  # slots that a claim under way may take
        self.waiting = 0  # jobs that gave up their slot to wait for their children
        self.returning: deque[tuple[Seat, asyncio.Future[None]]] = deque()  # those that want one again
        self.hungry = True  # there may be jobs for it
        self.claiming = False  # a claim is under way or about to be
        text = "|".join([kind.value, ",".join(queues), ",".join(sorted(self.tasks))])
        self.signature = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]

    @property
    def free(self) -> int:
        """Slots not taken."""
        return self.slots - self.busy - self.asked

    @property
    def rests(self) -> bool:
        """Whether nothing runs, and the store has noted it as idle."""
        return not (self.busy or self.asked or self.waiting or self.hungry or self.claiming)

    def pairs(self, queues: Sequence[str]) -> list[str]:
        """QUEUE/TASK for all that it takes from these queues."""
        return [f"{queue}/{task}" for queue in queues for task in self.tasks]

    def readmit(self) -> None:
        """Who wants its slot again has it before any job that is to begin."""
        while self.returning and self.free > 0:
            seat, admitted = self.returning.popleft()
            if not admitted.done():
                seat.take()
                admitted.set_result(None)

    def describe(self) -> dict[str, Any]:
        """Slots and jobs, for the list of nodes."""
        return {"slots": self.slots, "running": self.busy, "waiting": self.waiting, "tasks": self.tasks}


class Seat:
    """The slot of one attempt, which it has from the start and gives up while it waits for its children."""

    __slots__ = ("_lane", "_on_free", "taken")

    def __init__(self, lane: Lane, on_free: "Callable[[Lane], None]") -> None:
        self._lane = lane
        self._on_free = on_free
        self.taken = True

    def leave(self) -> None:
        """Let another job have it."""
        if self.taken:
            self.taken = False
            self._lane.busy -= 1
            self._lane.waiting += 1
            self._on_free(self._lane)

    def take(self) -> None:
        """Have it again, free or not."""
        if not self.taken:
            self.taken = True
            self._lane.busy += 1
            self._lane.waiting -= 1

    async def back(self) -> None:
        """Have it again; waits until there is one."""
        if self._lane.free > 0 and not self._lane.returning:
            self.take()
        if not self.taken:
            admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._lane.returning.append((self, admitted))
            self._lane.readmit()
            await admitted


def make_lanes(registry: Registry, settings: Settings) -> list[Lane]:
    """The lanes of a worker: one for each kind of task that it knows and has slots for."""
    slots = {Kind.COROUTINE: settings.slots, Kind.THREAD: settings.threads, Kind.PROCESS: settings.processes}
    tasks = {kind: [task for task in registry if task.kind is kind] for kind in Kind}
    return [Lane(kind, slots[kind], tasks[kind], settings.queues) for kind in Kind if slots[kind] and tasks[kind]]


def served(registry: Registry, settings: Settings) -> list[str]:
    """The names of the tasks that a worker has slots for."""
    return [task for lane in make_lanes(registry, settings) for task in lane.tasks]


def describe_lanes(lanes: Sequence[Lane]) -> dict[str, Any]:
    """Slots and jobs of a worker, for the list of nodes."""
    return {
        "running": sum(lane.busy for lane in lanes),
        "waiting": sum(lane.waiting for lane in lanes),
        "lanes": {lane.kind.value: lane.describe() for lane in lanes},
    }
