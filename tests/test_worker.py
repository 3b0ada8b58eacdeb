"""The part of a process that runs jobs: slots, what wakes it, and how it lets go."""

import asyncio

import pytest
from storing import new_job, opened

from server.codec import MSGPACK
from server.errors import Unavailable
from server.job import JobState
from server.protocol import Submission
from windsock import Progress, task

running: set[str] = set()  # jobs whose function runs
opens: list[asyncio.Event] = []  # what `hold` waits for


@task
async def hold(progress: Progress) -> str:
    """Runs until it is let go."""
    running.add(progress.job_id)
    try:
        await opens[0].wait()
    finally:
        running.discard(progress.job_id)
    return "let go"


@task
async def breaks_when_stopped(progress: Progress) -> None:
    """Raises instead of ending."""
    running.add(progress.job_id)
    try:
        await opens[0].wait()
    finally:
        running.discard(progress.job_id)
        raise ValueError("broken")


@pytest.fixture
def registry(registry):
    registry.add_functions([hold, breaks_when_stopped])
    return registry


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"slots": 2})


@pytest.fixture
def store(io_loop, settings):
    """A look at the store from outside."""
    yield from opened(io_loop, settings)


@pytest.fixture(autouse=True)
def _fresh():
    running.clear()
    opens[:] = [asyncio.Event()]


async def until(wanted, timeout_s=5.0):
    """Returns when `wanted()` is true."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not wanted():
        assert asyncio.get_running_loop().time() < deadline, "it does not come"
        await asyncio.sleep(0.005)


async def until_state(store, job_id, state, timeout_s=5.0):
    """The job when it is in this state."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while (job := await store.job(job_id)).state is not state:
        assert asyncio.get_running_loop().time() < deadline, job.state
        await asyncio.sleep(0.005)
    return job


async def submit(node, count=1, name="hold", **options):
    return [await node.queue.submit(Submission(task=name, **options)) for _ in range(count)]


@pytest.mark.gen_test
async def test_no_more_jobs_run_than_there_are_slots_and_all_get_their_turn(node, store):
    jobs = await submit(node, 5)
    await until(lambda: len(running) == 2)
    assert node.worker.describe()["running"] == 2
    assert len(store.ids("ready:default/hold")) == 3
    opens[0].set()
    for job in jobs:
        await until_state(store, job.id, JobState.SUCCEEDED)
    assert store.ids("ready") == set()


@pytest.mark.gen_test
async def test_threads_and_coroutines_have_slots_of_their_own(node, store):
    await submit(node, 2)
    await until(lambda: len(running) == 2)
    (job,) = await submit(node, name="in_thread")
    await until_state(store, job.id, JobState.SUCCEEDED)


@pytest.mark.gen_test
async def test_a_submit_wakes_an_idle_worker_at_once(nodes, settings, store):
    node = await nodes.start(settings.model_copy(update={"beat_s": 30.0, "lease_s": 90.0}))
    await until(lambda: store.redis.scard(f"{store.tag}:idle:{node.worker._lanes[0].signature}") == 1)
    (job,) = await submit(node)
    await until(lambda: job.id in running, timeout_s=2)


@pytest.mark.gen_test
async def test_a_wake_up_that_overtakes_the_answer_of_a_claim_is_not_forgotten(node, monkeypatch):
    claims = []
    answer = asyncio.get_running_loop().create_future()

    async def claim(*arguments):
        claims.append(arguments)
        return await answer if len(claims) == 1 else []

    await until(lambda: not any(lane.claiming for lane in node.worker._lanes))
    monkeypatch.setattr(node.broker, "claim", claim)
    lane = node.worker._lanes[0]
    node.worker.on_wake(lane.signature)
    await until(lambda: claims)
    node.worker.on_wake(lane.signature)
    answer.set_result([])
    await until(lambda: len(claims) == 2)


@pytest.mark.gen_test
async def test_a_claim_that_fails_is_made_good_by_a_beat(node, store, monkeypatch):
    claim, fails = node.broker.claim, [True]

    async def failing(*arguments):
        if fails:
            raise Unavailable("away")
        return await claim(*arguments)

    monkeypatch.setattr(node.broker, "claim", failing)
    (job,) = await submit(node)
    await until(lambda: not node.worker._lanes[0].claiming)
    fails.clear()
    await until(lambda: job.id in running)


@pytest.mark.gen_test
@pytest.mark.expects_log("which does not hold it; giving it back")
async def test_a_job_leased_to_it_that_it_does_not_hold_is_given_back_and_runs(node, store):
    await submit(node, 2)
    await until(lambda: len(running) == 2)
    (job,) = await submit(node, max_attempts=1)
    lane = node.worker._lanes[0]
    (lost,) = await store.broker.claim(node.id, "lost", 1, ["*"], ["hold"], lane.signature)
    assert lost.id == job.id
    await until_state(store, job.id, JobState.QUEUED)
    opens[0].set()
    ended = await until_state(store, job.id, JobState.SUCCEEDED)
    assert ended.attempt == 2


@pytest.mark.gen_test
async def test_a_worker_the_store_has_forgotten_makes_itself_known_again(node, store):
    await store.broker.retire(node.id)
    assert store.redis.hexists(store.key("workers"), node.id) == 0
    await until(lambda: store.redis.hexists(store.key("workers"), node.id) == 1)
    (job,) = await submit(node)
    await until(lambda: job.id in running)


@pytest.mark.gen_test
async def test_a_cancel_that_did_not_come_through_the_link_comes_with_the_beat(node, store):
    (job,) = await submit(node)
    await until(lambda: job.id in running)
    store.redis.hset(store.key(f"job:{job.id}"), "state", "cancelling")
    await until_state(store, job.id, JobState.CANCELLED)


@pytest.mark.gen_test
async def test_a_drain_gives_back_what_does_not_end_and_uses_up_no_attempt(node, store):
    jobs = await submit(node, 2, max_attempts=1)
    await until(lambda: len(running) == 2)
    await node.drain(0)
    for job in jobs:
        given_back = await store.job(job.id)
        assert (given_back.state, given_back.attempt) == (JobState.QUEUED, 2)
    assert running == set()


@pytest.mark.gen_test
async def test_a_task_that_breaks_when_it_is_drained_is_given_back_all_the_same(node, store):
    (job,) = await submit(node, name="breaks_when_stopped")
    await until(lambda: job.id in running)
    await node.drain(0)
    assert (await store.job(job.id)).state is JobState.QUEUED


@pytest.mark.gen_test
async def test_a_drain_lets_what_ends_in_time_end(node, store):
    (job,) = await submit(node)
    await until(lambda: job.id in running)
    drain = asyncio.create_task(node.drain(5))
    await until(lambda: store.redis.hexists(store.key("workers"), node.id) == 0)
    opens[0].set()
    await drain
    assert (await store.job(job.id)).state is JobState.SUCCEEDED


@pytest.mark.gen_test
async def test_a_draining_worker_takes_no_more(node, store):
    await node.drain(0)
    await store.broker.submit([new_job("hold")])
    node.worker.claim()
    node.worker.on_wake(node.worker._lanes[0].signature)
    beats = store.redis.hget(store.key("beats"), node.id)
    await until(lambda: int(store.redis.hget(store.key("beats"), node.id)) > int(beats) + 2)
    assert len(store.ids("ready:default/hold")) == 1


@pytest.mark.gen_test
async def test_a_claim_under_way_when_the_drain_begins_uses_up_no_attempt(node, store, monkeypatch):
    claim, go_on = node.broker.claim, asyncio.Event()
    claimed = []

    async def slow(*arguments):
        leases = await claim(*arguments)
        claimed.extend(leases)
        await go_on.wait()
        return leases

    monkeypatch.setattr(node.broker, "claim", slow)
    (job,) = await submit(node, max_attempts=1)
    await until(lambda: claimed)
    drain = asyncio.create_task(node.drain(0))
    await until(lambda: node.worker.draining)
    asyncio.get_running_loop().call_later(0.05, go_on.set)
    await drain
    await node.stop()
    given_back = await store.job(job.id)
    assert (given_back.state, given_back.attempt) == (JobState.QUEUED, 2)


@pytest.mark.gen_test
async def test_a_stop_without_a_drain_leaves_its_jobs_to_others_at_once(node, store):
    (job,) = await submit(node)
    await until(lambda: job.id in running)
    await node.stop()
    assert running == set()
    left = await store.job(job.id)
    assert (left.state, left.attempt) == (JobState.QUEUED, 2)
    assert store.ids(f"leased:{node.id}") == set()


@pytest.mark.gen_test
@pytest.mark.expects_log("does not end; its slot stays taken")
async def test_a_stop_ends_functions_whose_jobs_have_ended_without_them(nodes, settings, store):
    node = await nodes.start(settings)
    job = await node.queue.submit(Submission(task="stubborn", args={"seconds": 0.9}))
    await until(lambda: node.worker._running)
    await asyncio.sleep(0)
    await node.queue.cancel(job.id)
    await until_state(store, job.id, JobState.CANCELLED)
    (attempt,) = node.worker._running
    await node.stop()
    assert attempt.work.done()  # it was asked again, and awaited


@pytest.mark.gen_test
async def test_jobs_that_end_together_share_a_call_and_so_do_those_that_follow_them(node, store, monkeypatch):
    lane, broker = node.worker._lanes[0], node.broker
    ends, claims, batches = [], [], _batches(broker._pipeline, monkeypatch)
    finish, claim = broker.finish, broker.claim

    async def finishing(verdicts):
        ends.append(len(verdicts))
        return await finish(verdicts)

    async def claiming(worker, request, count, queues, tasks, signature, *more):
        if signature == lane.signature:  # the beats make the others look too
            claims.append(count)
        return await claim(worker, request, count, queues, tasks, signature, *more)

    await store.broker.submit([new_job("hold", args=MSGPACK.encode({})) for _ in range(12)])
    await until(lambda: len(running) == 2)
    monkeypatch.setattr(broker, "finish", finishing)
    monkeypatch.setattr(broker, "claim", claiming)
    for _ in range(5):
        before, gate = set(running), opens[0]
        opens[0] = asyncio.Event()
        gate.set()
        await until(lambda before=before: len(running) == 2 and not running & before)
        assert (ends, claims) == ([2], [2])
        (batch,) = [batch for batch in batches if "finish" in batch]
        assert "claim" in batch
        for told in (ends, claims, batches):
            told.clear()


def _batches(pipeline, monkeypatch):
    """Names of the scripts in each batch that leaves."""
    leave, left = pipeline._leave, []

    def leaving():
        before = pipeline._batch
        leave()
        if pipeline._batch and pipeline._batch is not before:
            left.append([call.script.name for call in pipeline._batch])

    monkeypatch.setattr(pipeline, "_leave", leaving)
    return left
