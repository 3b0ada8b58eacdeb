"""The life of a connection: heartbeat, silence, slowness, the store going away, drain and stop."""

import asyncio
import time

import pytest
import redis
from rawsocket import RawSocket, frame
from stream import Stream
from web import eventually, having

from handlers.app import WebServer, make_application
from handlers.base import Door
from handlers.sockets import Sockets
from server.codec import JSON
from server.errors import Unavailable
from server.protocol import FrameType, Submission


@pytest.fixture
def sockets(io_loop, node):
    """Made here, so that a test can drain and stop them."""
    sockets = Sockets(node)

    async def start():
        sockets.start()

    io_loop.run_sync(start)
    yield sockets
    io_loop.run_sync(sockets.stop, timeout=5)


@pytest.fixture
def app(node, sockets):
    return make_application(node, sockets, Door("localhost", ()))


# heartbeat and silence


@having(heartbeat_s=0.1)
@pytest.mark.gen_test
async def test_silence_is_filled_with_heartbeats(stream):
    client = await stream()
    first, second = await client.until("heartbeat"), await client.until("heartbeat")
    assert 90 <= second["now"] - first["now"] < 1000


@having(heartbeat_s=0.2)
@pytest.mark.gen_test
async def test_who_is_told_something_gets_no_heartbeat(stream):
    client = await stream()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        await client.send({"type": "ping", "n": 1})
        await client.until("pong")
        await asyncio.sleep(0.05)
    assert not [frame for frame in client.frames if frame["type"] == "heartbeat"]


@having(heartbeat_s=0.1, ping_s=0.05, ping_timeout_s=0.2)
@pytest.mark.gen_test
async def test_a_client_that_answers_no_ping_is_gone(port, node, stream):
    alive = await stream()
    mute = await RawSocket.open(port)
    mute.write(frame(JSON.encode([{"type": "hello"}])))
    await eventually(lambda: node.clients() == 2)
    assert await mute.close_code() is None
    mute.close()
    await alive.send({"type": "ping", "n": 1})
    await alive.until("pong")
    assert node.clients() == 1


# slowness


@having(write_s=0.3, heartbeat_s=0.1)
@pytest.mark.gen_test
async def test_a_client_that_never_reads_is_ended_and_delays_nobody(port, node, stream, api):
    job = await api.submit("emit_all", wait_s=5, args={"values": ["x" * 1000] * 900})
    slow = await RawSocket.open(port, small=True)
    wishes = [{"sub": n, "job": job["id"], "log": "all"} for n in range(1, 60)]
    slow.write(frame(JSON.encode([{"type": "hello", "subscribe": wishes}])))
    other = await stream()
    await eventually(lambda: node.clients() == 2)
    worst = 0.0
    while node.clients() == 2:
        before = time.monotonic()
        await other.send({"type": "ping", "n": 1})
        await other.until("pong")
        worst = max(worst, time.monotonic() - before)
        await asyncio.sleep(0.05)
    assert worst < 0.5
    slow.close()


@having(write_s=0.3)
@pytest.mark.gen_test
async def test_what_a_slow_client_is_owed_does_not_grow(port, node, api):
    job = await api.submit("forever")
    slow = await RawSocket.open(port, small=True)
    slow.write(frame(JSON.encode([{"type": "hello", "subscribe": [{"sub": 1, "job": job["id"]}]}])))
    (handler,) = await eventually(lambda: list(open_sockets(node)))
    client = handler.client
    while not client.in_flight:  # until the kernel takes no more
        client.reply(FrameType.PONG, n="x" * 60_000)
        await eventually(lambda: client.in_flight or not client.replies)
    for _ in range(1500):
        client.heartbeat()
    assert len(client.replies or ()) < 10
    for _ in range(1500):
        client.reply(FrameType.PONG, n=1)
    assert client.closed
    slow.close()


def open_sockets(node):
    """The open connections of a node."""
    return node.clients.__closure__[0].cell_contents._open


# the store


async def state_of(api, job_id, state):
    """Whether the job has come to this state."""
    return (await api.get(f"/api/jobs/{job_id}")).value["state"] == state


def cut_the_link(settings):
    """As Redis does to a subscriber that is too slow."""
    with redis.Redis(unix_socket_path=settings.redis.removeprefix("unix://")) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


@pytest.mark.expects_log("link is down")
@pytest.mark.gen_test
async def test_a_cut_link_is_told_and_what_was_missed_is_made_good(stream, api, settings, node):
    job = await api.submit("forever")
    client = await stream(hello=[{"sub": 1, "job": job["id"]}, {"sub": 2, "feed": {}}])
    await client.until("live", sub=2)
    node._link._on_message = lambda *_: None  # nothing comes through from here on
    cancelled = (await api.post(f"/api/jobs/{job['id']}/cancel")).value
    await eventually(lambda: state_of(api, job["id"], "cancelled"))
    node._link._on_message = node._on_message
    cut_the_link(settings)
    assert (await client.until("stale"))["why"]
    await client.until("fresh")  # said when what was missed has been read
    end = next((frame for frame in client.of(1) if frame["type"] == "end"), None) or await client.until("end", sub=1)
    assert (end["job"]["state"], cancelled["state"]) == ("cancelled", "cancelling")
    snapshot = next((frame for frame in client.of(2) if frame.get("how") == "reset"), None)
    snapshot = snapshot or await client.until("snapshot", sub=2, how="reset")
    assert snapshot["jobs"][0]["state"] == "cancelled"


@pytest.mark.expects_log("link is down|does not get through|deaf")
@pytest.mark.gen_test
async def test_a_beat_that_does_not_get_through_is_told_at_once(stream, node):
    client = await stream()
    await client.until("welcome")
    node._on_lost(Unavailable("Redis swallows everything"))
    assert (await client.until("stale"))["why"] == "Redis swallows everything"
    await client.until("fresh")


@pytest.mark.expects_log("link is down")
@pytest.mark.gen_test
async def test_who_comes_while_it_is_stale_is_told_so(stream, node):
    node.hub.on_down("a test says so")
    client = await stream()
    assert (await client.until("stale"))["why"] == "a test says so"
    assert [frame["type"] for frame in client.frames[:2]] == ["welcome", "stale"]
    node.hub.on_up()
    await client.until("fresh")


# drain and stop


@pytest.mark.gen_test
async def test_a_drain_is_told_and_the_connection_goes_on(stream, sockets, settings):
    client = await stream()
    await client.until("welcome")
    await sockets.drain()
    assert (await client.until("drain"))["within_s"] == [0, settings.drain_window_s]
    await client.send({"type": "ping", "n": 1})
    await client.until("pong")


@pytest.mark.gen_test
async def test_a_stop_ends_with_4200(stream, sockets):
    clients = [await stream(), await stream(codec="msgpack"), await stream(hello=False)]
    await sockets.stop()
    for client in clients:
        assert await client.closed() == 4200
        assert (client.frames[-1]["type"], client.frames[-1]["retry"]) == ("bye", True)


@pytest.mark.gen_test
async def test_what_is_owed_goes_out_before_the_close(stream, sockets):
    client = await stream()
    await client.until("welcome")
    for handler in list(sockets._open):
        for n in range(5):
            handler.client.reply(FrameType.PONG, n=n)
    await sockets.stop()
    await client.closed()
    assert [frame["type"] for frame in client.frames[1:]] == ["pong"] * 5 + ["bye"]


@pytest.mark.gen_test
async def test_a_server_that_stops_leaves_no_request_waiting(node):
    web = WebServer(node)
    web.bind()
    web.start()
    socket = await Stream.open(web.url.replace("http", "ws") + "/api/stream")
    await socket.until("welcome")
    job = await node.queue.submit(Submission(task="add", args={"a": 1}, delay_s=60))
    _, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(f"GET /api/jobs/{job.id}?wait=60&after={job.cursor} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await eventually(lambda: job.id in node.hub._topics)
    before = time.monotonic()
    await web.stop()
    assert time.monotonic() - before < 2
    assert not node.hub._topics
    assert await socket.closed() == 4200
    writer.close()
    await socket.close()
