"""Compares what the readers were told with each other and with what the server has."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from chaos.house import House
from chaos.reader import ENDED, Heard, Ledger

if TYPE_CHECKING:
    from chaos.round import Outcome, Round

SETTLE_S = 5.0  # for lists and links, after the last end
RETOLD = ("started_at", "finished_at", "updated_at", "cursor", "children")
AT_ONCE = 8  # jobs that are asked for
LINE = re.compile(r"(\S+) (\d+) (\d+)")
Job = dict[str, Any]


def _ended_unheld(ledger: Ledger, heard: Heard) -> bool:
    """Whether the end that was told may be lost: no worker held the job, so none tells it again."""
    return ledger.forgets and bool(heard.ends) and heard.ends[0]["job"]["started_at"] is None


def numbers(job_id: str, entries: Sequence[Any]) -> dict[int, list[int]]:
    """The numbers of the lines in a log by the attempt that wrote them.

    Raises:
        ValueError: a line that this job cannot have written.
    """
    found: dict[int, list[int]] = {}
    for entry in entries:
        text = entry["text"] if "text" in entry else entry["value"]["line"]
        match = LINE.match(text)
        if match is None or match[1] != job_id:
            raise ValueError(f"{job_id} has the line {text[:80]!r}")
        found.setdefault(int(match[2]), []).append(int(match[3]))
    return found


class Audit:
    """One round's."""

    def __init__(self, house: House, tag: str, played: "Round", outcome: "Outcome") -> None:
        self._house = house
        self._tag = tag
        self._readers = played.readers
        self._sockets = played.sockets
        self._outcome = outcome
        self._node = house.nodes[outcome.number % 2].name
        self._asking = asyncio.Semaphore(AT_ONCE)

    def _problem(self, kind: str, text: str) -> None:
        self._outcome.problems.append(f"{kind}: {text}")

    async def list_jobs(self) -> dict[str, Job]:
        """All jobs of the round, by id."""
        status, body = await self._house.ask(self._node, "GET", f"/api/jobs?tag={self._tag}&limit=500")
        if status != 200 or body["next"] is not None:
            self._problem("http", f"the list was answered with {status} {str(body)[:200]}")
            return {}
        self._counts = {state: count for state, count in body["counts"].items() if count}
        return {job["id"]: job for job in body["jobs"]}

    async def state_of(self, job_id: str) -> str:
        """In short, for a message."""
        status, job = await self._house.ask(self._node, "GET", f"/api/jobs/{job_id}")
        return f"{status} {job.get('state')} attempt {job.get('attempt')} {job.get('cursor')} on {job.get('node')}"

    def count(self) -> None:
        """The figures of the round."""
        outcome = self._outcome
        for reader in self._readers:
            outcome.problems += reader.ledger.problems
            outcome.losses += reader.losses
            for heard in reader.ledger.jobs.values():
                outcome.resumes += heard.resumes
                outcome.gaps += len(heard.gaps)
                outcome.ends += len(heard.ends)
                outcome.entries += len(heard.entries)
                if not (reader.ledger.forgets and all(why in ("lost", "reset") for _, _, why in heard.gaps)):
                    outcome.problems += [f"gap: {reader.ledger.name}: {heard.job_id}: {gap}" for gap in heard.gaps]
        outcome.unknown = len(
            {one for reader in self._readers for one, heard in reader.ledger.jobs.items() if heard.unknown}
        )

    async def compare(self) -> None:
        """Everything."""
        jobs = await self.list_jobs()
        self._outcome.jobs = len(jobs)
        for job in jobs.values():
            self._outcome.states[job["state"]] = self._outcome.states.get(job["state"], 0) + 1
            self._outcome.again += job["attempt"] > 1
        await asyncio.gather(*(self._compare_job(job_id) for job_id in jobs))
        self._compare_unknown(jobs)
        await self._settle("feeds agree with the list", lambda: self._feeds_agree(jobs))
        await self._settle("nobody is stale", lambda: not any(reader.ledger.stale for reader in self._sockets))
        await self._compare_rest()

    async def _settle(self, what: str, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SETTLE_S
        while not true():
            if time.monotonic() > deadline:
                self._problem("not settled", f"not within {SETTLE_S:g} s: {what}: {self._why}")
                return
            await asyncio.sleep(0.03)

    _why = ""

    def _feeds_agree(self, jobs: dict[str, Job]) -> bool:
        for reader in self._sockets:
            if reader.feed.jobs != jobs:
                odd = [one for one in {*jobs, *reader.feed.jobs} if reader.feed.jobs.get(one) != jobs.get(one)]
                seen = [(one, reader.feed.jobs.get(one), jobs.get(one)) for one in odd[:2]]
                self._why = f"{reader.ledger.name}: {len(odd)} jobs differ: {seen}"
                return False
            if reader.feed.counts != self._counts:
                self._why = f"{reader.ledger.name}: counts {reader.feed.counts}, the list has {self._counts}"
                return False
        return True

    async def _compare_job(self, job_id: str) -> None:
        async with self._asking:
            status, job = await self._house.ask(self._node, "GET", f"/api/jobs/{job_id}")
            again, page = await self._house.ask(self._node, "GET", f"/api/jobs/{job_id}/log?limit=10000")
        if (status, again) != (200, 200):
            self._problem("forgotten", f"{job_id} was in the list: job {status}, log {again}")
            return
        log = {entry["offset"]: {k: v for k, v in entry.items() if k != "offset"} for entry in page["entries"]}
        if job["state"] not in ENDED:
            self._problem("end differs", f"{job_id} is {job['state']} after its end was told")
        for reader in self._readers:
            heard = reader.ledger.jobs.get(job_id)
            if heard is not None and not _ended_unheld(reader.ledger, heard):
                self._compare_end(reader.ledger.name, heard, job)
                self._compare_log(reader.ledger.name, heard, log)
        entries = [log[offset] for offset in sorted(log)]
        if list(log) == list(range(1, len(log) + 1)):
            self._compare_lines(job, entries)
        elif not self._readers[0].ledger.forgets:
            self._problem("lines", f"{job_id}: the stored log has a hole: {sorted(log)}")

    def _compare_unknown(self, jobs: dict[str, Job]) -> None:
        """A job is unknown to all or to nobody; one whose end a worker told is not forgotten."""
        for reader in self._readers:
            for job_id, heard in reader.ledger.jobs.items():
                if heard.unknown and job_id in jobs:
                    self._problem("unknown", f"{reader.ledger.name}: {job_id} is there and was told of as unknown")
                if heard.ends and job_id not in jobs and not _ended_unheld(reader.ledger, heard):
                    self._problem("forgotten", f"{reader.ledger.name}: {job_id} is gone after its end was told")

    def _compare_end(self, name: str, heard: Heard, job: Job) -> None:
        if len(heard.ends) != 1:
            self._problem("end lost", f"{name}: {len(heard.ends)} ends of {heard.job_id}")
            return
        # An end that is told again to a store that lost it is ended anew: at another time, in another store.
        anew = RETOLD if self._sockets[0].ledger.forgets else ()
        told = {key: value for key, value in heard.ends[0]["job"].items() if key != "warnings" and key not in anew}
        differing = {key: (value, job.get(key)) for key, value in told.items() if job.get(key) != value}
        if differing:
            self._problem(
                "end differs", f"{name}: the end of {heard.job_id} told and the job now differ: {str(differing)[:500]}"
            )
        if (
            "result" not in told
            and "error" not in told
            and job["state"] != "cancelled"
            and not told.get("result_bytes")
        ):
            self._problem("end differs", f"{name}: the end of {heard.job_id} without result or error: {told}")

    def _compare_log(self, name: str, heard: Heard, log: dict[int, Any]) -> None:
        declared = {offset for first, last, _ in heard.gaps for offset in range(first, last + 1)}
        held = {offset: entry for offset, entry in heard.entries.items() if offset not in declared}
        odd = sorted(one for one in {*log, *held} - declared if held.get(one) != log.get(one))
        if not odd:
            return
        told, stored = ([str(have.get(one))[:90] for one in odd[:2]] for have in (heard.entries, log))
        what = f"{name}: the log of {heard.job_id} differs at {len(odd)} offsets, {odd[:5]}…"
        self._problem("log differs", f"{what}: told {told}, stored {stored}")

    def _compare_lines(self, job: Job, entries: list[Any]) -> None:
        """What the store has against what the job wrote."""
        try:
            written = numbers(job["id"], entries)
        except ValueError as error:
            self._problem("lines", str(error))
            return
        for attempt, found in written.items():
            if found != list(range(1, len(found) + 1)):
                self._problem("lines", f"{job['id']}: attempt {attempt} has the lines {found[:200]}")
        if list(written) != sorted(written) or any(attempt > job["attempt"] for attempt in written):
            self._problem("lines", f"{job['id']}: attempts out of order: {list(written)}")
        self._compare_verdict(job, len(written.get(job["attempt"], ())))

    def _compare_verdict(self, job: Job, wrote: int) -> None:
        """What the job says of itself against the lines of its last attempt."""
        if job["state"] == "succeeded":
            result = job["result"]
            if (result["attempt"], result["lines"]) != (job["attempt"], wrote):
                self._problem(
                    "lines", f"{job['id']}: wrote {result['lines']} in attempt {result['attempt']}, stored {wrote}"
                )
        elif job["state"] == "failed" and job["error"]["code"] == "exception":
            if job["error"]["message"] not in (f"{wrote} lines", f"ValueError: {wrote} lines"):
                self._problem("lines", f"{job['id']}: {job['error']['message']!r}, stored {wrote}")
        elif job["state"] == "failed" and job["max_attempts"] > 1:
            self._problem("lines", f"{job['id']}: failed with {job['error']} in attempt {job['attempt']}")

    async def _compare_rest(self) -> None:
        """Nothing is left in the queue."""
        deadline = time.monotonic() + SETTLE_S
        while left := await self._left():
            if time.monotonic() > deadline:
                self._problem("left", f"left in the store: {left}")
                return
            await asyncio.sleep(0.05)

    async def _left(self) -> dict[str, Any]:
        _, body = await self._house.ask(self._node, "GET", "/api/jobs?limit=1")
        left = {state: count for state, count in body["counts"].items() if count and state not in ENDED}
        store = self._house.store
        for pattern in ("ready*", "leased:*", "scheduled"):
            for key in await store.keys(f"{{windsock}}:{pattern}"):
                left[key.decode()] = "there"
        return left
