"""The script that gives a worker its jobs back after the store has gone back, and never over somebody newer."""

import msgpack
import pytest
from storing import OUTCOME, new_job, opened, sets_as_they_should_be

from server.broker import Kin
from server.errors import NotFound
from server.job import JobState
from server.tree import child_id

FUTURE = 10**12  # a sequence number that the store has not reached: it has gone back


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


async def reassert(store, lease, worker="w1", seq=0, name=None):
    """The answer for one lease."""
    (answer,) = await store.broker.reassert(worker, store.broker.store if name is None else name, seq, [lease])
    return answer


def forget(store, lease):
    """The store has never heard of the job, as after the loss of all since its submit."""
    for key in store.redis.scan_iter(f"{store.tag}:*"):
        if key.decode().removeprefix(store.tag + ":") not in ("store", "seq"):
            store.redis.delete(key)


def consistent(store):
    """Whether every set of jobs says what the jobs say."""
    should, stored = sets_as_they_should_be(store.redis, store.tag)
    return should == stored


@pytest.mark.gen_test
async def test_what_is_held_stays_as_it_is(store):
    lease = await store.running()
    before = await store.job(lease.id)
    assert await reassert(store, lease, seq=FUTURE) == "ok"
    assert await store.job(lease.id) == before


@pytest.mark.gen_test
async def test_a_job_that_is_asked_to_end_stays_so(store):
    lease = await store.running()
    await store.broker.cancel(lease.id)
    assert await reassert(store, lease) == "ok"
    assert (await store.job(lease.id)).state is JobState.CANCELLING


@pytest.mark.gen_test
async def test_a_job_that_seems_to_wait_is_held_again(store):
    job = await store.submit()
    copy = {key: store.redis.dump(key) for key in store.redis.scan_iter(f"{store.tag}:*")}
    (lease,) = await store.claim()
    await store.report(lease, 1, ["a"])
    for key in store.redis.scan_iter(f"{store.tag}:*"):
        store.redis.delete(key)
    for key, dumped in copy.items():
        store.redis.restore(key, 0, dumped)
    assert (await store.job(job.id)).state is JobState.QUEUED
    with store.listening() as heard:
        assert await reassert(store, lease) == "ok"
        (change,) = heard.changes()
    assert (change.was, change.job.state, change.job.attempt) == (JobState.QUEUED, JobState.RUNNING, 1)
    assert consistent(store)
    assert await store.claim("w2") == []
    assert (await store.report(lease, 1, ["a"])).code == "ok"


@pytest.mark.gen_test
async def test_a_later_attempt_takes_the_place_of_an_earlier_one(store):
    first = await store.running()
    await store.report(first, 1, ["a", "b"])
    copy = {key: store.redis.dump(key) for key in store.redis.scan_iter(f"{store.tag}:*")}
    await store.broker.rescue("w1")
    (second,) = await store.claim("w2")
    for key in store.redis.scan_iter(f"{store.tag}:*"):
        store.redis.delete(key)
    for key, dumped in copy.items():
        store.redis.restore(key, 0, dumped)
    assert await reassert(store, second, "w2") == "ok"
    job = await store.job(second.id)
    assert (job.attempt, job.attempt_firsts, job.state) == (2, (1, 3), JobState.RUNNING)
    assert consistent(store)
    assert (await store.report(first)).code == "fenced"
    assert (await store.report(second, 3, ["c"])).last == 3


@pytest.mark.gen_test
async def test_a_job_that_the_store_never_heard_of_is_made_again(store):
    lease = await store.running(tags=("x", "y"), priority=4, timeout_s=9.5, max_attempts=2)
    before = await store.broker.detail(lease.id)
    forget(store, lease)
    with store.listening() as heard:
        assert await reassert(store, lease, seq=FUTURE) == "ok"
        (change,) = heard.changes()
    after = await store.broker.detail(lease.id)
    assert (change.was, change.job) == (None, after.job)
    assert (after.args, after.timeout_s) == (before.args, before.timeout_s)
    for name in ("task", "queue", "tags", "priority", "max_attempts", "attempt", "created_at", "state", "rerun_of"):
        assert getattr(after.job, name) == getattr(before.job, name), name
    assert after.job.version > before.job.version
    assert consistent(store)
    assert (await store.finish(lease)).code == "ok"


@pytest.mark.gen_test
async def test_another_name_of_the_store_is_proof_too(store):
    lease = await store.running()
    forget(store, lease)
    assert await reassert(store, lease, name="other") == "ok"


@pytest.mark.gen_test
async def test_without_proof_an_unknown_job_stays_unknown(store):
    lease = await store.running()
    await store.finish(lease)
    await store.broker.delete(lease.id)
    assert await reassert(store, lease) == "gone"
    with pytest.raises(NotFound):
        await store.broker.detail(lease.id)


async def child_of(store, parent):
    """A child that runs."""
    await store.broker.submit([new_job(id=child_id(parent.id, 1), kin=Kin(parent.id, 1.0, 1, parent.token))])
    (lease,) = await store.claim("w2")
    return lease


@pytest.mark.gen_test
async def test_that_a_parent_misses_its_child_is_proof_too(store):
    parent = await store.running()
    copy = store.copy()
    child = await child_of(store, parent)
    await store.finish(child)
    store.put_back(copy)
    assert await reassert(store, child, "w2") == "ok"
    assert (await store.job(parent.id)).children.counts()["running"] == 1
    assert consistent(store)


@pytest.mark.gen_test
@pytest.mark.parametrize("ended", [False, True], ids=["parent goes on", "parent has ended"])
async def test_a_child_that_was_deleted_is_not_made_again(store, ended):
    parent = await store.running()
    child = await child_of(store, parent)
    await store.finish(child)
    await store.broker.delete(child.id)
    if ended:
        await store.finish(parent)
    assert await reassert(store, child, "w2") == "gone"


@pytest.mark.gen_test
async def test_a_deleted_child_that_was_made_again_can_be_missed_again(store):
    parent = await store.running()
    child = await child_of(store, parent)
    await store.finish(child)
    await store.broker.delete(child.id)
    assert await store.broker.dropped(parent.id, [child.id, parent.id]) == {child.id}
    assert await reassert(store, child, "w2", seq=FUTURE) == "ok"
    assert await store.broker.dropped(parent.id, [child.id, parent.id]) == set()


@pytest.mark.gen_test
async def test_a_job_that_was_taken_back_is_not_taken_again(store):
    lease = await store.running()
    await store.broker.rescue("w1")
    assert await reassert(store, lease, seq=FUTURE) == "fenced"
    assert (await store.job(lease.id)).state is JobState.QUEUED


@pytest.mark.gen_test
async def test_nor_one_that_another_runs(store):
    lease = await store.running()
    await store.broker.rescue("w1")
    (other,) = await store.claim("w2")
    assert await reassert(store, lease, seq=FUTURE) == "fenced"
    assert (await store.report(other)).code == "ok"


@pytest.mark.gen_test
async def test_nor_one_that_another_claimed_after_the_store_had_gone_back(store):
    lease = await store.running()
    store.redis.hset(store.key(f"job:{lease.id}"), mapping={"token": "other", "worker": "w2"})
    assert await reassert(store, lease, seq=FUTURE) == "fenced"


@pytest.mark.gen_test
async def test_an_end_stands(store):
    lease = await store.running()
    await store.finish(lease)
    assert await reassert(store, lease, seq=FUTURE) == "ended"
    assert (await store.job(lease.id)).state is JobState.SUCCEEDED
    assert msgpack.unpackb(OUTCOME) == (await store.broker.detail(lease.id)).result


@pytest.mark.gen_test
async def test_the_end_of_another_stands_too(store):
    job = await store.submit()
    (lease,) = await store.claim()
    await store.broker.rescue("w1")
    await store.broker.cancel(job.id)
    assert await reassert(store, lease, seq=FUTURE) == "fenced"


@pytest.mark.gen_test
async def test_who_takes_up_a_lease_is_missed_when_it_dies_before_its_next_beat(store):
    lease = await store.running()
    store.redis.delete(store.key("beats"))
    store.redis.delete(store.key(f"job:{lease.id}"))
    assert await store.broker.reassert("w1", "another", 0, [lease]) == ["ok"]
    assert store.redis.hget(store.key("beats"), "w1") == b"0"
