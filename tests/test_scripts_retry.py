"""The script that ends attempts, when it asks for another one: one step, once, fenced."""

import pytest
from storing import opened, wait_for

from server.job import JobState


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


@pytest.mark.gen_test
async def test_a_retry_is_one_step_to_the_queue_and_is_announced(store):
    lease = await store.running()
    with store.listening() as heard:
        await store.finish(lease, "scheduled", None, texts=["bye"], warnings=[{"kind": "retry"}], progress={"done": 1})
        (change,) = heard.changes()
    job = change.job
    assert (change.was, job.state, job.attempt, job.progress) == ("running", JobState.QUEUED, 2, None)
    assert (job.warnings, job.offset, job.attempt_firsts) == (({"kind": "retry"},), 1, (1, 2))
    assert await store.job(lease.id) == job
    (again,) = await store.claim("w2")
    assert (again.attempt, again.retried, again.log_last) == (2, 1, 1)


@pytest.mark.gen_test
async def test_a_retry_with_a_delay_is_scheduled_and_comes_when_it_is_due(store):
    lease = await store.running()
    await store.finish(lease, "scheduled", None, delay_s=0.05)
    job = await store.job(lease.id)
    assert (job.state, job.attempt) == (JobState.SCHEDULED, 2)
    assert job.scheduled_at - job.updated_at == 50
    assert await store.claim() == []
    wait_for(lambda: store.tick("p1") and store.ids("ready:default/add"))
    assert [one.id for one in await store.claim()] == [lease.id]


@pytest.mark.gen_test
@pytest.mark.parametrize("delay_s", [0.0, 60.0])
async def test_a_retry_that_comes_twice_is_one(store, delay_s):
    lease = await store.running()
    assert (await store.finish(lease, "scheduled", None, delay_s=delay_s)).code == "ok"
    once = await store.job(lease.id)
    assert (await store.finish(lease, "scheduled", None, delay_s=delay_s)).code == "fenced"
    assert await store.job(lease.id) == once


@pytest.mark.gen_test
async def test_a_retry_of_a_job_that_was_asked_to_end_cancels_it(store):
    lease = await store.running()
    await store.broker.cancel(lease.id)
    await store.finish(lease, "scheduled", None)
    assert (await store.job(lease.id)).state is JobState.CANCELLED


@pytest.mark.gen_test
async def test_a_job_that_waits_for_its_retry_can_be_cancelled(store):
    lease = await store.running()
    await store.finish(lease, "scheduled", None, delay_s=60.0)
    assert (await store.broker.cancel(lease.id)).state is JobState.CANCELLED
    assert store.ids("scheduled") == set()


@pytest.mark.gen_test
async def test_retries_and_attempts_lost_with_their_worker_are_counted_apart(store):
    lease = await store.running(max_attempts=2)
    for retried in range(1, 5):
        await store.finish(lease, "scheduled", None)
        (lease,) = await store.claim()
        assert lease.retried == retried
    await store.broker.rescue("w1")
    (lease,) = await store.claim()
    assert (lease.attempt, lease.retried) == (6, 4)
    await store.broker.rescue("w1")
    assert (await store.job(lease.id)).state is JobState.FAILED


@pytest.mark.gen_test
async def test_a_store_that_lost_the_job_is_told_how_often_it_was_retried(store):
    lease = await store.running()
    await store.finish(lease, "scheduled", None)
    (lease,) = await store.claim()
    store.redis.flushdb()
    await store.broker.reassert("w1", "another", 0, [lease])
    await store.broker.release("w1", lease.id)
    assert [one.retried for one in await store.claim()] == [1]
