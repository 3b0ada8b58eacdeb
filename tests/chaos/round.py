"""One round: jobs, readers, one fault in the middle, and at the end the accounts of all of them compared."""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from chaos.audit import Audit
from chaos.faults import FAULTS
from chaos.house import House
from chaos.reader import Reader

JOBS, LATE, CANCELLED = 60, 5, 5
AFTER_S = 20.0  # all ends are told this long after the fault is mended


@dataclass
class Outcome:
    """What came of a round."""

    number: int
    fault: str
    detail: str = ""
    took_s: float = 0.0
    settled_s: float = 0.0  # from the mended fault to the last end told
    live: int = 0  # jobs that had not ended when the fault began
    jobs: int = 0
    ends: int = 0  # told, over all readers
    entries: int = 0  # log entries told, over all readers
    states: dict[str, int] = field(default_factory=dict)
    again: int = 0  # jobs with more than one attempt
    losses: int = 0
    resumes: int = 0
    gaps: int = 0
    settled: bool = False  # the accounts could be compared: the house is as good as new
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        """For the terminal."""
        states = " ".join(f"{state} {count}" for state, count in sorted(self.states.items()))
        return (
            f"round {self.number} {self.fault} ({self.detail}): {self.took_s:.1f} s, settled in {self.settled_s:.1f}; "
            f"{self.live} live of {self.jobs}: {states}; again {self.again}, losses {self.losses}, "
            f"resumes {self.resumes}, gaps {self.gaps}: {'FAILED' if self.problems else 'ok'}"
        )


def _wish(rng: random.Random, tag: str, index: int) -> dict[str, Any]:
    count, pause_s = rng.randint(25, 45), rng.uniform(0.025, 0.05)
    args: dict[str, Any] = {"count": count, "pause_s": round(pause_s, 3)}
    if index % 18 == 0:
        return {"task": "lines_in_thread", "args": args, "tags": [tag], "max_attempts": 5}
    if index % 9 == 1:
        args |= {
            "width": 900,
            "burst": 15,
            "count": 15 * rng.randint(5, 10),
            "pause_s": round(4 * pause_s, 3),
        }  # announced without their entries
    elif index % 9 == 2:
        args |= {"filler": rng.choice([7_000, 9_000, 40_000])}  # results that travel, are read, stay away
    elif index % 9 == 3:
        args |= {"fails": True}
    elif index % 9 == 4:
        args |= {"burst": 50, "count": 50 * rng.randint(5, 12), "pause_s": round(4 * pause_s, 3)}
    return {"task": "lines", "args": args, "tags": [tag], "max_attempts": 1 if index % 9 == 5 else 5}


class Round:
    """Runs one."""

    def __init__(self, house: House, seed: int, number: int, fault: str) -> None:
        self.rng = random.Random(f"{seed}:{number}")
        self.outcome = Outcome(number, fault)
        self._house = house
        self._tag = f"round-{seed}-{number}"
        self._known: list[str] = []
        self.readers = [
            self._reader(f"{codec}@{node.name}", codec, [node.name])
            for node in house.nodes
            for codec in ("json", "msgpack")
        ]
        hopper = self._reader("hopper", self.rng.choice(["json", "msgpack"]), [node.name for node in house.nodes])
        hopper.hop_s = 0.4
        self.readers.append(hopper)

    def _reader(self, name: str, codec: str, nodes: list[str]) -> Reader:
        rng = random.Random(self.rng.random())
        return Reader(name, codec, lambda: self._house.stream_url(rng.choice(nodes)), self._tag, rng)

    async def run(self) -> Outcome:
        """The whole round."""
        began = time.monotonic()
        try:
            await self._play()
        except TimeoutError:
            self.outcome.problems.append("stuck: a step took too long")
        finally:
            for reader in self.readers:
                await reader.stop()
        self.outcome.took_s = time.monotonic() - began
        self.outcome.problems += [f"said: {line}" for line in self._house.faults()]
        return self.outcome

    async def _play(self) -> None:
        await self._submit()
        for reader in self.readers:
            await reader.watch(self._known)
            reader.start()
        await asyncio.sleep(self.rng.uniform(0.1, 0.45))
        self.outcome.live = await self._live()
        side = asyncio.gather(self._submit_late(), self._cancel_some())
        self.outcome.detail = await FAULTS[self.outcome.fault](self._house, self.rng)
        mended = time.monotonic()
        await side
        await self._house.all_ready()
        audit = Audit(self._house, self._tag, self.readers, self.outcome)
        if await self._until_told(audit):
            self.outcome.settled_s = time.monotonic() - mended
            await audit.compare()
            self.outcome.settled = True
        audit.count()

    async def _submit(self) -> None:
        wishes = [_wish(self.rng, self._tag, index) for index in range(JOBS)]
        nodes = [self.rng.choice(self._house.nodes).name for _ in wishes]
        asked = [self._house.ask(node, "POST", "/api/jobs", wish) for node, wish in zip(nodes, wishes, strict=True)]
        for status, job in await asyncio.gather(*asked):
            assert status == 202, job
            self._known.append(job["id"])

    async def _live(self) -> int:
        _, body = await self._house.ask(self._house.nodes[0].name, "GET", f"/api/jobs?tag={self._tag}&limit=1")
        return sum(count for state, count in body["counts"].items() if state in ("scheduled", "queued", "running"))

    async def _submit_late(self) -> None:
        """While the fault is on; who gets no answer submits again, so there may be more jobs than were meant."""
        for _ in range(LATE):
            await asyncio.sleep(self.rng.uniform(0, 0.3))
            await self._submit_one(_wish(self.rng, self._tag, self.rng.randint(0, 17)))

    async def _submit_one(self, wish: dict[str, Any]) -> None:
        async with asyncio.timeout(AFTER_S):
            while True:
                node = self.rng.choice(self._house.nodes).name
                with suppress(OSError, aiohttp.ClientError, TimeoutError):
                    status, job = await self._house.ask(node, "POST", "/api/jobs", wish)
                    if status == 202:
                        break
                    if status != 503:
                        self.outcome.problems.append(f"http: a submit was answered with {status} {job}")
                await asyncio.sleep(0.1)
        for reader in self.readers:
            await reader.watch([job["id"]])

    async def _cancel_some(self) -> None:
        for job_id in self.rng.sample(self._known, CANCELLED):
            await asyncio.sleep(self.rng.uniform(0, 0.4))
            node = self.rng.choice(self._house.nodes).name
            with suppress(OSError, aiohttp.ClientError, TimeoutError):
                status, body = await self._house.ask(node, "POST", f"/api/jobs/{job_id}/cancel")
                if status not in (202, 409, 503):
                    self.outcome.problems.append(f"http: a cancel was answered with {status} {body}")

    async def _until_told(self, audit: Audit) -> bool:
        """Until every reader knows every end: also of jobs whose submit was stored and not answered."""
        deadline = time.monotonic() + AFTER_S
        while time.monotonic() < deadline:
            listed = await audit.list_jobs()
            for reader in self.readers:
                await reader.watch(list(listed))
            await self._until_all_told(deadline)
            if set(await audit.list_jobs()) == set(listed) and not any(reader.owed for reader in self.readers):
                return True
        for reader in self.readers:
            for heard in reader.owed:
                what = f"no end of {heard.job_id} within {AFTER_S:g} s: phase {heard.phase}, cursor {heard.cursor}"
                stored = f"stale {reader.ledger.stale}; the store has {await audit.state_of(heard.job_id)}"
                self.outcome.problems.append(f"end lost: {reader.ledger.name}: {what}, {stored}")
        return False

    async def _until_all_told(self, deadline: float) -> None:
        while time.monotonic() < deadline and any(reader.owed for reader in self.readers):
            await asyncio.sleep(0.02)
