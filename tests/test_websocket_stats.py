"""Subscribing to the stats over the socket: the fields, the time, and what it costs the store."""

import asyncio

import pytest
from web import eventually

from server.errors import Unavailable

FIELDS = {
    *("type", "sub", "submitted", "started", "succeeded", "failed", "cancelled", "queued", "scheduled", "running"),
    *("clients", "subscriptions", "nodes", "loop_lag_ms", "frames_out", "bytes_out", "conflated"),
    *("pickup_ms", "run_ms"),
}
WISH = {"sub": 1, "stats": True}


@pytest.fixture
def quick(node):
    """A node whose seconds are short."""
    node.board.interval_s = 0.1
    return node


@pytest.mark.gen_test
async def test_a_frame_comes_each_second_with_all_fields_and_no_others(stream):
    loop = asyncio.get_running_loop()
    for codec in ("json", "msgpack"):
        client = await stream(codec=codec, hello=[WISH])
        first = await client.until("stats", sub=1)
        assert set(first) == FIELDS
        assert set(first["pickup_ms"]) == set(first["run_ms"]) == {"p50", "p99"}
        began = loop.time()
        await client.until("stats", sub=1)
        assert 0.7 < loop.time() - began < 2.0
        assert {frame["type"] for frame in client.of(1)} == {"stats"}


@pytest.mark.gen_test
async def test_what_happens_in_the_store_is_told(stream, api, quick):
    client = await stream(hello=[WISH])
    await client.until("stats")
    await api.submit("add", wait_s=5, args={"a": 1})
    await api.submit("fail", wait_s=5, args={"message": "x"})
    runs = await api.submit("forever")
    late = await api.submit("add", args={"a": 1}, delay_s=60)
    await client.until(lambda frame: frame["running"] == 1 and frame["scheduled"] == 1)
    await api.post(f"/api/jobs/{runs['id']}/cancel")
    await api.post(f"/api/jobs/{late['id']}/cancel")
    last = await client.until(lambda frame: (frame["running"], frame["scheduled"]) == (0, 0))
    await client.until("stats")
    for step in ("submitted", "started", "succeeded", "failed", "cancelled"):
        assert any(frame[step] > 0 for frame in client.of(1)), step
    assert last["pickup_ms"]["p50"] is not None
    assert last["run_ms"]["p99"] >= last["run_ms"]["p50"]


@pytest.mark.gen_test
async def test_jobs_that_were_there_before_are_counted(stream, api, quick):
    for _ in range(3):
        await api.submit("add", args={"a": 1}, delay_s=60)
    client = await stream(hello=[WISH])
    assert (await client.until("stats"))["scheduled"] == 3


@pytest.mark.gen_test
async def test_clients_subscriptions_and_traffic_are_told(stream, quick):
    other = await stream(hello=[{"sub": 1, "feed": {}}])
    await other.until("live")
    client = await stream(hello=[WISH, {"sub": 2, "feed": {}}])
    told = await client.until("stats")
    assert (told["nodes"], told["clients"], told["subscriptions"]) == (1, 2, 3)
    await other.close()
    await client.until("stats", clients=1, subscriptions=2)
    told = await client.until(lambda frame: frame.get("frames_out", 0) > 0)
    assert told["bytes_out"] > told["frames_out"]


@pytest.mark.gen_test
async def test_what_another_node_does_is_told_here(stream, api, nodes, settings, quick):
    other = await nodes.start(settings.model_copy(update={"name": "other"}))
    other.clients = lambda: 40
    client = await stream(hello=[WISH])
    told = await client.until("stats", nodes=2)
    assert (await client.until("stats", clients=41))["nodes"] == 2
    await quick.worker.drain(0)
    job = await api.submit("add", wait_s=5, args={"a": 1})
    assert (job["state"], job["node"]) == ("succeeded", "other")
    told = await client.until(lambda frame: frame["succeeded"] > 0)
    assert told["run_ms"]["p50"] is not None


@pytest.mark.gen_test
async def test_unsubscribed_nothing_follows_and_nothing_is_computed(stream, quick):
    client = await stream(hello=[WISH])
    await client.until("stats")
    await client.send({"type": "unsubscribe", "id": 1, "sub": 1})
    await client.until("ok", id=1)
    told = len(client.of(1))
    assert (quick.board._timer, quick.board._census, quick.hub.feeds._held) == (None, None, {})
    await client.send({"type": "subscribe", "sub": 2, "stats": True})
    for _ in range(2):
        await client.until("stats", sub=2)
    assert len(client.of(1)) == told


@pytest.mark.gen_test
async def test_whoever_hangs_up_is_forgotten(stream, quick):
    client = await stream(hello=[WISH])
    await client.until("stats")
    await client.close()
    await eventually(lambda: quick.board._timer is None and not quick.hub.feeds._held)
    assert not any(quick.metrics.traffic.subscriptions.values())


@pytest.mark.gen_test
async def test_any_number_of_subscribers_costs_the_store_the_same(stream, quick, monkeypatch):
    calls, ticks = [], []
    call, tick = quick.broker._call, quick.board._tick

    def counted(name, *arguments, **options):
        calls.append(name)
        return call(name, *arguments, **options)

    def ticked():
        ticks.append(quick.board.stats.number)
        tick()

    monkeypatch.setattr(quick.broker, "_call", counted)
    monkeypatch.setattr(quick.board, "_tick", ticked)
    clients = [await stream(hello=[WISH, {"sub": 2, "stats": True}]) for _ in range(20)]
    for client in clients:
        for sub in (1, 2):
            await client.until("stats", sub=sub)
    await clients[0].until("stats")
    assert calls.count("list") <= 2  # the census, and a second look at it if this takes long
    assert calls.count("nodes") <= len(ticks) + 1  # and when the first one came
    assert set(calls) == {"list", "nodes"}


@pytest.mark.gen_test
async def test_all_subscribers_of_a_node_are_told_the_same_and_a_late_one_at_once(stream, quick):
    first = await stream(hello=[WISH])
    told = await first.until("stats")
    quick.board._timer.cancel()
    second = await stream(hello=[WISH])
    assert await second.until("stats") == (first.of(1)[-1] if len(first.of(1)) > 1 else told)


@pytest.mark.gen_test
async def test_a_hidden_page_is_told_less_often(stream, quick):
    client = await stream(hello=[WISH])
    await client.until("stats")
    await client.send({"type": "visibility", "hidden": True}, {"type": "ping", "n": 1})
    await client.until("pong")
    told, number = len(client.of(1)), quick.board.stats.number
    await eventually(lambda: quick.board.stats.number > number + 10)
    await client.send({"type": "ping", "n": 2})
    await client.until("pong", n=2)
    assert len(client.of(1)) == told
    await client.send({"type": "visibility", "hidden": False})
    await client.until("stats")


@pytest.mark.gen_test
async def test_a_rate_is_ignored_and_a_number_in_use_is_a_conflict(stream, quick):
    client = await stream(hello=[{**WISH, "rate": 0.01}])
    for _ in range(3):
        await client.until("stats", sub=1)
    await client.send({"type": "subscribe", **WISH})
    assert (await client.until("error", sub=1))["code"] == "conflict"
    await client.until("stats", sub=1)


@pytest.mark.gen_test
async def test_while_the_nodes_cannot_be_read_what_is_known_is_told(stream, quick, monkeypatch):
    client = await stream(hello=[WISH])
    await client.until("stats")

    async def away():
        raise Unavailable("Redis is away")

    monkeypatch.setattr(quick.broker, "nodes", away)
    number = quick.board.stats.number
    await eventually(lambda: quick.board.stats.number > number + 3)
    assert (await client.until("stats"))["nodes"] == 1
