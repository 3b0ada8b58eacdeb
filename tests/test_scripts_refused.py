"""A Redis that takes no writes: full, or a replica. New work is refused; what runs comes to its end."""

import pytest
import redis
from storing import TASKS, new_id, new_job, opened, own_redis, wait_for

from server.broker import Broker
from server.errors import Unavailable
from server.job import JobState


@pytest.fixture(scope="module")
def server():
    with own_redis("--maxmemory-policy", "noeviction") as url:
        yield url


@pytest.fixture
def store(io_loop, settings, server):
    yield from opened(io_loop, settings.model_copy(update={"redis": server}))


@pytest.fixture
def full(store):
    """Calling it fills the memory of Redis."""

    def fill() -> None:
        store.redis.config_set("maxmemory", 1)

    yield fill
    store.redis.config_set("maxmemory", 0)


@pytest.mark.gen_test
async def test_a_full_redis_takes_no_job_and_keeps_nothing_of_it(store, full):
    before = store.redis.dbsize()
    full()
    with pytest.raises(Unavailable, match="Redis is full"):
        await store.broker.submit([new_job(tags=("a",)), new_job()])
    assert store.redis.dbsize() == before
    assert not list(store.redis.scan_iter(f"{store.tag}:job:*"))


@pytest.mark.gen_test
async def test_a_full_redis_hands_out_the_jobs_it_has_and_takes_their_ends(store, full):
    held, job = await store.running(), await store.submit()
    full()
    (lease,) = await store.claim()
    assert lease.id == job.id
    assert await store.claim() == []
    assert (await store.finish(lease, texts=["bye"])).code == "ok"
    assert (await store.finish(held, "queued", None)).code == "ok"
    assert (await store.job(job.id)).state is JobState.SUCCEEDED


@pytest.mark.gen_test
async def test_a_full_redis_goes_on_beating_and_says_that_it_is_full(store, full):
    await store.submit(delay_s=0.001)
    assert not store.tick().full
    await store.submit(delay_s=0.001)
    full()
    beat = wait_for(lambda: (found := store.tick(tasks=TASKS)).due_ms is None and found)
    assert beat.full
    assert beat.work
    assert len(store.ids("ready:default/add")) == 2


@pytest.mark.gen_test
async def test_a_full_redis_rescues_cancels_and_forgets(store, full):
    old, lost, asked = await store.ended(worker="w2"), await store.running("w1"), await store.submit()
    full()
    await store.enlist("w3")
    assert await store.broker.rescue("w1") == 1
    assert (await store.job(lost.id)).attempt == 2
    assert (await store.broker.cancel(asked.id)).state is JobState.CANCELLED
    await store.broker.delete(old.id)
    assert store.sweep(evict=10) == 1


@pytest.mark.gen_test
async def test_a_full_redis_refuses_a_report_and_takes_it_later(store, full):
    lease = await store.running()
    full()
    with pytest.raises(Unavailable, match="Redis is full"):
        await store.report(lease, 1, ["x"])
    store.redis.config_set("maxmemory", 0)
    assert (await store.report(lease, 1, ["x"])).last == 1


@pytest.mark.gen_test
async def test_a_submit_of_a_job_that_is_stored_is_answered_though_redis_is_full(store, full):
    new = new_job()
    await store.broker.submit([new])
    full()
    (answer,) = await store.broker.submit([new])
    assert answer.job.id == new.id


@pytest.fixture
def replica():
    """A replica of nobody that can be reached; its URL."""
    with own_redis() as url, redis.Redis.from_url(url, protocol=2) as client:
        client.replicaof("127.0.0.1", 1)
        yield url


@pytest.mark.gen_test
async def test_a_replica_is_refused_as_unavailable_and_can_be_read(settings, replica):
    broker = Broker(replica, settings)
    broker._pipeline.start()
    with pytest.raises(Unavailable, match="read-only: a replica answers"):
        await broker.submit([new_job()])
    with pytest.raises(Unavailable, match="read-only"):
        await broker.claim("w1", "request", 1, ["*"], ["add"], "lane")
    assert (await broker.fetch([new_id()]))[1] == [None]
    await broker.close()


@pytest.mark.gen_test
async def test_opening_a_replica_says_what_is_wrong(settings, replica):
    broker = Broker(replica, settings)
    with pytest.raises(Unavailable, match="read-only"):
        await broker.open()
    await broker.close()
