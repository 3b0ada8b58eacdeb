"""The data directory: who may open it, where its socket is, and its files."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedding import ANY_PROGRAM, call, each_program, gen_test, running, settings_for

from server.broker import datadir
from server.broker.embedded import EmbeddedRedis, join
from server.errors import StartupError


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A runtime directory with a short path, as they have."""
    folder = Path(tempfile.mkdtemp(prefix="run-"))
    yield folder
    shutil.rmtree(folder)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@each_program
@gen_test
async def test_paths_with_odd_characters_work(tmp_path: Path, program: str) -> None:
    odd = tmp_path / "a b?c=%25[x]*\"q\\#'\té"
    async with running(settings_for(odd, program)) as redis:
        await call(redis.url, "SET", "word", "kept")
    async with running(settings_for(odd, program)) as redis:
        assert await call(redis.url, "GET", "word") == "kept"
    assert (odd / "redis.log").exists()


@each_program
@gen_test
async def test_the_socket_of_a_long_path_is_in_a_private_runtime_directory(
    tmp_path: Path, runtime: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    settings = settings_for(tmp_path / ("long" * 30), program)
    async with running(settings) as redis:
        assert await call(redis.url, "PING")
        assert redis.url.startswith(f"unix://{runtime}/windsock-")
        assert [mode(runtime / name) for name in os.listdir(runtime)] == [0o700]
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        assert await join(settings) == redis.url
    assert not os.listdir(runtime)


@gen_test
async def test_a_runtime_directory_that_is_not_private_is_refused(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    settings = settings_for(tmp_path / ("long" * 30), ANY_PROGRAM)
    async with running(settings) as redis:
        folder = Path(redis.url.removeprefix("unix://")).parent
    folder.mkdir(mode=0o755)
    with pytest.raises(StartupError, match="is not private to this user"):
        await EmbeddedRedis(settings).start()


@gen_test
async def test_the_directory_is_closed_to_others(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    async with running(settings_for(data, ANY_PROGRAM)):
        assert mode(data) == 0o700


@gen_test
async def test_a_folder_with_other_things_in_it_is_not_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    os.chmod(tmp_path, 0o755)
    with pytest.raises(StartupError, match="holds other files and is open to others"):
        await EmbeddedRedis(settings_for(tmp_path, ANY_PROGRAM)).start()
    assert mode(tmp_path) == 0o755


@gen_test
async def test_a_directory_that_cannot_be_made_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match="Not a directory"):
        await EmbeddedRedis(settings_for(tmp_path / "file" / "data", ANY_PROGRAM)).start()


# Its files


def append_only_file(data: Path) -> Path:
    found = list(data.glob("appendonlydir/*.incr.aof")) or [data / "appendonly.aof"]
    return found[0]


@each_program
@gen_test
async def test_a_file_whose_tail_was_cut_off_is_loaded_up_to_there(tmp_path: Path, program: str) -> None:
    settings = settings_for(tmp_path, program)
    async with running(settings) as redis:
        await call(redis.url, "SET", "word", "kept")
        await call(redis.url, "SET", "last", "lost")
    file = append_only_file(tmp_path)
    os.truncate(file, file.stat().st_size - 3)
    async with running(settings) as redis:
        assert await call(redis.url, "MGET", "word", "last") == ["kept", None]


@each_program
@gen_test
async def test_a_failed_start_shows_what_the_server_said(tmp_path: Path, program: str) -> None:
    settings = settings_for(tmp_path, program)
    async with running(settings) as redis:
        await call(redis.url, "SET", "word", "kept")
    file = append_only_file(tmp_path)
    file.write_bytes(b"nonsense\r\n" + file.read_bytes())
    with pytest.raises(
        StartupError, match=r"ended with status 1: .*Bad file format reading the append only file"
    ) as caught:
        await EmbeddedRedis(settings).start()
    assert "\n" not in caught.value.message


@gen_test
async def test_a_large_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datadir, "MAX_LOG_BYTES", 10)
    (tmp_path / "redis.log").write_text("old" * 10)
    async with running(settings_for(tmp_path, ANY_PROGRAM)):
        pass
    assert (tmp_path / "redis.log.1").read_text() == "old" * 10
    assert "old" not in (tmp_path / "redis.log").read_text()


@gen_test
async def test_half_written_files_of_a_killed_server_are_removed(tmp_path: Path) -> None:
    leftover = tmp_path / "temp-rewriteaof-123.aof"
    leftover.touch()
    async with running(settings_for(tmp_path, ANY_PROGRAM)):
        assert not leftover.exists()
