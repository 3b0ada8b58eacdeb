"""The scripts that end a job before its time, and forget one that has ended."""

import pytest
from storing import new_id, opened

from server.broker.record import unpack
from server.errors import Conflict, NotFound
from server.job import JobState


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


@pytest.mark.gen_test
@pytest.mark.parametrize("delay_s", [None, 60])
async def test_a_job_that_has_not_started_is_cancelled_at_once(store, delay_s):
    job = await store.submit(delay_s=delay_s)
    with store.listening() as heard:
        cancelled = await store.broker.cancel(job.id)
        (change,) = heard.changes()
    assert (change.was, change.job) == (job.state, cancelled)
    assert cancelled.state is JobState.CANCELLED
    assert cancelled.finished_at is not None
    assert await store.claim(count=9) == []
    assert store.tick().due_ms is None


@pytest.mark.gen_test
async def test_a_running_job_is_asked_to_end_through_its_worker(store):
    lease = await store.running("w7")
    with store.listening() as heard:
        assert (await store.broker.cancel(lease.id)).state is JobState.CANCELLING
        messages = heard.messages()
    assert ("worker:w7", [b"cancel", lease.id.encode()]) in [(where, unpack(data)) for where, data in messages]
    assert len([where for where, _ in messages if where == "events"]) == 1


@pytest.mark.gen_test
async def test_an_end_that_no_worker_tells_is_counted_by_one_beat(store):
    await store.ended()  # its worker counts that
    for queue in ("default", "default", "other"):
        await store.broker.cancel((await store.submit(queue=queue)).id)
    await store.running("w1", max_attempts=1)
    cancelled = await store.running("w1", max_attempts=1)
    await store.broker.cancel(cancelled.id)
    await store.broker.rescue("w1")
    told = {
        ("default", "add", "cancelled"): 3,
        ("other", "add", "cancelled"): 1,
        ("default", "add", "failed"): 1,
    }
    assert [store.tick("p1").ended, store.tick("p2").ended] == [told, {}]


@pytest.mark.gen_test
async def test_asking_again_tells_the_worker_again_and_changes_nothing(store):
    lease = await store.running("w7")
    first = await store.broker.cancel(lease.id)
    with store.listening() as heard:
        assert await store.broker.cancel(lease.id) == first
        assert [where for where, _ in heard.messages()] == ["worker:w7"]


@pytest.mark.gen_test
@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
async def test_an_ended_job_is_not_cancelled(store, state):
    job = await store.ended(state)
    with pytest.raises(Conflict, match="has ended already"):
        await store.broker.cancel(job.id)
    assert await store.job(job.id) == job


@pytest.mark.gen_test
async def test_an_unknown_job_is_neither_cancelled_nor_deleted(store):
    with pytest.raises(NotFound):
        await store.broker.cancel(new_id())
    with pytest.raises(NotFound):
        await store.broker.delete(new_id())


@pytest.mark.gen_test
async def test_deleting_an_ended_job_removes_every_trace_of_it(store):
    lease = await store.running(tags=("a", "b"))
    await store.report(lease, 1, ["x"])
    await store.finish(lease)
    with store.listening() as heard:
        await store.broker.delete(lease.id)
        (change,) = heard.changes()
    assert (change.id, change.was, change.gone) == (lease.id, "succeeded", True)
    assert list(store.redis.scan_iter(f"{store.tag}:*{lease.id}*")) == []
    assert list(store.redis.scan_iter(f"{store.tag}:index:*")) == []
    assert store.ids("ended") == set()


@pytest.mark.gen_test
async def test_a_job_that_has_not_ended_is_not_deleted(store):
    waiting = await store.submit(delay_s=60)
    lease = await store.running()
    for job_id in (waiting.id, lease.id):
        with pytest.raises(Conflict, match="has not ended"):
            await store.broker.delete(job_id)
    assert (await store.job(waiting.id)).state is JobState.SCHEDULED
