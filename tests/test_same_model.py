"""Jobs that are the same, in any order of events: one at most can be joined, and no answer is of a job that is gone."""

import random

import pytest
from same_tasks import claims
from storing import new_job, opened

from server.job import TERMINAL, JobState
from server.sameness import Same

LIVE = ("scheduled", "queued", "running")  # can be joined


class Life:
    """Does whatever may happen to jobs, by chance."""

    def __init__(self, store, seed):
        self._store = store
        self._chance = random.Random(seed)
        self._leases = []
        often = [self.submit, self.claim, self.end]
        self._deeds = [*often, self.submit, self.cancel, self.rescue, self.sweep, self.promote]

    async def go_on(self):
        """One event."""
        await self._chance.choice(self._deeds)()

    def live(self):
        """The jobs that can be joined."""
        return set().union(*(self._store.ids(f"index:{state}:all") for state in LIVE))

    async def submit(self):
        choose = self._chance.choice
        same = Same(choose(["u", "v", "w", None]), choose(["c", "d", None]), 60)
        await self._store.broker.submit([new_job(same=same, max_attempts=2, delay_s=choose([None, None, 0.001, 60]))])

    async def claim(self):
        self._leases += await self._store.claim(count=2)

    async def end(self):
        if self._leases:
            lease = self._leases.pop(self._chance.randrange(len(self._leases)))
            await self._store.finish(lease, self._chance.choice(["succeeded", "failed", "cancelled", "queued"]))

    async def cancel(self):
        if live := sorted(self.live()):
            await self._store.broker.cancel(self._chance.choice(live))

    async def rescue(self):
        await self._store.broker.rescue("w1")

    async def sweep(self):
        self._store.sweep(keep=self._chance.choice([0, 3]))

    async def promote(self):
        self._store.tick()


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.timeout(240)  # a machine that has more to do takes its time
@pytest.mark.gen_test(timeout=220)
async def test_what_answers_for_others_is_there_and_stands_alone(store, settings, seed):
    life = Life(store, seed)
    for _ in range(150):
        await life.go_on()
        found = {name: store.redis.get(store.key(name)).decode() for name in claims(settings, store.redis)}
        for name, job_id in found.items():
            state = (await store.job(job_id)).state
            assert state is JobState.SUCCEEDED if name.startswith("cached") else state not in TERMINAL, name
        _, jobs = await store.broker.fetch(sorted(life.live()))
        kept = {job.id: store.redis.hget(store.key(f"job:{job.id}"), "once") or b"" for job in jobs}
        unique = {job_id for job_id, once in kept.items() if b"\xa1u" in once}
        assert len(unique) <= 1
        assert unique <= set(found.values())
