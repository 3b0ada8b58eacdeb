"""Pace through a node: what watchers hear of silent jobs, which durations are kept, when a job should start."""

import asyncio
from typing import Any

import pytest
from storing import Store, new_job, opened, report_of
from web import eventually, having

from server.broker import Verdict
from server.codec import MSGPACK
from server.job import JobState
from server.pace import History
from server.protocol import Submission
from windsock import Progress, task


@task
async def moves_and_stands(progress: Progress, moves: int = 5) -> None:
    """Moves a few times, then says nothing more until it moves on."""
    for _ in progress.track(range(moves), total=100):
        await asyncio.sleep(0.15)
    await go.setdefault(progress.job_id, asyncio.Event()).wait()
    progress.advance()
    await asyncio.Event().wait()


@task
async def naps() -> None:
    """Takes a fifth of a second."""
    await asyncio.sleep(0.2)


@task
async def says_nothing() -> None:
    """Never speaks."""
    await asyncio.Event().wait()


@task
async def plods(progress: Progress) -> None:
    """Goes on steadily."""
    for _ in progress.track(range(1000), unit="steps"):
        await asyncio.sleep(0.05)


go: dict[str, asyncio.Event] = {}


@pytest.fixture
def registry(registry):
    registry.add_functions(globals().values())
    return registry


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


def remember(store: Store, task: str, *seconds: float) -> None:
    """As if jobs of a task had taken so long."""
    store.redis.rpush(store.key(f"took:{task}"), *(round(1000 * one) for one in seconds))


async def watching(node, stream, task: str, **args: Any):
    """A job, and a client that watches it."""
    job = await node.queue.submit(Submission(task=task, args=args))
    client = await stream(hello=[{"type": "subscribe", "sub": 1, "job": job.id}])
    return job, client


def shows(pace: str | None):
    return lambda frame: frame["type"] in ("update", "snapshot") and frame["job"].get("pace") == pace


# What watchers hear


@having(stall_s=1.0)
@pytest.mark.gen_test(timeout=30)
async def test_watchers_hear_that_a_silent_job_is_stalled_and_that_it_goes_on(node, stream):
    job, client = await watching(node, stream, "moves_and_stands")
    await client.until(shows("stalled"), timeout_s=10)
    assert (await node.queue.get(job.id)).whole()["pace"] == "stalled"
    go[job.id].set()
    frame = await client.until(shows(None), timeout_s=10)
    assert frame["job"]["progress"]["done"] == 6
    await node.queue.cancel(job.id)
    end = await client.until("end")
    assert "pace" not in end["job"]


@pytest.mark.gen_test(timeout=30)
async def test_watchers_hear_that_a_job_that_never_speaks_is_slow(node, stream, store):
    remember(store, "says_nothing", *[0.5] * 20)
    job, client = await watching(node, stream, "says_nothing")
    frame = await client.until(shows("slow"), timeout_s=10)
    assert frame["job"]["progress"] is None
    await node.queue.cancel(job.id)
    end = await client.until("end")
    assert (end["job"]["progress"], end["job"].get("pace")) == (None, None)


@pytest.mark.gen_test(timeout=30)
async def test_of_a_job_that_never_speaks_the_past_tells_what_is_left(node, stream, store):
    remember(store, "says_nothing", *range(20, 40))
    job, client = await watching(node, stream, "says_nothing")
    frame = await client.until(lambda frame: frame["type"] == "update" and frame["job"]["progress"], timeout_s=10)
    progress = frame["job"]["progress"]
    assert progress["eta_low_s"] < progress["eta_s"] < progress["eta_high_s"]
    assert 25 < progress["eta_s"] < 30
    await node.queue.cancel(job.id)
    assert (await client.until("end"))["job"]["progress"] is None


@pytest.mark.gen_test(timeout=30)
async def test_a_steady_job_tells_its_rate_and_what_is_left(node, stream):
    job, client = await watching(node, stream, "plods")
    frame = await client.until(
        lambda frame: frame["type"] == "update" and "eta_s" in (frame["job"]["progress"] or {}), timeout_s=15
    )
    progress = frame["job"]["progress"]
    assert 5 < progress["rate"] <= 21
    assert progress["eta_s"] > 40
    await node.queue.cancel(job.id)
    end = await client.until("end")
    assert set(end["job"]["progress"]) == {"done", "total", "unit", "note"}


@pytest.mark.gen_test(timeout=30)
async def test_a_job_that_was_taken_back_is_expected_to_do_nothing(node, stream, store):
    remember(store, "says_nothing", *[0.5] * 20)
    _, client = await watching(node, stream, "says_nothing")
    await client.until(shows("slow"), timeout_s=10)
    await node.drain(0)
    frame = await client.until(lambda frame: frame["type"] == "update" and frame["job"]["state"] == "queued")
    assert (frame["job"].get("pace"), frame["job"]["progress"]) == (None, None)


# What is kept


@pytest.mark.gen_test(timeout=20)
async def test_how_long_jobs_took_is_kept(node, store):
    await node.queue.submit_and_wait(Submission(task="naps", args={}), 10)
    (history,) = await node.broker.histories(["naps"])
    assert len(history) == 1
    assert 0.2 <= history.durations_s[0] < 2


@pytest.mark.gen_test
async def test_only_so_many_durations_of_a_task_are_kept_and_not_for_ever(store):
    store.broker._settings = store.settings.model_copy(update={"history": 5, "history_s": 60})
    for number in range(8):
        lease = await store.running()
        verdict = Verdict(report_of(lease), JobState.SUCCEEDED, MSGPACK.encode(1), 1, took_ms=1000 * number)
        await store.broker.finish([verdict])
    assert await durations(store) == [3, 4, 5, 6, 7]
    assert 0 < store.redis.pttl(store.key("took:add")) <= 60_000


@pytest.mark.gen_test
@pytest.mark.parametrize("state", ["failed", "cancelled", "queued", "scheduled"])
async def test_only_of_jobs_that_succeeded(store, state):
    lease = await store.running()
    await store.broker.finish([Verdict(report_of(lease), JobState(state), took_ms=1000)])
    assert await durations(store) == []


@pytest.mark.gen_test
async def test_an_end_that_comes_twice_counts_once(store):
    lease = await store.running()
    verdict = Verdict(report_of(lease), JobState.SUCCEEDED, MSGPACK.encode(1), 1, took_ms=1000)
    await store.broker.finish([verdict])
    await store.broker.finish([verdict])
    assert await durations(store) == [1]


async def durations(store: Store) -> list[float]:
    (history,) = await store.broker.histories(["add"])
    assert isinstance(history, History)
    return history.durations_s


# When it should start


@having(slots=1)
@pytest.mark.gen_test(timeout=20)
async def test_a_queued_job_says_when_it_should_start(node, stream, store, api):
    remember(store, "says_nothing", *[60] * 10)
    jobs = [await node.queue.submit(Submission(task="says_nothing", args={})) for _ in range(3)]
    await eventually(lambda: jobs[0].id in node.worker._held)

    async def expected() -> bool:
        whole = (await api.get(f"/api/jobs/{jobs[2].id}")).value
        return (whole.get("position"), whole.get("start_in_s")) == (1, 90)

    await eventually(expected)  # the slots in use are known from the next beat on
    client = await stream(hello=[{"type": "subscribe", "sub": 1, "job": jobs[2].id}])
    snapshot = await client.until("snapshot")
    assert (snapshot["job"]["position"], snapshot["job"]["start_in_s"]) == (1, 90)
    running = (await api.get(f"/api/jobs/{jobs[0].id}")).value
    assert "position" not in running
    assert "start_in_s" not in running


@pytest.mark.gen_test
async def test_without_a_past_or_a_worker_nobody_knows_when(store):
    job = await store.submit()
    whole = (await store.broker.detail(job.id)).whole()
    assert (whole["position"], whole["start_in_s"]) == (0, None)


@pytest.mark.gen_test
async def test_under_a_limit_only_its_places_count(store):
    remember(store, "add", *[10] * 10)
    lane = {"slots": 50, "running": 0, "tasks": ["add"]}
    described = {"id": "p1", "worker": {"lanes": {"coroutine": lane}, "queues": ["*"]}, "draining": False}
    store.redis.hset(store.key("nodes"), "p1", MSGPACK.encode(described))
    jobs = [new_job(limit="add") for _ in range(4)]
    await store.broker.submit(jobs)
    assert len(await store.claim(count=4, limits={"add": 1})) == 1
    whole = (await store.broker.detail(jobs[3].id)).whole()
    assert (whole["position"], whole["start_in_s"]) == (2, 25)


# Children


@task
async def child_that_waits() -> None:
    """Ends when it is told to."""
    await go.setdefault("child", asyncio.Event()).wait()


@task
async def parent_that_waits(progress: Progress) -> None:
    """Moves a few times, then waits for its child."""
    for _ in progress.track(range(5), total=100):
        await asyncio.sleep(0.15)
    progress.log("waits")
    await progress.gather(await progress.spawn("child_that_waits"))


@having(stall_s=1.0)
@pytest.mark.gen_test(timeout=30)
async def test_a_parent_that_waits_for_its_child_is_not_stalled(node):
    job = await node.queue.submit(Submission(task="parent_that_waits", args={}))

    async def rested() -> bool:
        held = node.worker._held.get(job.id)
        return held is not None and held.voice.resting

    await eventually(rested, 10)
    voice, since = node.worker._held[job.id].voice, asyncio.get_running_loop().time()
    await eventually(lambda: voice._pace._looked > since + 3, 10)  # it was looked at for three times as long
    assert (await node.queue.get(job.id)).job.pace is None
    go["child"].set()
    await eventually(lambda: job.id not in node.worker._held, 10)
    assert (await node.queue.get(job.id)).job.state is JobState.SUCCEEDED
