"""What a worker remembers of the store, and tells it again when it has gone back.

A store that was restored from an older copy, or lost the tail of its data, shows jobs as waiting that run, or as
running that have ended, or does not know them. The worker knows better: it takes up its leases again, sends its logs
again, and tells the ends of the last minute again.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from server.broker import Beat, Broker, Lease
from server.job import JobState
from server.reporter import Reporter
from server.settings import Settings
from server.verdicts import Verdicts
from server.voice import Voice

log = logging.getLogger("windsock.worker")
BATCH = 200  # jobs in one call
ARGS_WEIGHT = 4  # arguments are held packed and, several times as large, unpacked
PLAIN_BYTES = 2000  # of a kept end, about, besides what it carries


@dataclass(frozen=True, slots=True)
class Told:
    """An end that the store has confirmed."""

    voice: Voice
    state: JobState
    outcome: bytes | None
    result_bytes: int | None


class Memory:
    """Owns the ends that were told, and where the store stood.

    Duties in call order: `look`, `recall`, `reclaim`, `keep`, `tell_again`.
    """

    def __init__(self, worker_id: str, broker: Broker, settings: Settings, reporter: Reporter) -> None:
        self._id = worker_id
        self._broker = broker
        self._reporter = reporter
        self._loop = asyncio.get_running_loop()
        self._told: Verdicts[Told] = Verdicts(settings.verdicts_s, settings.verdicts, settings.verdicts_bytes)
        self._store, self._seq = broker.store, 0  # name and sequence number as of the last beat before any doubt
        self._newest: Beat | None = None
        self._gone_back = False  # that was seen, and what it lost is not yet told again
        self._telling: set[str] = set()  # ids of those whose ends are being told again
        self.doubt = False  # the store may have gone back

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._told

    @property
    def seen(self) -> tuple[str, int]:
        """Name and sequence number of the store, before any doubt."""
        return self._store, self._seq

    def look(self, beat: Beat) -> bool:
        """Where the store stands now; whether to `recall`."""
        self._newest = beat
        if beat.store != self._store or beat.seq < self._seq:
            self.doubt = True
            if not self._gone_back and beat.store == self._store:  # of another store the node speaks
                log.warning("the store has gone back from message %d to %d: it lost data", self._seq, beat.seq)
            self._gone_back = True
        if not self.doubt:
            self._store, self._seq = beat.store, beat.seq
            self._told.forget(self._loop.time())
        return self.doubt

    async def recall(self, running: Sequence[Voice]) -> None:
        """Take up all leases again, let everything be reported again, tell lost ends again.

        Raises:
            Unavailable: the store is away; the doubt stays.
        """
        seen = self._newest
        for start in range(0, len(running), BATCH):
            leases = [voice.lease for voice in running[start : start + BATCH]]
            await self._broker.reassert(self._id, self._store, self._seq, leases)
        for voice in running:
            voice.progress.mark.forget()
            self._reporter.touch(voice)  # one that was refused hears of it
        await self._find_lost_ends()
        if seen is not None:
            self._store, self._seq = seen.store, seen.seq
        self.doubt = self._gone_back = False

    async def _find_lost_ends(self) -> None:
        ids = list(self._told)
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            _, jobs = await self._broker.fetch(batch)
            await self.tell_again([one for one, job in zip(batch, jobs, strict=True) if job is None or not job.ended])

    async def tell_again(self, job_ids: Sequence[str]) -> None:
        """The store seems not to know of these ends. Those that are being told already are left out."""
        mine = [job_id for job_id in job_ids if job_id in self._told and job_id not in self._telling]
        told = [self._told[job_id] for job_id in mine]
        self._telling.update(mine)
        try:
            answers = await asyncio.gather(
                *(self._reporter.finish(one.voice, one.state, one.outcome, one.result_bytes) for one in told)
            )
        finally:
            self._telling.difference_update(mine)
        again = sum(1 for answer in answers if answer.code == "ok")
        if again:
            log.info("%d ends that the store had lost are told again", again)

    async def reclaim(self, lease: Lease) -> bool:
        """Whether an attempt that was refused holds its job again, because the store had gone back."""
        (answer,) = await self._broker.reassert(self._id, self._store, self._seq, [lease])
        return answer == "ok"

    def keep(self, voice: Voice, state: JobState, outcome: bytes | None, result_bytes: int | None) -> None:
        """The store has this end."""
        args = ARGS_WEIGHT * len(voice.lease.packed)
        size = PLAIN_BYTES + len(outcome or b"") + args + voice.progress.held_bytes
        self._told.add(voice.lease.id, Told(voice, state, outcome, result_bytes), size, self._loop.time())

    def discard(self, job_id: str) -> None:
        """The job runs anew."""
        self._told.discard(job_id)
