"""Looks whether the links of a web page lead anywhere. All jobs of a process share one client, and so its limits."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html.parser import HTMLParser
from socket import gaierror
from typing import Annotated, Any
from urllib.parse import urldefrag, urljoin, urlsplit

from tornado.httputil import HTTPInputError
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError, SimpleAsyncHTTPClient

from examples.fetch import Body, Url, get, resolver
from windsock import Progress, Retry, resource, task

AT_ONCE = 16  # requests of one process, whatever jobs they are for
MAX_PAGE_BYTES = 4 * 1024 * 1024
MAX_LINKS = 500
BUSY = (429, 503)  # answers of servers that want to be asked later
MAX_WAIT_S = 600
NO_HEAD = (405, 501)  # answers of servers that do not know HEAD


@dataclass(frozen=True, slots=True)
class Browser:
    """What all jobs of a process ask by."""

    client: SimpleAsyncHTTPClient
    free: asyncio.Semaphore  # a request that waits for its turn in the client would use up its time there


@resource
async def browser() -> AsyncIterator[Browser]:
    """One for each process, from before its first job until after its last."""
    client = SimpleAsyncHTTPClient(
        force_instance=True, max_clients=AT_ONCE, resolver=resolver(), max_body_size=2**40
    )  # `Page` bounds what comes
    yield Browser(client, asyncio.Semaphore(AT_ONCE))
    client.close()


@task(
    retries=3,
    retry_on=(
        ConnectionError,
        gaierror,
        HTTPTimeoutError,
        HTTPStreamClosedError,
    ),  # of the page itself; a broken link is a result
    give_up_on=ConnectionRefusedError,  # nobody is there
    backoff_s=2,
    max_backoff_s=30,
    jitter="full",
    cache_s=30,
)
async def check_links(progress: Progress, shared: Annotated[Browser, browser], url: Url) -> dict[str, Any]:
    """Look whether the links of a web page lead anywhere.

    Only http and https, and only public addresses unless WINDSOCK_FETCH_PRIVATE allows others. Of a page with very
    many links the first 500 are looked at.

    Args:
        url: the page.
    """
    links = await links_of(url, shared)
    progress.update(0, len(links), unit="links")
    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(look(link, shared, progress)) for link in links]
    broken = {link: each.result() for link, each in zip(links, looks, strict=True) if each.result()}
    return {"links": len(links), "broken": broken}


class Page(Body):
    """What comes of one page, up to a limit."""

    def __init__(self) -> None:
        super().__init__()
        self.content = bytearray()

    def __call__(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            HTTPInputError: they are too many.
        """
        super().__call__(chunk)
        self.content += chunk
        if self.size > MAX_PAGE_BYTES:
            self.refused = f"larger than {MAX_PAGE_BYTES:,} bytes"
            raise HTTPInputError(self.refused)


class Links(HTMLParser):
    """Gathers the addresses of `<a href>`, each once, in the order of the page."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base
        self.found: dict[str, None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One more element."""
        href = dict(attrs).get("href")
        if tag == "a" and href:
            link = urldefrag(urljoin(self._base, href)).url
            if urlsplit(link).scheme in ("http", "https"):
                self.found[link] = None


async def links_of(url: str, shared: Browser) -> list[str]:
    """The addresses a page links to.

    Raises:
        ValueError: it is too large, or no HTML.
        Retry: its server is busy; after the time it names.
    """
    page = Page()
    try:
        async with shared.free:
            response = await get(shared.client, url, page)
    except Exception:
        if page.refused:
            raise ValueError(f"{url}: {page.refused}") from None
        raise
    if response.code in BUSY:
        after_s = response.headers.get("Retry-After", "")
        wait_s = min(int(after_s), MAX_WAIT_S) if after_s.isascii() and after_s.isdigit() else None
        raise Retry(f"{url}: {response.code} {response.reason}", after_s=wait_s)
    kind = response.headers.get("Content-Type", "")
    if response.code != 200 or not kind.startswith("text/html"):
        raise ValueError(f"{url}: {response.code} {kind}, and a page in HTML is needed")
    links = Links(response.effective_url)
    links.feed(page.content.decode("utf-8", "replace"))
    return list(links.found)[:MAX_LINKS]


async def look(link: str, shared: Browser, progress: Progress) -> str:
    """What is wrong with a link; empty if nothing is."""
    page = Page()
    try:
        async with shared.free:
            response = await get(shared.client, link, page, "HEAD")
            if response.code in NO_HEAD:
                response = await get(shared.client, link, page)
        wrong = "" if response.code < 400 else f"{response.code} {response.reason}"
    except Exception as error:  # whatever it is, the other links are looked at
        wrong = "" if page.refused else str(error)[:200] or type(error).__name__
    progress.advance()
    if wrong:
        progress.log(f"{link}: {wrong}", "warning")
        progress.emit({"link": link, "wrong": wrong})
    return wrong
