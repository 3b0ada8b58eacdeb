"""Ticks of schedules in the store: each is taken once, whoever hands it in."""

import time

import pytest
from storing import new_job, opened
from web import having

from server.errors import Conflict, QueueFull
from server.sameness import Same


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


async def hand_in(store, tick, **given):
    """What a node is told of the job of a tick."""
    (answer,) = await store.broker.submit([new_job(at=tick, schedule="s", **given)])
    return answer


@pytest.mark.gen_test
async def test_a_tick_is_taken_once_also_when_its_job_is_gone(store):
    now, _ = await store.broker.ticked(["s"])
    job = (await hand_in(store, now + 1, id="01ARZ3NDEKTSV4RRFFQ69G5FAV")).job
    assert job.scheduled_at == now + 1
    await store.broker.cancel(job.id)
    assert (await hand_in(store, now + 1, id=job.id)).job.id == job.id  # as any submit that comes twice
    await store.broker.delete(job.id)
    assert isinstance(await hand_in(store, now + 1, id=job.id), Conflict)
    assert isinstance(await hand_in(store, now), Conflict)
    assert (await store.broker.ticked(["s"]))[1] == [now + 1]


@pytest.mark.gen_test
async def test_of_a_new_schedule_the_past_counts_as_handed_in(store):
    now, (last,) = await store.broker.ticked(["new"])
    assert last == now
    assert abs(now - time.time() * 1000) < 5000
    await store.broker.ticked(["another"])
    assert (await store.broker.ticked(["new"]))[1] == [last]


@pytest.mark.gen_test
@having(queue_limit=1)
async def test_a_tick_that_was_refused_is_still_to_be_handed_in(store):
    now, _ = await store.broker.ticked(["s"])
    waiting = await store.submit()
    assert isinstance(await hand_in(store, now + 1), QueueFull)
    await store.broker.cancel(waiting.id)
    assert not isinstance(await hand_in(store, now + 1), QueueFull)


@pytest.mark.gen_test
async def test_a_tick_of_a_unique_task_joins_the_job_that_still_runs(store):
    now, _ = await store.broker.ticked(["s"])
    same = Same("hash", None, 0.0)
    first = await hand_in(store, now + 1, same=same)
    second = await hand_in(store, now + 2, same=same)
    assert (second.job.id, second.how) == (first.job.id, "joined")
    assert isinstance(await hand_in(store, now + 2, same=same), Conflict)  # it counts as handed in
