"""Limits in the store: how many jobs are handed out at once, and where the others wait."""

from collections import Counter

import pytest
from storing import new_job, opened, sets_as_they_should_be, wait_for

from server.broker.record import unpack
from server.job import JobState

TWO = {"add": 2}


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


async def submit(store, count, limit="add", **given):
    """Jobs under a limit, in order; their ids."""
    jobs = [new_job(limit=limit, **given) for _ in range(count)]
    await store.broker.submit(jobs)
    return [job.id for job in jobs]


def woken(heard):
    """How many workers were told to claim."""
    return sum(channel.startswith("worker:") and unpack(data)[0] == b"claim" for channel, data in heard.messages())


@pytest.mark.gen_test
async def test_a_claim_takes_no_more_than_the_limit_and_holds_the_others_back(store):
    first, second, third, fourth = await submit(store, 4)
    assert [lease.id for lease in await store.claim(count=10, limits=TWO)] == [first, second]
    assert store.ids("holding:add") == {first, second}
    assert store.ids("waiting:add") == {third, fourth}
    assert (store.ids("waiting"), store.ids("ready")) == ({"add"}, set())
    assert await store.claim("w2", count=10, limits=TWO) == []


@pytest.mark.gen_test
async def test_a_job_that_finds_its_limit_full_waits_and_wakes_nobody(store):
    await submit(store, 2)
    await store.claim(count=2, limits=TWO)
    await store.enlist("w2")
    await store.claim("w2", limits=TWO)
    with store.listening() as heard:
        (held_back,) = await submit(store, 1)
        assert woken(heard) == 0
    assert store.ids("waiting:add") == {held_back}
    assert (await store.job(held_back)).state is JobState.QUEUED


@pytest.mark.gen_test
@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
async def test_an_end_lets_the_next_one_in_and_wakes_a_worker(store, end):
    *_, third, fourth = await submit(store, 4)
    lease, _ = await store.claim(count=10, limits=TWO)
    await store.enlist("w2")
    await store.claim("w2", limits=TWO)
    with store.listening() as heard:
        await store.finish(lease, end)
        assert woken(heard) == 1
    assert (store.ids("ready:default/add"), store.ids("waiting:add")) == ({third}, {fourth})
    assert [one.id for one in await store.claim("w2", count=10, limits=TWO)] == [third]


@pytest.mark.gen_test
async def test_the_highest_priority_is_let_in_first(store):
    await submit(store, 2)
    leases = await store.claim(count=2, limits=TWO)
    await submit(store, 1, priority=-1)
    (urgent,) = await submit(store, 1, priority=5)
    await store.finish(leases[0])
    assert [lease.id for lease in await store.claim(count=5, limits=TWO)] == [urgent]


@pytest.mark.gen_test
async def test_each_value_of_a_key_has_places_of_its_own(store):
    await submit(store, 3, limit="add/a")
    await submit(store, 1, limit="add/b")
    leases = await store.claim(count=10, limits={"add": 1})
    assert [lease.job.limit for lease in leases] == ["add/a", "add/b"]


@pytest.mark.gen_test
async def test_jobs_behind_many_that_are_held_back_are_found_by_the_same_claim(store):
    await submit(store, 350, limit="add/a")
    (other,) = await submit(store, 1, limit="add/b")
    leases = await store.claim(count=5, limits={"add": 1})
    assert [lease.id for lease in leases][1:] == [other]
    assert len(store.ids("waiting:add/a")) == 349


@pytest.mark.gen_test
async def test_a_claim_looks_at_a_bounded_number_and_comes_again(store):
    await store.enlist("w1")
    await submit(store, 1500, limit="add/a")
    (other,) = await submit(store, 1, limit="add/b")
    with store.listening() as heard:
        assert len(await store.claim(count=5, limits={"add": 1})) == 1
        assert woken(heard) == 1
    assert [lease.id for lease in await store.claim(count=5, limits={"add": 1})] == [other]


@pytest.mark.gen_test
@pytest.mark.parametrize("way", ["give back", "retry", "release", "rescue", "retry later"])
async def test_whatever_takes_a_job_from_its_worker_frees_its_place(store, way):
    (first,) = await submit(store, 1, priority=-5)
    (lease,) = await store.claim(limits={"add": 1})
    (second,) = await submit(store, 1)
    if way == "give back":
        await store.finish(lease, "queued", None)
    elif way == "retry":
        await store.finish(lease, "scheduled", None)
    elif way == "retry later":
        await store.finish(lease, "scheduled", None, delay_s=60.0)
    elif way == "release":
        await store.broker.release("w1", first)
    else:
        await store.broker.rescue("w1")
    assert store.ids("holding:add") == set()
    assert [one.id for one in await store.claim(count=5, limits={"add": 1})] == [second]


@pytest.mark.gen_test
async def test_a_place_is_kept_until_a_cancelled_job_has_ended(store):
    (first,) = await submit(store, 1)
    (lease,) = await store.claim(limits={"add": 1})
    (second,) = await submit(store, 1)
    await store.broker.cancel(first)
    assert await store.claim(count=5, limits={"add": 1}) == []
    await store.finish(lease, "cancelled", None)
    assert [one.id for one in await store.claim(count=5, limits={"add": 1})] == [second]


@pytest.mark.gen_test
async def test_a_job_that_waits_for_a_place_can_be_cancelled(store):
    await submit(store, 1)
    await store.claim(limits={"add": 1})
    (held_back,) = await submit(store, 1)
    assert (await store.broker.cancel(held_back)).state is JobState.CANCELLED
    assert store.ids("waiting:add") == store.ids("waiting") == set()


@pytest.mark.gen_test
async def test_a_ready_job_that_is_cancelled_lets_another_in(store):
    await submit(store, 1)
    (lease,) = await store.claim(limits={"add": 1})
    second, third = await submit(store, 2)
    await store.finish(lease)
    assert store.ids("ready:default/add") == {second}
    await store.broker.cancel(second)
    assert store.ids("ready:default/add") == {third}


@pytest.mark.gen_test
async def test_a_job_that_waits_for_a_place_has_a_position(store):
    await submit(store, 1)
    await store.claim(limits={"add": 1})
    ids = await submit(store, 3)
    assert [(await store.broker.detail(job_id)).position for job_id in ids] == [0, 1, 2]


@pytest.mark.gen_test
async def test_a_scheduled_job_that_is_due_waits_for_its_place(store):
    await submit(store, 1)
    await store.claim(limits={"add": 1})
    (later,) = await submit(store, 1, delay_s=0.01)
    wait_for(lambda: not store.tick("p1").due_ms and not store.ids("scheduled"))
    assert store.ids("waiting:add") == {later}


@pytest.mark.gen_test
async def test_a_raised_limit_holds_for_jobs_that_wait_already(store):
    await submit(store, 6)
    (lease,) = await store.claim(count=9, limits={"add": 1})
    await submit(store, 1, limit=None, task="mul")
    await store.claim(count=9, limits={"add": 4})  # the worker's new code
    store.tick("p1")
    assert len(await store.claim(count=9, limits={"add": 4})) == 3
    assert len(store.ids("holding:add")) == 4
    await store.finish(lease)
    assert len(await store.claim(count=9, limits={"add": 4})) == 1


@pytest.mark.gen_test
async def test_a_lowered_limit_lets_none_in_before_enough_have_ended(store):
    await submit(store, 4)
    leases = await store.claim(count=3, limits={"add": 3})
    for lease, more in zip(leases, (0, 0, 1), strict=True):
        await store.finish(lease)
        assert len(await store.claim(count=9, limits={"add": 1})) == (more if lease is leases[-1] else 0)


@pytest.mark.gen_test
async def test_a_limit_that_was_taken_away_holds_nobody_back(store):
    await submit(store, 5)
    (lease,) = await store.claim(count=9, limits={"add": 1})
    await store.finish(lease)
    assert len(await store.claim(count=9)) == 4
    assert store.redis.exists(store.key("limits")) == 0


@pytest.mark.gen_test
async def test_a_place_whose_holder_is_gone_is_found_by_the_beat(store):
    await submit(store, 1)
    (lease,) = await store.claim(limits={"add": 1})
    (second,) = await submit(store, 1)
    await store.finish(lease)
    await store.broker.delete(lease.id)
    store.redis.sadd(store.key("holding:add"), lease.id)  # half a script was lost
    store.redis.zrem(store.key("ready:default/add"), second)
    store.redis.zadd(store.key("waiting:add"), {second: 1})
    store.redis.sadd(store.key("waiting"), "add")
    store.tick("p1")
    assert [one.id for one in await store.claim(limits={"add": 1})] == [second]


@pytest.mark.gen_test
async def test_a_job_that_is_held_again_after_a_loss_has_its_place_again(store):
    await submit(store, 1)
    (lease,) = await store.claim(limits={"add": 1})
    store.redis.flushdb()
    await store.broker.reassert("w1", "another", 0, [lease])
    assert store.ids("holding:add") == {lease.id}
    await submit(store, 1)
    assert await store.claim("w2", count=5, limits={"add": 1}) == []
    await store.finish(lease)
    assert len(await store.claim("w2", count=5, limits={"add": 1})) == 1


@pytest.mark.gen_test
async def test_nothing_of_a_limit_is_left_when_all_jobs_have_ended(store):
    await submit(store, 5, limit="add/a")
    while leases := await store.claim(count=5, limits=TWO):
        for lease in leases:
            await store.finish(lease)
    should, stored = sets_as_they_should_be(store.redis, store.tag)
    assert should == stored
    kinds = Counter(
        key.decode().removeprefix(store.tag + ":").split(":")[0] for key in store.redis.keys(store.tag + "*")
    )
    assert not {"holding", "waiting", "ready", "leased"} & set(kinds)
