"""The client over TLS, and behind a path."""

import asyncio
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from served import CERTIFICATE, server_context
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import Application

from windsock import AsyncClient, Client, End, NotFound, Unreachable


@pytest.fixture
def url(io_loop: IOLoop, app: Application) -> Iterator[str]:
    """The application of a test over https."""
    server = HTTPServer(app, ssl_options=server_context())
    sockets = bind_sockets(0, "127.0.0.1")

    async def start() -> None:
        server.add_sockets(sockets)

    io_loop.run_sync(start)
    yield f"https://localhost:{sockets[0].getsockname()[1]}"

    async def stop() -> None:
        server.stop()
        await server.close_all_connections()

    io_loop.run_sync(stop)


@pytest.fixture
def trusting() -> ssl.SSLContext:
    """Trusts the certificate of the tests, whose name is another."""
    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    context.check_hostname = False
    return context


@pytest.mark.gen_test(timeout=20)
async def test_jobs_are_submitted_and_watched_over_tls(url: str, trusting: ssl.SSLContext) -> None:
    async with AsyncClient(url, ssl_context=trusting) as client:
        handle = await client.submit("add", a=1, b=2)
        assert await handle.result(5) == 3
        events = [event async for event in handle.watch()]
        assert isinstance(events[-1], End)


@pytest.mark.gen_test(timeout=20)
async def test_threads_ask_over_tls_on_connections_that_are_kept(url: str, trusting: ssl.SSLContext) -> None:
    def work() -> list[Any]:
        with Client(url, ssl_context=trusting) as client:
            handle = client.submit("add", a=1, b=2)
            return [handle.result(5), list(handle.watch())[-1].job.state]

    assert await asyncio.to_thread(work) == [3, "succeeded"]


@pytest.mark.gen_test(timeout=20)
@pytest.mark.expects_log("SSL Error")
async def test_a_certificate_that_is_not_trusted_is_told(url: str) -> None:
    async with AsyncClient(url, retry_s=0) as client:
        with pytest.raises(Unreachable, match="no TLS with") as failure:
            await client.tasks()
        assert failure.value.reason == "tls"
    with pytest.raises(Unreachable, match="no TLS with"):
        await asyncio.to_thread(Client(url, retry_s=0).tasks)


@pytest.mark.gen_test(timeout=20)
async def test_a_path_before_the_api_is_kept(http_server: object, base_url: str) -> None:
    async with AsyncClient(base_url + "/nosuch", retry_s=0) as client:
        with pytest.raises(NotFound):
            await client.tasks()
