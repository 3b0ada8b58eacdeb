"""What the store really holds, looked at after every step, and a store that can be set back to an earlier moment."""

import time
from collections import Counter, defaultdict
from typing import Any

import msgpack
import redis

from delivering.stage import Stage, told
from delivering.way import run_script
from server.broker.record import job_of, pack, unpack
from server.job import Job, JobState

STATES = [state.value for state in JobState]


class Truth:
    """Owns the view of the store from outside, and what of it may excuse a gap, a reset or a step back."""

    def __init__(self, client: redis.Redis, tag: str, stage: Stage) -> None:
        self._client = client
        self._tag = tag
        self._stage = stage
        self.seen: Counter[str] = Counter()  # what came about, to judge a run by
        self.jobs: dict[str, Job] = {}
        self.logs: dict[str, dict[int, Any]] = {}  # by job and offset; None for a stored gap
        self.losses = 0  # how often the store lost its tail
        self._lost: defaultdict[str, list[tuple[int, int]]] = defaultdict(
            list
        )  # versions after the first, up to the last
        self.trimmed: defaultdict[str, int] = defaultdict(int)  # offsets up to here were dropped at some time
        self.ends: dict[str, tuple[Any, ...]] = {}  # as the first client was told
        self._kept: dict[bytes, tuple[int, bytes]] | None = None
        self._kept_jobs: dict[str, Job] = {}

    # looking

    def look(self) -> None:
        """See what there is, and that no end is written twice and no version goes back."""
        wish = pack([STATES, "all", [""], []])
        _, records, _, _ = unpack(run_script(self._client, self._tag, "list", wish, 100, "", 1000, ""))
        name = self._client.get(self._tag + ":store").decode()
        jobs = {job.id: job for job in (job_of(record, name) for record in records)}
        for job_id, job in jobs.items():
            self._compare(self.jobs.get(job_id), job)
            self._look_at_log(job_id)
        assert set(self.jobs) <= set(jobs), "a job has vanished from the store"
        self.jobs = jobs

    def _compare(self, before: Job | None, job: Job) -> None:
        if before is None:
            return
        self.seen["new attempt"] += job.attempt > before.attempt
        assert not before.ended or before == job, f"an end was written twice: {before} {job}"
        assert before == job or before.version < job.version, f"the stored version went back: {before} {job}"

    def _look_at_log(self, job_id: str) -> None:
        first, _, rows = unpack(run_script(self._client, self._tag, "log", job_id, 0, 10_000, 10**8))
        log: dict[int, Any] = {}
        for offset, packed, gap in rows:
            if packed:
                log[offset] = told(msgpack.unpackb(packed))
                assert log[offset] in self._stage.written[job_id, offset], "the store has what nobody wrote"
            else:
                log.update(dict.fromkeys(range(gap, offset + 1)))
        self.logs[job_id] = log
        self.trimmed[job_id] = max(self.trimmed[job_id], first - 1)

    # what may be

    def wrote(self, job_id: str, offset: int, value: Any) -> bool:
        """Whether some attempt has said this at this offset."""
        return value in self._stage.written[job_id, offset]

    def may_miss(self, job_id: str, last: int, why: str) -> bool:
        """Whether a gap up to the offset `last` has such a reason."""
        if why == "trimmed":
            return last <= self.trimmed[job_id]
        return why == "lost" and (self.losses > 0 or last <= self._stage.given_up[job_id])

    def note_end(self, frame: dict[str, Any]) -> None:
        """All clients are told the same end."""
        job = frame["job"]
        end = (job["state"], job.get("result"), job.get("error"), job["attempt"], frame["last"])
        first = self.ends.setdefault(job["id"], end)
        assert end == first, f"two ends of one job: {first} and {end}"

    # losing

    def keep(self) -> None:
        """Remember what the store has now."""
        keys = self._client.keys(self._tag + ":*")
        pipe = self._client.pipeline(transaction=False)
        for key in keys:
            pipe.pttl(key)
            pipe.dump(key)
        answers = pipe.execute()
        self._kept = {
            key: (max(0, answers[2 * i]), answers[2 * i + 1])
            for i, key in enumerate(keys)
            if answers[2 * i + 1] is not None
        }
        self._kept_jobs = dict(self.jobs)

    @property
    def can_lose(self) -> bool:
        """Whether there is an earlier moment that knows all jobs of now."""
        return self._kept is not None and set(self._kept_jobs) == set(self.jobs)

    @property
    def ends_at_risk(self) -> list[str]:
        """Jobs whose end the store would lose."""
        return [job_id for job_id, job in self.jobs.items() if job.ended and not self._kept_jobs[job_id].ended]

    @property
    def attempts_at_risk(self) -> list[str]:
        """Jobs whose attempt the store would forget, and give its number to another one."""
        return [
            job_id
            for job_id, job in self.jobs.items()
            if (kept := self._kept_jobs[job_id]).attempt < job.attempt or (kept.started_at is None and job.started_at)
        ]

    def lose(self) -> None:
        """The store is back at the moment of `keep`; time has gone on."""
        before = self.jobs
        newest = max((job.version for job in before.values()), default=0)
        kept = self._kept or {}
        pipe = self._client.pipeline(transaction=False)
        pipe.delete(*(self._client.keys(self._tag + ":*") or ["-"]))
        for key, (ttl, dump) in kept.items():
            pipe.restore(key, ttl, dump)
        pipe.execute()
        self.losses += 1
        self.seen["store lost its tail"] += 1
        self.jobs, self.logs = {}, {}
        while self._now_ms() <= newest:
            time.sleep(0.0005)
        self.look()
        for job_id, job in before.items():
            self._lost[job_id].append((self.jobs[job_id].version, job.version))

    def was_lost(self, job_id: str, version: int) -> bool:
        """Whether the store has forgotten that a job ever had this version."""
        return any(first < version <= last for first, last in self._lost[job_id])

    def _now_ms(self) -> int:
        seconds, micros = self._client.time()
        return int(seconds * 1000 + micros // 1000)
