"""The script that marks jobs somebody looks at."""

import pytest
from storing import opened, wait_for

from server.broker.record import unpack


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


def told(heard):
    """Worker and jobs of every message that somebody looks."""
    found = [(channel, unpack(data)) for channel, data in heard.messages()]
    return [(channel, [one.decode() for one in what]) for channel, (kind, what) in found if kind == b"watch"]


@pytest.mark.gen_test
async def test_a_report_says_whether_somebody_looks(store):
    seen, unseen = await store.running(), await store.running()
    await store.broker.watch([seen.id], 10)
    assert (await store.report(seen)).watched
    assert not (await store.report(unseen)).watched


@pytest.mark.gen_test
async def test_a_mark_runs_out(store):
    lease = await store.running()
    await store.broker.watch([lease.id], 0.05)
    wait_for(lambda: not store.redis.exists(store.key(f"watched:{lease.id}")))
    assert not (await store.report(lease)).watched


@pytest.mark.gen_test
async def test_each_worker_is_told_once_of_its_jobs_that_are_newly_looked_at(store):
    one, two, other = await store.running("w1"), await store.running("w1"), await store.running("w2")
    await store.broker.watch([two.id], 10)
    with store.listening() as heard:
        await store.broker.watch([one.id, two.id, other.id], 10)
        await store.broker.watch([one.id, two.id, other.id], 10)
        assert sorted(told(heard)) == [("worker:w1", [one.id]), ("worker:w2", [other.id])]


@pytest.mark.gen_test
async def test_nobody_is_told_of_jobs_that_do_not_run(store):
    ended, waiting = await store.ended(), await store.submit()
    with store.listening() as heard:
        await store.broker.watch([waiting.id, ended.id, "unborn"], 10)
        assert told(heard) == []


@pytest.mark.gen_test
async def test_a_mark_may_come_before_its_job(store):
    lease = await store.running()
    await store.broker.watch([lease.id, "unborn"], 10)
    assert store.redis.exists(store.key("watched:unborn"))
