"""The scripts that take jobs back from workers: from the dead, and from those that do not hold them."""

import pytest
from storing import new_job, opened

from server.broker.record import unpack
from server.errors import NotFound
from server.job import JobState


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


@pytest.mark.gen_test
async def test_a_rescued_job_is_queued_again_under_its_next_attempt(store):
    lease = await store.running()
    await store.report(lease, 1, ["a"], progress={"done": 1})
    with store.listening() as heard:
        assert await store.broker.rescue("w1") == 1
        (change,) = heard.changes()
    assert (change.was, change.job.state, change.job.attempt) == ("running", "queued", 2)
    job = await store.job(lease.id)
    assert (job.attempt_firsts, job.progress, job.started_at, job.offset) == ((1, 2), None, None, 1)
    assert change.job == job


@pytest.mark.gen_test
async def test_a_job_that_lost_its_last_worker_fails_with_worker_lost(store):
    lease = await store.running(max_attempts=2)
    await store.broker.rescue("w1")
    (lease,) = await store.claim("w2")
    with store.listening() as heard:
        await store.broker.rescue("w2")
        (change,) = heard.changes()
    detail = await store.broker.detail(lease.id)
    assert (detail.job.state, detail.job.attempt) == (JobState.FAILED, 2)
    assert detail.error["code"] == "worker_lost"
    assert "w2" in detail.error["message"]
    assert unpack(change.outcome)[b"code"] == b"worker_lost"


@pytest.mark.gen_test
async def test_a_job_that_was_to_end_ends_cancelled(store):
    lease = await store.running(max_attempts=1)
    await store.broker.cancel(lease.id)
    await store.broker.rescue("w1")
    detail = await store.broker.detail(lease.id)
    assert (detail.job.state, detail.error) == (JobState.CANCELLED, None)


@pytest.mark.gen_test
async def test_a_worker_that_has_beaten_since_keeps_its_jobs(store):
    lease = await store.running("w1")
    counter = store.tick("w1").counters["w1"]
    store.tick("w1")
    assert store.run("rescue", "w1", counter, 10)[0] == b"alive"
    assert (await store.job(lease.id)).state is JobState.RUNNING
    assert store.run("rescue", "w1", counter + 1, 10) == [b"ok", 1, 0, 0]


@pytest.mark.gen_test
async def test_many_jobs_are_taken_back_in_steps(store):
    await store.broker.submit([new_job() for _ in range(25)])
    await store.claim("w1", count=25)
    assert store.run("rescue", "w1", "", 10) == [b"ok", 10, 0, 15]
    assert await store.broker.rescue("w1", most=10) == 15


@pytest.mark.gen_test
async def test_a_rescued_worker_is_forgotten(store):
    await store.enlist("w1")
    store.tick("w1")
    await store.claim("w1")
    await store.broker.rescue("w1")
    left = {key.decode() for key in store.redis.scan_iter(f"{store.tag}:*")}
    assert left <= {store.key(name) for name in ("store", "probe", "seq", "order")}
    assert not store.tick("w1").enlisted


@pytest.mark.gen_test
async def test_a_rescue_wakes_an_idle_worker(store):
    await store.enlist("w2")
    await store.running("w1")
    await store.claim("w2")
    with store.listening() as heard:
        await store.broker.rescue("w1")
        assert "worker:w2" in [channel for channel, _ in heard.messages()]


@pytest.mark.gen_test
async def test_only_the_jobs_of_that_worker_are_taken_back(store):
    mine, other = await store.running("w1"), await store.running("w2")
    await store.broker.rescue("w1")
    assert (await store.job(mine.id)).state is JobState.QUEUED
    assert (await store.job(other.id)).state is JobState.RUNNING


@pytest.mark.gen_test
async def test_a_job_its_worker_does_not_hold_is_given_back_and_uses_up_no_attempt(store):
    lease = await store.running("w1", max_attempts=1)
    await store.broker.release("w1", lease.id)
    job = await store.job(lease.id)
    assert (job.state, job.attempt) == (JobState.QUEUED, 2)
    await store.broker.release("w1", lease.id)
    assert await store.job(lease.id) == job


@pytest.mark.gen_test
async def test_a_worker_cannot_give_back_what_another_holds(store):
    lease = await store.running("w1")
    await store.broker.release("w2", lease.id)
    assert (await store.job(lease.id)).state is JobState.RUNNING


@pytest.mark.gen_test
async def test_giving_back_an_unheld_job_that_was_to_end_cancels_it(store):
    lease = await store.running("w1")
    await store.broker.cancel(lease.id)
    await store.broker.release("w1", lease.id)
    assert (await store.job(lease.id)).state is JobState.CANCELLED


@pytest.mark.gen_test
async def test_a_lease_without_a_job_is_dropped(store):
    lease = await store.running("w1")
    store.redis.delete(store.key(f"job:{lease.id}"))
    await store.broker.release("w1", lease.id)
    assert store.tick("w1").leased == set()
    with pytest.raises(NotFound):
        await store.broker.detail(lease.id)
