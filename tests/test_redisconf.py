"""How the private redis-server is configured."""

from pathlib import Path

from embedding import ANY_PROGRAM, call, each_program, gen_test, running, settings_for

from server.settings import Durability


@each_program
@gen_test
async def test_it_is_configured_to_keep_what_it_accepted(tmp_path: Path, program: str) -> None:
    settings = settings_for(tmp_path / "data", program, redis_maxmemory_bytes=64 * 1024 * 1024)
    async with running(settings) as redis:
        found = await call(redis.url, "CONFIG", "GET", "*")
    wanted = {
        "port": "0",
        "unixsocketperm": "700",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory": "67108864",
        "maxmemory-policy": "noeviction",
        "save": "",
        "aof-load-truncated": "yes",
        "hash-max-ziplist-value": "1024",
        "hash-max-ziplist-entries": "64",
        "dir": str(tmp_path / "data"),
    }
    assert {name: found[name] for name in wanted} == wanted


@gen_test
async def test_durability_always_reaches_redis(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, ANY_PROGRAM, durability=Durability.ALWAYS)) as redis:
        assert await call(redis.url, "CONFIG", "GET", "appendfsync") == {"appendfsync": "always"}
