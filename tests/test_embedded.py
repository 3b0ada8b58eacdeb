"""The private redis-server, with the real programs: the wheel's 6.2 and the distribution's 7.0."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from embedding import (
    ANY_PROGRAM,
    another_process,
    answered,
    call,
    dies,
    each_program,
    gen_test,
    gone,
    kill,
    needs_setpriv,
    orphaned,
    running,
    settings_for,
    until,
)

from server.broker.embedded import EmbeddedRedis, join
from server.errors import StartupError
from server.settings import Durability

# Life


@each_program
@gen_test
async def test_it_answers_when_start_returns_and_is_gone_when_stop_returns(tmp_path: Path, program: str) -> None:
    redis = EmbeddedRedis(settings_for(tmp_path / "data", program))
    await redis.start()
    assert await call(redis.url, "PING")
    pid = redis.pid
    assert pid is not None
    await redis.stop(5)
    assert gone(pid)
    assert redis.pid is None


@each_program
@gen_test
async def test_what_was_written_is_there_after_a_stop(tmp_path: Path, program: str) -> None:
    settings = settings_for(tmp_path / "data", program)
    async with running(settings) as redis:
        await call(redis.url, "SET", "word", "kept")
    async with running(settings) as redis:
        assert await call(redis.url, "GET", "word") == "kept"


@gen_test
async def test_durability_wait_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="durability wait needs a shared Redis"):
        await EmbeddedRedis(settings_for(tmp_path, ANY_PROGRAM, durability=Durability.WAIT)).start()


@gen_test
async def test_it_has_a_process_group_of_its_own(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, ANY_PROGRAM)) as redis:
        assert redis.pid is not None
        assert os.getpgid(redis.pid) == redis.pid != os.getpgrp()


@dies
@gen_test
async def test_a_server_that_does_not_end_is_killed_at_the_deadline(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    redis = EmbeddedRedis(settings_for(tmp_path, ANY_PROGRAM))
    await redis.start()
    pid = redis.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    await redis.stop(0.1)
    assert gone(pid)
    assert "did not end in 0.1 s; killing it" in caplog.text


@gen_test
async def test_stop_before_start_and_stop_twice_do_nothing(tmp_path: Path) -> None:
    redis = EmbeddedRedis(settings_for(tmp_path, ANY_PROGRAM))
    await redis.stop(1)
    await redis.start()
    await redis.stop(5)
    await redis.stop(1)


@gen_test
async def test_no_descriptor_and_no_task_is_left_behind(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, ANY_PROGRAM)
    async with running(settings):
        pass
    before = psutil.Process().num_fds(), len(asyncio.all_tasks())
    for _ in range(3):
        async with running(settings):
            pass
    assert (psutil.Process().num_fds(), len(asyncio.all_tasks())) == before


# Watching


@dies
@each_program
@gen_test
async def test_a_killed_server_is_started_again_with_its_data(
    tmp_path: Path, program: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(settings_for(tmp_path, program)) as redis:
        await call(redis.url, "SET", "word", "kept")
        kill(redis)
        assert await answered(redis.url, "GET", "word") == "kept"
        await until(lambda: redis.restarts == 1)
    assert "was killed by SIGKILL; starting it again" in caplog.text
    assert "redis-server runs again" in caplog.text


@dies
@gen_test
async def test_it_tries_again_until_the_server_can_be_started(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    program = tmp_path / "redis-server"
    program.symlink_to(ANY_PROGRAM)
    async with running(settings_for(tmp_path / "data", str(program))) as redis:
        program.rename(tmp_path / "away")
        kill(redis)
        await until(lambda: "cannot be started again" in caplog.text)
        assert redis.pid is None
        (tmp_path / "away").rename(program)
        assert await answered(redis.url, "PING")


@dies
@gen_test
async def test_stop_while_it_is_being_started_again_leaves_nothing(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, ANY_PROGRAM)
    for delay_s in (0.0, 0.055, 0.065, 0.075):
        redis = EmbeddedRedis(settings)
        await redis.start()
        pid = kill(redis)
        await until(lambda pid=pid: gone(pid))  # type: ignore[misc]
        await asyncio.sleep(delay_s)  # not to wait for something: to stop it at different moments
        await redis.stop(5)
    async with running(settings):
        pass


# Its owner dies


@orphaned  # its threads may take a moment longer
@needs_setpriv
@each_program
@gen_test
async def test_the_server_ends_by_itself_when_its_owner_is_killed(tmp_path: Path, program: str) -> None:
    async with another_process(tmp_path, program, os.environ["PATH"]) as (owner, url, pid):
        await call(url, "SET", "word", "kept")
        owner.kill()
        await until(lambda: gone(pid))
    async with running(settings_for(tmp_path, program)) as redis:
        assert await call(redis.url, "GET", "word") == "kept"


@orphaned
@each_program
@gen_test
async def test_an_orphan_is_ended_and_not_adopted(
    tmp_path: Path, program: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with another_process(tmp_path, program, "/nowhere") as (owner, url, orphan):
        await call(url, "SET", "word", "kept")
        owner.kill()
        owner.wait()
        assert not gone(orphan)
        async with running(settings_for(tmp_path, program)) as redis:
            assert redis.pid != orphan
            assert gone(orphan)
            assert await call(redis.url, "GET", "word") == "kept"
    assert "a redis-server of a killed node still runs" in caplog.text


def start(*command: str) -> subprocess.Popen[bytes]:
    """A child that keeps all it inherits."""
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, close_fds=False)


@orphaned
@gen_test
async def test_a_server_started_by_hand_on_the_socket_is_ended(tmp_path: Path) -> None:
    socket = tmp_path / "redis.sock"
    stranger = start(ANY_PROGRAM, "--port", "0", "--unixsocket", str(socket), "--dir", str(tmp_path))
    try:
        await until(socket.exists)
        async with running(settings_for(tmp_path, ANY_PROGRAM)):
            assert stranger.wait(5) == 0
    finally:
        stranger.kill()
        stranger.wait()


@orphaned
@gen_test
async def test_an_orphan_that_does_not_end_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.broker.embedded.ORPHAN_S", 0.05)
    monkeypatch.setattr("server.broker.unixsocket.ASK_S", 0.05)
    async with another_process(tmp_path, ANY_PROGRAM, "/nowhere") as (owner, _, orphan):
        owner.kill()
        owner.wait()
        os.kill(orphan, signal.SIGSTOP)
        with pytest.raises(StartupError, match=r"left by a killed node holds .* and does not end"):
            await EmbeddedRedis(settings_for(tmp_path, ANY_PROGRAM)).start()


# One owner


@gen_test
async def test_a_second_owner_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, ANY_PROGRAM)
    async with running(settings):
        with pytest.raises(StartupError, match=f"is in use by process {os.getpid()}"):
            await EmbeddedRedis(settings).start()


@gen_test
async def test_a_failed_start_lets_go_of_the_directory(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(StartupError, match="is no program that can be run"):
            await EmbeddedRedis(settings_for(tmp_path, "/no/such/program")).start()
    async with running(settings_for(tmp_path, ANY_PROGRAM)):
        pass


@gen_test
async def test_a_child_of_the_owner_does_not_inherit_the_lock(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, ANY_PROGRAM)
    async with running(settings):
        child = start("sleep", "60")
    try:
        async with running(settings):
            pass
    finally:
        child.kill()
        child.wait()


@gen_test
async def test_a_worker_joins_the_redis_of_a_running_node(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, ANY_PROGRAM)
    async with running(settings) as redis:
        assert await join(settings) == redis.url


@dies
@gen_test
async def test_a_worker_waits_for_a_redis_that_is_being_started_again(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, ANY_PROGRAM)
    async with running(settings) as redis:
        kill(redis)
        assert await call(await join(settings), "PING")


@gen_test
async def test_a_worker_is_refused_where_no_node_runs(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, ANY_PROGRAM)
    with pytest.raises(StartupError, match=f"no node is running on {tmp_path}"):
        await join(settings)
    async with running(settings):
        pass
    with pytest.raises(StartupError, match="no node is running"):
        await join(settings)
