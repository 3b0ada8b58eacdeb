"""The supervised Pub/Sub connection: every loss and every return is an event."""

import asyncio

import pytest
import redis
from losing import losing_redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from storing import own_redis

from server.broker import Link
from server.broker.connection import Connector


async def until(wanted, timeout_s=5.0):
    """Returns when `wanted()` is true."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not wanted():
        assert asyncio.get_running_loop().time() < deadline, "it does not come"
        await asyncio.sleep(0.005)


class Listener:
    """A link and all that it says, in order."""

    def __init__(self, url, *channels):
        self.said = []
        self.link = Link(
            Connector(url, 1.0),
            channels,
            self.on_message,
            lambda: self.said.append("up"),
            lambda why: self.said.append("down"),
        )

    def on_message(self, channel, data):
        self.said.append((channel, data))
        if data == b"bad":
            raise ValueError("nobody can read this")

    async def up(self, times=1):
        await until(lambda: self.said.count("up") == times and self.link.up)


@pytest.fixture
def channels(settings):
    return (f"{settings.namespace}:one", f"{settings.namespace}:two")


@pytest.fixture
def listener(io_loop, settings, channels):
    """A link that is up."""
    listener = Listener(settings.redis, *channels)

    async def start():
        listener.link.start()
        await listener.up()

    io_loop.run_sync(start)
    yield listener
    io_loop.run_sync(listener.link.stop, timeout=5)


@pytest.fixture
def client(settings):
    with redis.Redis.from_url(settings.redis, protocol=2) as client:
        yield client


@pytest.mark.gen_test
async def test_messages_of_all_channels_come_in_order(listener, client, channels):
    for i in range(300):
        client.publish(channels[i % 2], str(i))
    await until(lambda: len(listener.said) == 301)
    assert listener.said == ["up", *((channels[i % 2], str(i).encode()) for i in range(300))]


@pytest.mark.gen_test
@pytest.mark.expects_log("the Pub/Sub link is down")
async def test_a_killed_connection_is_down_and_then_up_again(listener, client, channels):
    assert client.client_kill_filter(_type="pubsub") >= 1
    await listener.up(times=2)
    assert listener.said == ["up", "down", "up"]
    assert listener.link.losses == 1
    client.publish(channels[0], "after")
    await until(lambda: listener.said[-1] == (channels[0], b"after"))


@pytest.mark.gen_test
@pytest.mark.expects_log("the Pub/Sub link is (down|deaf)")
async def test_a_link_that_is_suspected_to_be_deaf_is_made_anew(listener, client, channels):
    listener.link.suspect("3 beats were not heard")
    await listener.up(times=2)
    assert listener.said == ["up", "down", "up"]
    client.publish(channels[1], "heard")
    await until(lambda: listener.said[-1] == (channels[1], b"heard"))


@pytest.mark.gen_test
@pytest.mark.expects_log("was not understood")
async def test_a_message_nobody_can_read_silences_no_other(listener, client, channels):
    client.publish(channels[0], "bad")
    client.publish(channels[0], "good")
    await until(lambda: (channels[0], b"good") in listener.said)
    assert "down" not in listener.said


@pytest.mark.gen_test
async def test_a_stop_is_no_event(listener):
    await listener.link.stop()
    assert listener.said == ["up"]


@pytest.mark.gen_test
@pytest.mark.expects_log("the Pub/Sub link is down")
async def test_a_link_that_starts_before_redis_comes_up_with_it(tmp_path):
    socket = tmp_path / "late" / "redis.sock"
    listener = Listener(f"unix://{socket}", "channel")
    listener.link.start()
    await asyncio.sleep(0)
    assert not listener.link.up
    with own_redis(socket=socket):
        await listener.up()
        assert listener.said == ["up"]  # never up before, hence not down
    await until(lambda: listener.said == ["up", "down"])
    await listener.link.stop()


@pytest.mark.gen_test
async def test_a_suspicion_while_it_is_down_does_nothing(tmp_path):
    listener = Listener(f"unix://{tmp_path}/nobody.sock", "channel")
    listener.link.start()
    listener.link.suspect("deaf")
    await asyncio.sleep(0)
    await listener.link.stop()
    assert listener.said == []


@pytest.mark.gen_test(timeout=30)
async def test_it_is_not_up_while_redis_loads_its_data():
    """It would take a subscribe; but what was missed cannot be read, and nobody knows yet how old its data is."""
    found = []
    with losing_redis() as lossy, redis.Redis.from_url(lossy.url, retry=Retry(NoBackoff(), 0)) as client:
        with client.pipeline(transaction=False) as pipeline:
            for i in range(20_000):
                pipeline.set(str(i), i)
            pipeline.execute()
        lossy.kill()
        lossy.launch("--key-load-delay", "100")  # µs; it looks after its clients once in 1,024 keys

        def up():
            try:
                found.append(client.ping())
            except redis.RedisError as error:
                found.append(error)

        link = Link(Connector(lossy.url, 5.0), ["one"], lambda *_: None, up, found.append)
        link.start()
        await until(lambda: found, 20)
        await link.stop()
    assert found == [True]
