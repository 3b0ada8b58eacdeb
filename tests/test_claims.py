"""How a worker asks for jobs: when, for how many, and in which exchange with Redis."""

import pytest
from storing import new_job, opened
from web import eventually

from server.broker.script import script
from server.broker.wire import Wire
from server.codec import MSGPACK
from server.job import JobState
from server.protocol import Submission
from windsock import task

SLOTS = 40
LATER_MS = 4 * 10**13
NAMES = {script(name).sha: name for name in ("submit", "claim", "finish")}

events: list[str] = []  # what left for Redis together, and what ran, in order


@task
async def quick() -> None:
    """Is over at once."""
    events.append("ran")


@task(limit=1)
async def limited() -> None:
    """Runs alone."""


@task(unique=True)
async def single() -> None:
    """Is joined."""


@pytest.fixture
def registry(registry):
    registry.add_functions([quick, limited, single])
    return registry


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"slots": SLOTS, "beat_s": 30.0, "lease_s": 90.0})  # no beat helps


@pytest.fixture
def store(io_loop, settings):
    """Another process that submits."""
    yield from opened(io_loop, settings)


@pytest.fixture(autouse=True)
def _recorded(monkeypatch):
    send = Wire.send

    def recorded(self, commands, done):
        names = [NAMES[command[1]] for command in commands if command[1] in NAMES]
        events.extend(["+".join(names)] if names else [])
        return send(self, commands, done)

    events.clear()
    monkeypatch.setattr(Wire, "send", recorded)


async def at_rest(node):
    """It has looked for jobs, and found none."""
    await eventually(lambda: all(lane.rests for lane in node.worker._lanes))
    events.clear()


@pytest.mark.gen_test
async def test_a_node_with_nothing_to_do_claims_a_job_in_the_exchange_that_stores_it(node, monkeypatch):
    await _one_job(node)  # then Redis knows the scripts
    woken = []
    monkeypatch.setattr(node.worker, "on_wake", woken.append)
    await _one_job(node)
    assert events[:2] == ["submit+claim", "ran"]
    assert woken == []


@pytest.mark.gen_test
async def test_where_redis_does_not_know_the_script_it_claims_once_more(node, store):
    await _one_job(node)
    store.redis.script_flush()
    await _one_job(node)
    store.redis.script_flush("SYNC")
    store.redis.script_load(script("claim").source)  # and so it runs before the submit
    await _one_job(node)
    assert events[:2] == ["submit+claim", "claim"]


async def _one_job(node):
    await at_rest(node)
    job = await node.queue.submit(Submission(task="quick"))
    await eventually(lambda: _ended(node, job.id))


async def _ended(node, job_id):
    return (await node.queue.get(job_id)).job.state is JobState.SUCCEEDED


@pytest.mark.gen_test
async def test_the_next_job_of_another_process_still_wakes_it(node, store):
    await _one_job(node)
    await at_rest(node)
    await store.broker.submit([new_job("quick", args=MSGPACK.encode({}))])
    await eventually(lambda: "ran" in events)


@pytest.mark.gen_test
async def test_who_runs_something_leaves_a_new_job_to_whoever_is_idle(node):
    await at_rest(node)
    await node.queue.submit(Submission(task="forever"))
    await eventually(lambda: node.worker.describe()["running"] == 1)
    events.clear()
    job = await node.queue.submit(Submission(task="quick"))
    assert "submit" in events
    await eventually(lambda: _ended(node, job.id))


@pytest.mark.parametrize(
    "given",
    [{"task": "limited"}, {"task": "single"}, {"task": "quick", "delay_s": 5}, {"task": "quick", "at": LATER_MS}],
)
@pytest.mark.gen_test
async def test_what_may_have_to_wait_is_not_claimed_at_once(node, given):
    await at_rest(node)
    await node.queue.submit(Submission(**given))
    assert "submit" in events


@pytest.mark.gen_test
async def test_a_job_that_its_worker_does_not_serve_is_not_claimed_at_once(nodes, settings):
    node = await nodes.start(settings.model_copy(update={"queues": ("mail",)}))
    await at_rest(node)
    await node.queue.submit(Submission(task="quick"))
    assert events == ["submit"]


@pytest.mark.gen_test
async def test_the_next_half_is_claimed_before_the_first_one_runs(node, store):
    await at_rest(node)
    await store.broker.submit([new_job("quick", args=MSGPACK.encode({})) for _ in range(100)])
    await eventually(lambda: events.count("ran") == 100)
    begun = events.index("ran")
    assert [event for event in events[:begun] if "claim" in event] == ["claim", "claim"]
    assert events[begun : begun + SLOTS // 2] == ["ran"] * (SLOTS // 2)
    assert any(event in ("finish+claim", "claim+finish") for event in events)
