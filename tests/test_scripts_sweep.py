"""The script that forgets ended jobs: by age, by count, and when memory is short."""

import pytest
from storing import opened, wait_for

from server.job import JobState


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


@pytest.mark.gen_test
async def test_jobs_that_ended_long_ago_are_forgotten_and_others_stay(store):
    old = await store.ended()
    store.redis.zadd(store.key("ended"), {old.id: 1_000})
    young, running = await store.ended(), await store.running()
    assert store.tick(keep_s=3600).overdue == 1
    assert store.sweep(keep_s=3600) == 1
    assert store.ids("ended") == {young.id}
    assert (await store.broker.fetch([old.id]))[1] == [None]
    assert (await store.job(running.id)).state is JobState.RUNNING


@pytest.mark.gen_test
async def test_an_age_of_nothing_forgets_all_that_have_ended(store):
    await store.ended()
    wait_for(lambda: store.sweep(keep_s=0) == 1)
    assert store.ids("ended") == set()


@pytest.mark.gen_test
async def test_of_too_many_the_first_ended_go(store):
    jobs = [await store.ended() for _ in range(6)]
    for i, job in enumerate(jobs):
        store.redis.zadd(store.key("ended"), {job.id: 1_000_000_000_000 + i})
    assert store.tick(keep=4).overdue == 2
    assert store.sweep(keep=4) == 2
    assert store.ids("ended") == {job.id for job in jobs[2:]}
    assert store.sweep(keep=4) == 0


@pytest.mark.gen_test
async def test_when_memory_is_short_more_go(store):
    for _ in range(6):
        await store.ended()
    assert store.sweep(evict=4) == 4
    assert len(store.ids("ended")) == 2
    assert store.sweep(evict=4) == 2
    assert store.sweep(evict=4) == 0


@pytest.mark.gen_test
async def test_one_call_takes_a_bounded_number(store):
    for _ in range(7):
        await store.ended()
    assert store.sweep(keep=0, keep_s=0, most=3) == 3
    assert store.sweep(keep=0, most=3) == 3
    assert store.sweep(keep=0, most=3) == 1


@pytest.mark.gen_test
async def test_what_goes_is_announced_as_gone(store):
    job = await store.ended("failed", tags=("t",))
    with store.listening() as heard:
        store.sweep(evict=1)
        (change,) = heard.changes()
    assert (change.id, change.was, change.gone, change.job) == (job.id, JobState.FAILED, True, job)


@pytest.mark.gen_test
async def test_an_id_without_a_job_is_swept_too(store):
    job = await store.ended()
    store.redis.delete(store.key(f"job:{job.id}"))
    assert store.sweep(evict=1) == 1
    assert store.ids("ended") == set()
