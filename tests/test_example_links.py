"""The example that shares a client, on a real HTTP server."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from examples import check_links as module
from examples.check_links import Browser, browser, check_links
from server.codec import MSGPACK
from server.progress import Progress
from server.registry import make_task
from server.retries import Retry

PAGE = """<!doctype html><a href="/there">a</a> <a href=gone#part>b</a> <a href="/gone">again</a>
<a href="mailto:me@example.org">c</a> <a name="x">d</a> <a href="/no-head">e</a> <a href="/kept/on">f</a>"""


class Site(RequestHandler):
    """A few pages."""

    busy = most = 0  # requests at once, now and ever
    methods: list[str] = []

    async def head(self, path: str) -> None:
        if path == "no-head":
            self.send_error(405)
            return
        await self.get(path)

    async def get(self, path: str) -> None:
        Site.methods.append(f"{self.request.method} {path}")
        Site.busy += 1
        Site.most = max(Site.most, Site.busy)
        await asyncio.sleep(0.01)
        Site.busy -= 1
        if path == "gone":
            self.set_status(404)
        elif path == "busy":
            self.set_status(503)
            self.set_header("Retry-After", "7")
        elif path == "swamped":
            self.set_status(429)
        elif path.startswith("many"):
            self.write("".join(f'<a href="/there?{path}-{number}">x</a>' for number in range(40)))
        elif path == "large":
            self.write("x" * (module.MAX_PAGE_BYTES + 1))
        elif path == "text":
            self.set_header("Content-Type", "text/plain")
        elif path == "":
            self.write(PAGE)

    def log_exception(self, *what: Any) -> None:
        """A client may go in the middle of a page."""


def with_site(test: Callable[[str, Browser], Awaitable[None]]) -> None:
    """Run a test with a site and an open browser."""

    async def run() -> None:
        Site.methods = []
        Site.most = 0
        server = HTTPServer(Application([("/(.*)", Site)], log_function=lambda handler: None))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        try:
            async with asynccontextmanager(browser)() as shared:
                await test(f"http://127.0.0.1:{sockets[0].getsockname()[1]}", shared)
        finally:
            server.stop()
            await server.close_all_connections()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def _private_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDSOCK_FETCH_PRIVATE", "1")


def progress() -> Progress:
    return Progress("job", 1, lambda: None)


def test_links_that_lead_nowhere_are_named() -> None:
    async def test(site: str, shared: Browser) -> None:
        spoken = progress()
        assert await check_links(spoken, shared, f"{site}/") == {
            "links": 4,
            "broken": {f"{site}/gone": "404 Not Found"},
        }
        assert spoken.take() == {"done": 4, "total": 4, "unit": "links", "note": None}
        entries = [MSGPACK.decode(packed) for packed in spoken.unsent(2**20)[1]]
        assert [entry["text"] for entry in entries if "text" in entry] == [f"{site}/gone: 404 Not Found"]

    with_site(test)


def test_a_server_that_knows_no_head_is_asked_for_the_page() -> None:
    async def test(site: str, shared: Browser) -> None:
        await check_links(progress(), shared, f"{site}/")
        assert "GET no-head" in Site.methods
        assert "GET there" not in Site.methods

    with_site(test)


def test_jobs_together_keep_to_the_limit_of_their_client() -> None:
    async def test(site: str, shared: Browser) -> None:
        results = await asyncio.gather(
            *(check_links(progress(), shared, f"{site}/many-{number}") for number in range(3))
        )
        assert [result["links"] for result in results] == [40] * 3
        assert 1 < Site.most <= module.AT_ONCE

    with_site(test)


@pytest.mark.parametrize(("path", "why"), [("gone", "404"), ("large", "larger than"), ("text", "text/plain")])
def test_what_is_no_page_is_refused(path: str, why: str) -> None:
    async def test(site: str, shared: Browser) -> None:
        with pytest.raises(ValueError, match=why):
            await check_links(progress(), shared, f"{site}/{path}")

    with_site(test)


@pytest.mark.parametrize(("path", "after_s"), [("busy", 7), ("swamped", None)])
def test_a_busy_server_is_asked_again_when_it_says(path: str, after_s: float | None) -> None:
    async def test(site: str, shared: Browser) -> None:
        with pytest.raises(Retry) as asked:
            await check_links(progress(), shared, f"{site}/{path}")
        assert asked.value.after_s == after_s

    with_site(test)


def test_a_server_that_is_not_there_is_no_reason_to_try_again_and_one_that_hangs_up_is() -> None:
    retries = make_task(check_links).retries
    assert retries.delay_s(ConnectionRefusedError(), 0, 0.5) is None
    assert retries.delay_s(ConnectionResetError(), 0, 0.5) is not None


def test_a_private_address_is_a_broken_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WINDSOCK_FETCH_PRIVATE")

    async def test(site: str, shared: Browser) -> None:
        with pytest.raises(OSError, match="not a public address"):
            await check_links(progress(), shared, f"{site}/")

    with_site(test)
