"""Failovers of a Redis guarded by Sentinel, with jobs that run and clients that watch: what was promised holds."""

import asyncio
import hashlib
import itertools

import pytest
from processes import Processes, processes
from sample_tasks import talk
from sentinels import FAILOVER_S, HOST, NAME, Guarded, moves, nodes, redis_pair, settings, three_sentinels
from test_lost_tail import Reader, looked, say, talking
from web import eventually

from server.broker.connection import Connector
from server.broker.pipeline import Pipeline
from server.broker.script import Script
from server.errors import Unavailable, WindsockError
from server.job import JobState
from server.protocol import Submission
from server.settings import Durability

__all__ = ["nodes", "processes", "redis_pair", "settings"]


# A job, and failovers under it.


async def written_through(node, stream, redis_pair: Guarded, failover) -> Reader:
    """A failover under a job that writes before, during and after it; what its client was told."""
    job_id, reader = await talking(node, stream)
    for number in range(10):
        await say(node, job_id, f"before {number}")
    failover()
    for number in range(10):
        talk.put(job_id, f"during {number}")
    await eventually(redis_pair.promoted, FAILOVER_S)
    for number in range(10):
        talk.put(job_id, f"after {number}")
    talk.put(job_id, None)
    end = await reader.stream.until("end", timeout_s=FAILOVER_S)
    assert (end["job"]["state"], end["job"]["attempt"], end["last"]) == ("succeeded", 1, 30)
    wanted = [f"{when} {number}" for when in ("before", "during", "after") for number in range(10)]
    assert list(reader.log().values()) == wanted
    assert reader.versions() == sorted(set(reader.versions()))
    return reader


def told(reader: Reader) -> list[str]:
    """The frames about the connection to Redis, in order."""
    return [frame["type"] for frame in reader.stream.frames if frame["type"] in ("stale", "fresh")]


@moves
@three_sentinels
@pytest.mark.gen_test(timeout=50)
async def test_a_primary_that_dies_with_a_sentinel_is_followed_to_the_next_one(node, stream, redis_pair: Guarded, api):
    def lose_a_host() -> None:
        redis_pair.sentinels[0].kill()
        redis_pair.primary.kill()

    reader = await written_through(node, stream, redis_pair, lose_a_host)
    assert told(reader)[:1] == ["stale"]
    await eventually(lambda: node.ready() is None)
    while told(reader)[-1:] != ["fresh"]:
        await reader.stream.until(lambda frame: True)
    job = await api.submit("add", wait_s=5, args={"a": 2, "b": 3})
    assert job["state"] == "succeeded"


@moves
@pytest.mark.gen_test(timeout=50)
async def test_a_failover_by_command_is_followed(node, stream, redis_pair: Guarded, api):
    await written_through(node, stream, redis_pair, redis_pair.fail_over)
    await eventually(lambda: node.ready() is None and redis_pair.replica.clients() >= 3)
    assert redis_pair.primary.clients() == 0
    job = await api.submit("add", wait_s=5, args={"a": 2, "b": 3})
    assert job["state"] == "succeeded"


@moves
@pytest.mark.gen_test(timeout=50)
async def test_a_primary_that_stood_still_and_comes_back_is_left(node, stream, redis_pair: Guarded):
    reader = await written_through(node, stream, redis_pair, redis_pair.primary.freeze)
    redis_pair.primary.thaw()
    await eventually(lambda: redis_pair.primary.clients() == 0, FAILOVER_S)
    await eventually(lambda: node.ready() is None and redis_pair.replica.clients() >= 3)
    assert reader.versions() == sorted(set(reader.versions()))


@moves
@pytest.mark.gen_test(timeout=50)
async def test_what_was_not_replicated_is_told_to_the_new_primary(node, stream, redis_pair: Guarded):
    job_id, reader = await talking(node, stream)
    await say(node, job_id, *"abc")
    redis_pair.cut_off()
    await say(node, job_id, *"defgh")
    await reader.stream.until(lambda frame: len(reader.log()) == 8)
    ended = await node.queue.submit(Submission(task="add", args={"a": 1}))  # submitted, run and ended unreplicated
    await eventually(lambda: state_of(node, ended.id, JobState.SUCCEEDED))
    await looked(node)
    redis_pair.primary.kill()
    redis_pair.replica.thaw()
    await eventually(redis_pair.promoted, FAILOVER_S)
    talk.put(job_id, "i")
    talk.put(job_id, None)
    end = await reader.stream.until("end", timeout_s=FAILOVER_S)
    assert (end["job"]["state"], end["job"]["attempt"], end["last"]) == ("succeeded", 1, 9)
    assert reader.log() == dict(enumerate("abcdefghi", 1))
    assert reader.versions() == sorted(set(reader.versions()))
    await eventually(lambda: state_of(node, ended.id, JobState.SUCCEEDED))


async def state_of(node, job_id: str, state: JobState) -> bool:
    """Whether the store has a job in this state."""
    try:
        return (await node.broker.detail(job_id)).job.state is state
    except WindsockError:
        return False


@moves
@pytest.mark.gen_test(timeout=50)
async def test_a_submit_that_a_replica_has_confirmed_outlives_the_primary(nodes, settings, redis_pair: Guarded):
    node = await nodes.start(settings.model_copy(update={"durability": Durability.WAIT, "worker": False}))
    jobs = [await node.queue.submit(Submission(task="add", args={"a": number})) for number in range(50)]
    redis_pair.primary.kill()
    await eventually(lambda: node.ready() is not None)
    await eventually(lambda: node.ready() is None, FAILOVER_S)
    _, found = await node.broker.fetch([job.id for job in jobs])
    assert None not in found
    with pytest.raises(Unavailable, match="no replica confirmed it"):
        await node.queue.submit(Submission(task="add", args={"a": 1}))


@moves
@pytest.mark.gen_test(timeout=50)
async def test_what_wait_has_accepted_during_a_failover_by_command_is_there(nodes, settings, redis_pair: Guarded):
    node = await nodes.start(settings.model_copy(update={"durability": Durability.WAIT, "worker": False}))
    accepted = []
    failed_over = asyncio.get_running_loop().time() + FAILOVER_S
    for number in itertools.count():
        if number == 20:
            redis_pair.fail_over()
        try:
            accepted.append(await node.queue.submit(Submission(task="add", args={"a": number})))
        except Unavailable:
            if redis_pair.promoted():
                break
        assert asyncio.get_running_loop().time() < failed_over
    stored = str(redis_pair.replica.ask("KEYS", "*"))
    assert len(accepted) >= 20
    assert [job.id for job in accepted if job.id not in stored] == []


# An old primary that is still there.


def swap(redis_pair: Guarded) -> None:
    """The replica is the primary, its sentinel knows, and nobody tells the clients of the old one."""
    redis_pair.replica.ask("REPLICAOF", "NO", "ONE")
    (sentinel,) = redis_pair.sentinels
    sentinel.ask("SENTINEL", "REMOVE", NAME)
    sentinel.ask("SENTINEL", "MONITOR", NAME, HOST, str(redis_pair.replica.port), "1")


@moves
@pytest.mark.gen_test(timeout=30)
async def test_a_primary_that_does_not_know_that_it_is_none_any_more_is_left(node, stream, redis_pair: Guarded):
    job_id, reader = await talking(node, stream)
    await say(node, job_id, *"ab")
    redis_pair.cut_off()
    await say(node, job_id, *"cd")
    redis_pair.replica.thaw()
    swap(redis_pair)
    await eventually(lambda: redis_pair.replica.clients() >= 3)
    assert redis_pair.primary.ask("ROLE")[0] == "master"
    talk.put(job_id, "e")
    talk.put(job_id, None)
    await reader.stream.until("end", timeout_s=10)
    assert reader.log() == dict(enumerate("abcde", 1))
    assert reader.versions() == sorted(set(reader.versions()))
    assert redis_pair.primary.clients() == 0
    assert job_id in str(redis_pair.replica.ask("KEYS", "*"))


@pytest.mark.gen_test(timeout=30)
async def test_calls_that_a_demoted_primary_refuses_are_carried_to_the_new_one(redis_pair: Guarded):
    source = b"return redis.call('INCR', KEYS[1])"
    count = Script("count", source, hashlib.sha1(source).hexdigest())
    pipeline = Pipeline(Connector(redis_pair.url, 5.0), "{count}", wait_ms=3000)
    pipeline.start()
    try:
        assert await pipeline.call(count, durable=True) == 1
        swap(redis_pair)
        redis_pair.primary.ask("REPLICAOF", HOST, str(redis_pair.replica.port))
        assert await pipeline.call(count, durable=True) == 2
    finally:
        await pipeline.stop()


# Whole processes.


def test_a_server_and_a_worker_go_on_after_a_failover(processes: Processes, redis_pair: Guarded) -> None:
    server = processes.serve("--no-worker", redis=redis_pair.url, name="a")
    processes.work(redis=redis_pair.url)
    job_id = server.submit("count", {"to": 200})
    watcher = processes.watch(server, {"type": "subscribe", "sub": 1, "job": job_id, "log": "all"})
    watcher.until(lambda frame: len(watcher.numbers()) >= 20)
    redis_pair.primary.kill()
    watcher.until("stale")
    watcher.until("fresh", timeout_s=FAILOVER_S)
    end = watcher.until("end", timeout_s=FAILOVER_S)
    assert (end["job"]["state"], end["job"]["attempt"], end["job"]["result"]) == ("succeeded", 1, 200)
    assert watcher.numbers() == list(range(1, 201))
    assert server.end(server.submit("echo", {"value": 1}))["result"] == 1
