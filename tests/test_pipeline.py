"""The connection that carries script calls: what leaves together, and what happens when something breaks."""

import asyncio
import hashlib
import time
from pathlib import Path

import pytest
import redis
from storing import own_redis

from server.broker.connection import Connector, refusal
from server.broker.pipeline import Pipeline
from server.broker.script import Script, script
from server.broker.wire import Wire
from server.errors import Unavailable


def lua(source: str) -> Script:
    """A script of the test's own."""
    return Script("test", source.encode(), hashlib.sha1(source.encode()).hexdigest())


ECHO = lua("return ARGV[1]")
COUNT = lua("return redis.call('INCR', KEYS[1] .. ':count')")
# Each may come twice, like the scripts of the store; it says how often it came.
ONCE = lua("redis.call('HINCRBY', KEYS[1] .. ':came', ARGV[1], 1) return ARGV[1]")


@pytest.fixture
def client(settings):
    with redis.Redis.from_url(settings.redis, protocol=2) as client:
        yield client


@pytest.fixture
def pipelines(io_loop):
    """Makes pipelines on the loop of the test, and stops them."""
    made = []

    def make(url, *, timeout_s=5.0, **options):
        pipeline = Pipeline(Connector(url, timeout_s), "{pipe}", **options)
        pipeline.start()
        made.append(pipeline)
        return pipeline

    yield make
    for pipeline in made:
        io_loop.run_sync(pipeline.stop, timeout=5)


@pytest.fixture
def pipeline(io_loop, pipelines, settings, client):
    """A pipeline that has said its first word."""
    client.delete("{pipe}:count", "{pipe}:came")

    async def start():
        pipeline = pipelines(settings.redis)
        assert await pipeline.call(ECHO, "warm") == b"warm"
        return pipeline

    return io_loop.run_sync(start)


@pytest.fixture
def writes(monkeypatch):
    """How many commands each write to Redis holds."""
    sizes = []
    send = Wire.send

    def counted(wire, commands, done):
        sizes.append(len(commands))
        send(wire, commands, done)

    monkeypatch.setattr(Wire, "send", counted)
    return sizes


@pytest.mark.gen_test
async def test_each_caller_gets_its_own_answer(pipeline):
    answers = await asyncio.gather(*(pipeline.call(ECHO, str(i)) for i in range(2000)))
    assert answers == [str(i).encode() for i in range(2000)]


@pytest.mark.gen_test
async def test_calls_of_one_turn_leave_in_one_write(pipeline, writes):
    await asyncio.gather(*(pipeline.call(ECHO, str(i)) for i in range(50)))
    assert writes == [50]


@pytest.mark.gen_test
async def test_what_comes_while_a_batch_is_on_its_way_leaves_in_the_next(pipeline, writes):
    first = pipeline.call(ECHO, "1")
    rest = []
    first.get_loop().call_later(0, lambda: rest.extend(pipeline.call(ECHO, str(i)) for i in range(2, 30)))
    assert await first == b"1"
    assert await asyncio.gather(*rest) == [str(i).encode() for i in range(2, 30)]
    assert writes == [1, 28]


@pytest.mark.gen_test
async def test_calls_are_carried_in_the_order_they_were_made(pipeline):
    assert await asyncio.gather(*(pipeline.call(COUNT) for _ in range(1200))) == list(range(1, 1201))


@pytest.mark.gen_test
async def test_a_script_redis_does_not_know_is_sent_whole(pipeline, client):
    client.script_flush()
    assert await asyncio.gather(*(pipeline.call(COUNT) for _ in range(3)), pipeline.call(ECHO, "y")) == [1, 2, 3, b"y"]


@pytest.mark.gen_test
async def test_a_killed_connection_costs_no_answer_and_shifts_none(pipeline, client):
    killed = 0
    for round_ in range(5):
        numbers = range(round_ * 1000, round_ * 1000 + 1000)
        calls = [pipeline.call(ONCE, str(i)) for i in numbers]
        await calls[300]  # the rest is on its way or waits
        killed += client.client_kill_filter(_type="normal", skipme=True)
        assert await asyncio.gather(*calls) == [str(i).encode() for i in numbers]
    assert killed == 5
    came = client.hgetall("{pipe}:came")
    assert len(came) == 5000
    assert all(int(times) <= 2 for times in came.values())  # sent once more at most


@pytest.mark.gen_test
async def test_a_caller_that_goes_away_shifts_nobody_s_answer(pipeline):
    calls = [pipeline.call(ECHO, str(i)) for i in range(100)]
    for call in calls[::3]:
        call.cancel()
    await asyncio.sleep(0)
    for call in calls[1::3]:
        call.cancel()
    assert await asyncio.gather(*calls[2::3]) == [str(i).encode() for i in range(2, 100, 3)]
    assert await pipeline.call(ECHO, "after") == b"after"


@pytest.mark.gen_test
@pytest.mark.expects_log("script test")
async def test_a_script_that_fails_fails_its_own_caller_only(pipeline):
    bad = pipeline.call(lua("return redis.call('NOSUCH')"))
    good = pipeline.call(ECHO, "x")
    assert await good == b"x"
    with pytest.raises(RuntimeError, match="Redis script failed"):
        await bad


@pytest.mark.gen_test
@pytest.mark.expects_log("a batch of 1 calls failed")
async def test_an_argument_that_cannot_be_sent_fails_its_caller_and_leaves_the_connection_in_step(pipeline):
    with pytest.raises(TypeError):
        await pipeline.call(ECHO, object())
    assert await asyncio.gather(*(pipeline.call(ECHO, str(i)) for i in range(3))) == [b"0", b"1", b"2"]


@pytest.mark.gen_test
async def test_while_redis_is_away_calls_fail_at_once(pipelines, tmp_path):
    pipeline = pipelines(f"unix://{tmp_path}/nobody.sock")
    began = time.monotonic()
    answers = await asyncio.gather(*(pipeline.call(ECHO, "x") for _ in range(100)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    with pytest.raises(Unavailable, match="Redis is away"):
        await pipeline.call(ECHO, "x")
    assert time.monotonic() - began < 2


@pytest.mark.gen_test
async def test_a_redis_that_comes_back_is_used_again(pipelines):
    with own_redis() as url:
        pipeline = pipelines(url)
        assert await pipeline.call(ECHO, "before") == b"before"
    with pytest.raises(Unavailable):
        await pipeline.call(ECHO, "away")
    with own_redis(socket=Path(url.removeprefix("unix://"))):
        assert await pipeline.call(ECHO, "back") == b"back"


@pytest.mark.gen_test
async def test_a_redis_that_hangs_is_unavailable_after_the_timeout(pipelines):
    with own_redis() as url:
        pipeline = pipelines(url, timeout_s=0.2)
        await pipeline.call(ECHO, "warm")
        with redis.Redis.from_url(url) as client:
            client.client_pause(1500)
            began = time.monotonic()
            with pytest.raises(Unavailable, match="Redis is away"):
                await pipeline.call(ECHO, "x")
            assert time.monotonic() - began < 1.4


@pytest.mark.gen_test
async def test_a_durable_call_that_no_replica_confirms_is_unavailable(pipelines, settings):
    pipeline = pipelines(settings.redis, wait_ms=20)
    calls = [pipeline.call(ECHO, "plain"), pipeline.call(COUNT, durable=True), pipeline.call(ECHO, "other")]
    plain, durable, other = await asyncio.gather(*calls, return_exceptions=True)
    assert (plain, other) == (b"plain", b"other")
    assert isinstance(durable, Unavailable)
    assert "no replica confirmed" in str(durable)


@pytest.mark.gen_test
async def test_a_stop_ends_whatever_is_under_way(pipelines, client, settings):
    for turns in range(25):
        pipeline = pipelines(settings.redis)
        calls = [pipeline.call(ECHO, str(i)) for i in range(600)]
        client.client_kill_filter(_type="normal", skipme=True)
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(2):
            await pipeline.stop()
        assert all(call.done() for call in calls)
        await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.gen_test
async def test_after_the_stop_and_before_the_start_calls_are_refused(settings):
    pipeline = Pipeline(Connector(settings.redis, 1.0), "{pipe}")
    with pytest.raises(Unavailable, match="stopped"):
        await pipeline.call(ECHO, "x")
    pipeline.start()
    waiting = pipeline.call(ECHO, "x")
    await pipeline.stop()
    with pytest.raises(Unavailable, match="stopped"):
        await waiting
    with pytest.raises(Unavailable, match="stopped"):
        await pipeline.call(ECHO, "x")


@pytest.mark.parametrize("name", ["submit", "claim", "tick"])
def test_a_script_has_the_prelude_in_front_and_its_own_sum(name, client):
    code = script(name)
    assert code.source.startswith(b"-- Put in front of every script")
    assert client.script_load(code.source) in (code.sha, code.sha.encode())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "Redis is full"),
        (redis.exceptions.ResponseError("x @user_script:1: -OOM command not allowed"), "Redis is full"),
        (redis.exceptions.ReadOnlyError("You can't write against a read only replica."), "read-only"),
        (redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "loading"),
        (redis.exceptions.MasterDownError("Link with MASTER is down"), "lost its primary"),
        (redis.exceptions.NoPermissionError("this user has no permissions"), "refuses us"),
        (redis.exceptions.AuthenticationError("invalid password"), "Redis is away: invalid password"),
        (redis.exceptions.ResponseError("MISCONF Redis is configured to save"), "cannot write to its disk"),
        (redis.exceptions.ResponseError("BUSY Redis is busy running a script"), "busy with a script"),
        (ConnectionRefusedError("no"), "Redis is away: no"),
        (TimeoutError(), "Redis is away: TimeoutError"),
    ],
)
def test_what_redis_says_becomes_a_refusal_in_our_words(error, said):
    found = refusal(error)
    assert isinstance(found, Unavailable)
    assert said in found.message
