"""A Redis guarded by Sentinel: its URL, and sentinels that are away, behind or divided."""

import asyncio
from dataclasses import replace

import pytest
from sentinels import HOST, NAME, Guarded, Server, moves, nodes, redis_pair, settings, with_password
from web import eventually

import server.node
from server.broker.connection import Connector, shown
from server.broker.sentinel import Sentinels, SentinelUrl
from server.errors import StartupError, Unavailable

__all__ = ["nodes", "redis_pair", "settings"]

# The URL.


def test_a_url_names_sentinels_primary_database_and_options():
    url = SentinelUrl.parse(
        "rediss+sentinel://me:p%40ss@one:1000,two,[::1]:3000/main/2?ssl_cert_reqs=none&sentinel_password=s%26s&db=2"
    )
    assert url.sentinels == (("one", 1000), ("two", 26379), ("::1", 3000))
    assert (url.name, url.db, url.sentinel_username, url.sentinel_password) == ("main", 2, None, "s&s")
    assert url.primary(("10.0.0.1", 6379)) == "rediss://me:p%40ss@10.0.0.1:6379/2?ssl_cert_reqs=none&db=2"
    assert url.primary(("fe80::1", 6379)).startswith("rediss://me:p%40ss@[fe80::1]:6379/2")
    assert url.sentinel(("two", 26379)) == "rediss://two:26379?ssl_cert_reqs=none"


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://one:26379",
        "redis+sentinel://one:26379/",
        "redis+sentinel:///main",
        "redis+sentinel://one,/main",
        "redis+sentinel://one:port/main",
        "redis+sentinel://one:70000/main",
        "redis+sentinel://one/main/first",
        "redis+sentinel://me:se/cret@one/main",
        "redis-sentinel://one/main",
        "sentinel://one/main",
    ],
)
def test_a_url_of_another_form_is_told_how_to_write_it(url):
    with pytest.raises(StartupError) as refused:
        Connector(url, 1.0)
    assert str(refused.value).startswith(f"--redis {shown(url)}: write redis+sentinel://")
    assert "\n" not in str(refused.value)
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize("url", ["redis+sentinel://one/main?colour=red", "redis://one/0?colour=red"])
def test_an_option_that_does_not_exist_is_refused_at_the_start(url):
    with pytest.raises(StartupError, match="unknown option: 'colour'"):
        Connector(url, 1.0)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://me:secret@one:1,two:2/main/1?sentinel_password=secret",
        "redis+sentinel://one:1/main?sentinel_password=se@secret",
        "redis://:sec?secret@one",
        "redis://:sec#secret@one/0",
    ],
)
def test_a_url_is_shown_without_passwords(url):
    assert "sec" not in shown(url)


@pytest.mark.gen_test(timeout=30)
async def test_a_job_runs_on_the_primary_that_the_sentinels_name(node, redis_pair: Guarded, api):
    job = await api.submit("add", wait_s=5, args={"a": 2, "b": 3})
    assert job["state"] == "succeeded"
    assert job["id"] in str(redis_pair.primary.ask("KEYS", "*"))


# Sentinels that disagree, or are behind.


@pytest.mark.gen_test(timeout=30)
async def test_a_sentinel_that_missed_a_failover_is_outvoted(tmp_path):
    lines = [f"sentinel monitor {NAME} {HOST} {{}} 1", f"sentinel config-epoch {NAME} {{}}"]
    seen = [("7001", "1"), ("7002", "5"), ("7002", "5")]
    made = [
        Server.sentinel(tmp_path / str(i), [line.format(word) for line, word in zip(lines, words, strict=True)])
        for i, words in enumerate(seen)
    ]
    try:
        addresses = tuple((HOST, one.port) for one in made)
        url = replace(SentinelUrl.parse(f"redis+sentinel://x/{NAME}"), sentinels=addresses)
        for _ in range(20):
            assert await Sentinels(url).primary() == (HOST, 7002)
        made[1].freeze()
        assert await Sentinels(url).primary() == (HOST, 7002)
    finally:
        for one in made:
            one.kill()


@pytest.mark.gen_test(timeout=30)
async def test_a_replica_that_is_named_as_primary_is_refused(tmp_path, redis_pair: Guarded):
    lines = [f"sentinel monitor {NAME} {HOST} {redis_pair.replica.port} 9"]
    astray = Server.sentinel(tmp_path / "astray", lines)
    try:
        with pytest.raises(Unavailable, match="which is a replica: a failover is under way"):
            await Connector(redis_pair.url_of(astray), 1.0).connect()
        with pytest.raises(Unavailable, match="which is a replica: a failover is under way"):
            await asyncio.to_thread(Connector(redis_pair.url_of(astray), 1.0).connect_blocking)
    finally:
        astray.kill()


# Sentinels that are away, or know nothing.


@moves
@pytest.mark.gen_test(timeout=30)
async def test_a_node_goes_on_when_all_sentinels_are_gone(node, redis_pair: Guarded, api, caplog):
    await eventually(lambda: node.ready() is None)
    redis_pair.sentinels[0].kill()
    await eventually(lambda: "nobody would tell of a failover" in caplog.text)
    job = await api.submit("add", wait_s=5, args={"a": 2, "b": 3})
    assert job["state"] == "succeeded"
    assert node.ready() is None
    assert caplog.text.count("nobody would tell of a failover") == 1


@pytest.mark.gen_test(timeout=30)
@pytest.mark.expects_log("waiting for Redis")
async def test_a_start_without_any_sentinel_says_who_does_not_answer(nodes, settings, redis_pair, monkeypatch):
    monkeypatch.setattr(server.node, "OPEN_S", 0.5)
    redis_pair.sentinels[0].kill()
    with pytest.raises(StartupError, match=r"no sentinel answers at 127.0.0.1:\d+: .*\(tried for 0.5 s\)"):
        await nodes.start(settings)


@pytest.mark.gen_test(timeout=30)
@pytest.mark.expects_log("waiting for Redis")
async def test_a_name_the_sentinels_do_not_know_is_said_so(nodes, settings, redis_pair, monkeypatch):
    monkeypatch.setattr(server.node, "OPEN_S", 0.5)
    url = redis_pair.url_of(*redis_pair.sentinels, name="other")
    with pytest.raises(StartupError, match=r"the sentinels at .* watch no primary named 'other'"):
        await nodes.start(settings.model_copy(update={"redis": url}))


@pytest.mark.gen_test(timeout=30)
@pytest.mark.expects_log("waiting for Redis")
async def test_a_start_waits_until_a_sentinel_knows_the_primary(nodes, settings, redis_pair, io_loop):
    (sentinel,) = redis_pair.sentinels
    sentinel.ask("SENTINEL", "REMOVE", NAME)
    monitor = ("SENTINEL", "MONITOR", NAME, HOST, str(redis_pair.primary.port), "1")
    io_loop.call_later(0.5, sentinel.ask, *monitor)
    node = await nodes.start(settings)
    await eventually(lambda: node.ready() is None)


@with_password
@pytest.mark.gen_test(timeout=30)
async def test_stores_and_sentinels_with_passwords_are_joined(node, redis_pair: Guarded, api):
    assert "s3cret" not in shown(redis_pair.url)
    job = await api.submit("add", wait_s=5, args={"a": 2, "b": 3})
    assert job["state"] == "succeeded"
