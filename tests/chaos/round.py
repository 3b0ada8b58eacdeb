"""One round: jobs, readers, one fault in the middle, and at the end the accounts of all of them compared."""

import asyncio
import random
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from chaos.audit import Audit
from chaos.events import EventsReader
from chaos.faults import FAULTS, FORGETFUL
from chaos.house import House
from chaos.reader import Ledger, Reader

JOBS, LATE, CANCELLED = 60, 5, 5
LIVE = 50  # jobs at least that have not ended when the fault begins
FILL_UPS = 5
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
    unknown: int = 0  # jobs that the store lost and that somebody was told of as unknown
    settled: bool = False  # the accounts could be compared: the house is as good as new
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        """For the terminal."""
        states = " ".join(f"{state} {count}" for state, count in sorted(self.states.items()))
        return (
            f"round {self.number} {self.fault} ({self.detail}): {self.took_s:.1f} s, settled in {self.settled_s:.1f}; "
            f"{self.live} live of {self.jobs}: {states}; again {self.again}, losses {self.losses}, "
            f"resumes {self.resumes}, gaps {self.gaps}, unknown {self.unknown}: {'FAILED' if self.problems else 'ok'}"
        )


def _wish(rng: random.Random, tag: str, index: int, longer: int = 1) -> dict[str, Any]:
    """A job; `longer`: it takes so many times as long."""
    count, pause_s = rng.randint(25, 40), longer * rng.uniform(0.025, 0.045)
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
    elif index % 9 == 7:
        return {"task": "lines_of_family", "args": args, "tags": [tag], "max_attempts": 5}
    elif index % 9 == 6:
        return {"task": "lines", "args": args, "tags": [tag], "max_attempts": 5, "delay_s": round(rng.random(), 3)}
    return {"task": "lines", "args": args, "tags": [tag], "max_attempts": 1 if index % 9 == 5 else 5}


class Round:
    """Runs one."""

    def __init__(self, house: House, seed: int, number: int, fault: str) -> None:
        self.rng = random.Random(f"{seed}:{number}")
        self.outcome = Outcome(number, fault)
        self._house = house
        self._tag = f"round-{seed}-{number}"
        self._known: list[str] = []
        self.sockets = [
            self._reader(f"{codec}@{node.name}", codec, [node.name])
            for node in house.nodes
            for codec in ("json", "msgpack")
        ]
        everywhere = [node.name for node in house.nodes]
        hopper = self._reader("hopper", self.rng.choice(["json", "msgpack"]), everywhere)
        hopper.hop_s = 0.4
        self.sockets.append(hopper)
        events = [self._events_reader(kind, everywhere) for kind in ("sse", "ndjson")]
        self.readers: list[Reader | EventsReader] = [*self.sockets, *events]

    def _ledger(self, name: str) -> Ledger:
        return Ledger(name, forgets=self.outcome.fault in FORGETFUL)

    def _reader(self, name: str, codec: str, nodes: list[str]) -> Reader:
        rng = random.Random(self.rng.random())
        return Reader(self._ledger(name), codec, lambda: self._house.proxied_url(rng.choice(nodes)), self._tag, rng)

    def _events_reader(self, kind: str, nodes: list[str]) -> EventsReader:
        rng = random.Random(self.rng.random())
        return EventsReader(self._ledger(kind), kind, lambda: self._house.proxied_url(rng.choice(nodes)), rng)

    async def run(self) -> Outcome:
        """The whole round."""
        began = time.monotonic()
        try:
            await self._play()
        except TimeoutError:
            self.outcome.problems.append("stuck: a step took too long")
        except Exception as error:  # a thousand rounds do not end with the first surprise
            self.outcome.problems.append(f"stuck: {error!r} at {traceback.extract_tb(error.__traceback__)[-1]}")
        finally:
            for reader in self.readers:
                await reader.stop()
        self.outcome.took_s = time.monotonic() - began
        self.outcome.problems += [f"said: {line}" for line in self._house.faults()]
        return self.outcome

    async def _play(self) -> None:
        await self._submit(JOBS)
        for reader in self.readers:
            await reader.watch(self._known)
            reader.start()
        await asyncio.sleep(self.rng.uniform(0.1, 0.45))
        await self._fill_up()
        side = asyncio.gather(self._submit_late(), self._cancel_some())
        self.outcome.detail = await FAULTS[self.outcome.fault](self._house, self.rng)
        mended = time.monotonic()
        await side
        await self._house.all_ready()
        audit = Audit(self._house, self._tag, self, self.outcome)
        if await self._until_told(audit):
            self.outcome.settled_s = time.monotonic() - mended
            await audit.compare()
            self.outcome.settled = True
        audit.count()

    async def _fill_up(self) -> None:
        """On a busy machine some have ended already: the fault meets enough of them all the same."""
        for number in range(FILL_UPS):
            self.outcome.live = await self._live()
            if self.outcome.live >= LIVE:
                return
            await self._submit(JOBS - self.outcome.live, longer=number + 2)  # the busier, the longer they have to last
            for reader in self.readers:
                await reader.watch(self._known)
        self.outcome.problems.append(f"live: only {self.outcome.live} jobs were live when the fault began")

    async def _submit(self, count: int, longer: int = 1) -> None:
        wishes = [_wish(self.rng, self._tag, index, longer) for index in range(count)]
        nodes = [self.rng.choice(self._house.nodes).name for _ in wishes]
        asked = [self._house.ask(node, "POST", "/api/jobs", wish) for node, wish in zip(nodes, wishes, strict=True)]
        for status, job in await asyncio.gather(*asked):
            assert status == 202, job
            self._known.append(job["id"])

    async def _live(self) -> int:
        async with asyncio.timeout(AFTER_S):
            while True:
                where = f"/api/jobs?tag={self._tag}&limit=1"
                status, body = await self._house.ask(self._house.nodes[0].name, "GET", where)
                if status == 200:
                    break
                await asyncio.sleep(0.1)  # on a machine that busy a node takes Redis to be away
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
                if status not in (202, 409, 503, *((404,) if self.outcome.fault in FORGETFUL else ())):
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
