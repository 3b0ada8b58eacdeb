"""Checkpoints in the store: what an attempt leaves, whatever ends it, and what the next one finds."""

import asyncio
import threading
from typing import Any

import pytest
from losing import LosingRedis, losing_redis
from storing import entry, opened
from web import eventually

from server.codec import MSGPACK
from server.job import JobState
from server.protocol import Submission
from windsock import Progress, task

AT = MSGPACK.encode({"row": 7})
LATER = MSGPACK.encode({"row": 9})
go = threading.Event()  # lets `stays_in_thread` end


@task(retries=1)
async def fails_once(progress: Progress) -> Any:
    """Leaves a checkpoint in its first attempt, and answers what the second one finds."""
    if progress.attempt > 1:
        return progress.checkpointed
    progress.log("before")
    progress.checkpoint({"row": 1})
    progress.checkpoint({"row": 2})
    raise OSError


@task
async def waits(progress: Progress) -> Any:
    """Leaves a checkpoint and waits to be ended; the second attempt answers what it finds."""
    if progress.checkpointed is None:
        progress.checkpoint({"row": 3})
        await asyncio.Event().wait()
    return progress.checkpointed


@task
def stays_in_thread(progress: Progress) -> Any:
    """Leaves a checkpoint in a thread."""
    if progress.checkpointed is None:
        progress.checkpoint({"row": 4})
    while not go.is_set():
        progress.update()
        go.wait(0.005)
    return progress.checkpointed


@pytest.fixture
def registry(registry):
    go.clear()
    registry.add_functions(globals().values())
    yield registry
    go.set()


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


async def checkpoint(node, job_id) -> Any:
    return (await node.broker.detail(job_id)).checkpoint


# In the store


@pytest.mark.gen_test
async def test_it_is_stored_with_a_report_and_shown(store):
    lease = await store.running()
    assert lease.checkpoint is None
    await store.report(lease, checkpoint=AT)
    detail = await store.broker.detail(lease.id)
    assert detail.whole()["checkpoint"] == {"row": 7}
    await store.report(lease, texts=["more"])
    assert (await store.broker.detail(lease.id)).checkpoint == {"row": 7}


@pytest.mark.gen_test
async def test_a_job_without_one_shows_none(store):
    lease = await store.running()
    assert "checkpoint" not in (await store.broker.detail(lease.id)).whole()


@pytest.mark.gen_test
async def test_it_is_not_stored_where_the_log_before_it_is_missing(store):
    lease = await store.running()
    answer = await store.report(lease, first=3, texts=["c"], checkpoint=AT)
    assert answer.code == "hole"
    assert (await store.broker.detail(lease.id)).checkpoint is None
    verdict = await store.finish(lease, "queued", None, first=3, entries=[entry("c")], checkpoint=AT)
    assert verdict.code == "hole"
    assert (await store.broker.detail(lease.id)).checkpoint is None


@pytest.mark.gen_test
@pytest.mark.parametrize("way", ["give back", "retry", "rescue", "release"])
async def test_the_next_attempt_finds_it_however_the_last_one_ended(store, way):
    lease = await store.running()
    if way in ("give back", "retry"):
        await store.finish(lease, "queued" if way == "give back" else "scheduled", None, checkpoint=AT)
    else:
        await store.report(lease, checkpoint=AT)
        await (store.broker.rescue("w1") if way == "rescue" else store.broker.release("w1", lease.id))
    (again,) = await store.claim("w2")
    assert (again.attempt, again.checkpoint) == (2, AT)


@pytest.mark.gen_test
async def test_one_whose_job_was_taken_away_leaves_none(store):
    lease = await store.running()
    await store.broker.rescue("w1")
    (again,) = await store.claim("w2")
    await store.report(again, checkpoint=AT)
    assert (await store.report(lease, checkpoint=LATER)).code == "fenced"
    assert (await store.broker.detail(lease.id)).checkpoint == {"row": 7}


@pytest.mark.gen_test
async def test_it_goes_with_the_job(store):
    lease = await store.running()
    await store.report(lease, checkpoint=AT)
    await store.finish(lease)
    await store.broker.delete(lease.id)
    assert not store.redis.exists(store.key(f"job:{lease.id}"))


# Through a worker


@pytest.mark.gen_test(timeout=20)
async def test_after_an_exception_the_next_attempt_finds_the_last_one_said(node):
    _, end = await node.queue.submit_and_wait(Submission(task="fails_once", args={}), 10)
    assert (end.result, end.job.attempt, end.whole()["checkpoint"]) == ({"row": 2}, 2, {"row": 2})


@pytest.mark.gen_test(timeout=20)
async def test_a_job_that_a_drain_gave_back_goes_on_elsewhere(node, nodes, settings):
    job = await node.queue.submit(Submission(task="waits", args={}))
    await eventually(lambda: job.id in node.worker._held)
    await node.drain(0)
    await nodes.start(settings.model_copy(update={"name": "other"}), serves=False)
    end = await node.queue.poll(job.id, None, 0)
    while not end.job.ended:
        end = await node.queue.poll(job.id, str(end.job.cursor), 5) or end
    assert (end.result, end.job.node, end.job.attempt) == ({"row": 3}, "other", 2)


@pytest.mark.gen_test(timeout=20)
async def test_a_rerun_begins_afresh(node):
    _, end = await node.queue.submit_and_wait(Submission(task="fails_once", args={}), 10)
    again = await node.queue.rerun(end.job.id)
    found = await node.queue.poll(again.id, None, 0)
    while not found.job.ended:
        found = await node.queue.poll(again.id, str(found.job.cursor), 5) or found
    assert (found.job.attempt, found.result) == (2, {"row": 2})  # its own first attempt found none, and left one


@pytest.mark.expects_log("its end came too late")
@pytest.mark.gen_test(timeout=20)
async def test_a_thread_leaves_one_as_a_coroutine_does(node):
    job = await node.queue.submit(Submission(task="stays_in_thread", args={}))
    await eventually(lambda: stored(node, job.id, {"row": 4}))
    await node.broker.release(node.id, job.id)
    go.set()
    await eventually(lambda: ended(node, job.id))
    detail = await node.broker.detail(job.id)
    assert (detail.job.attempt, detail.result) == (2, {"row": 4})


async def stored(node, job_id, value) -> bool:
    return await checkpoint(node, job_id) == value


async def ended(node, job_id) -> bool:
    return (await node.broker.detail(job_id)).job.state is JobState.SUCCEEDED


# A store that goes back


class TestLost:
    pytestmark = pytest.mark.expects_log(
        "link is down|beat does not get through|the store has gone back|the store is another one|is deaf"
    )

    @pytest.fixture
    def lossy(self):
        with losing_redis() as made:
            yield made

    @pytest.fixture
    def settings(self, settings, lossy: LosingRedis):
        return settings.model_copy(update={"redis": lossy.url, "redis_timeout_s": 1.0})

    @pytest.mark.gen_test(timeout=30)
    async def test_a_store_that_lost_it_is_told_again_though_the_task_is_silent(self, node, lossy: LosingRedis):
        job = await node.queue.submit(Submission(task="stays_in_thread", args={}))
        await eventually(lambda: job.id in node.worker._held)
        lossy.keep()
        await eventually(lambda: stored(node, job.id, {"row": 4}))
        lossy.go_back()
        await eventually(lambda: told_again(node, job.id, {"row": 4}), 15)


async def told_again(node, job_id, value) -> bool:
    try:
        return await checkpoint(node, job_id) == value
    except Exception:  # not there yet, or no store at all
        return False
