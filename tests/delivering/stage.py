"""What jobs do: a task that says and ends what a test wants, and an account of what it has said."""

import asyncio
from collections import defaultdict
from typing import Any

from server.registry import Registry
from windsock import Progress, task


class Act:
    """One attempt at a job, while its function runs."""

    def __init__(self, number: int, progress: Progress) -> None:
        self.number = number
        self.progress = progress
        self.end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.said = 0


class Stage:
    """Owns the attempts that run, and what was ever said at which offset."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.written: defaultdict[tuple[str, int], list[Any]] = defaultdict(list)
        self.given_up: defaultdict[str, int] = defaultdict(int)  # offsets up to here ran over at some time, by job
        self._count = 0
        self.registry = Registry()
        stage = self

        @task(max_attempts=9)
        async def scripted(progress: Progress) -> Any:
            return await stage._run(progress)

        self.registry.add_functions([scripted])

    async def _run(self, progress: Progress) -> Any:
        self._count += 1
        act = Act(self._count, progress)
        self.acts.append(act)
        try:
            return await act.end
        finally:
            self.acts.remove(act)

    def say(self, act: Act, count: int, size: int, *, emit: bool = False) -> None:
        """Log lines, or emit values, of about `size` bytes each."""
        for _ in range(count):
            act.said += 1
            text = f"act {act.number} line {act.said} {'.' * size}"
            value: Any = {"value": text} if emit else text
            self.written[act.progress.job_id, act.progress.next_offset].append(value)
            before, _ = act.progress.unsent(0)
            if emit:
                act.progress.emit(value)
            else:
                act.progress.log(text)
            first, _ = act.progress.unsent(0)
            if first > before:
                self.given_up[act.progress.job_id] = max(self.given_up[act.progress.job_id], first - 1)


def told(entry: dict[str, Any]) -> Any:
    """What an entry of the wire says, as `written` has it."""
    return entry["value"] if "value" in entry else entry["text"]
