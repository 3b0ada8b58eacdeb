"""Fetches web pages, and refuses to be sent into the private network."""

import asyncio
import os
import socket
import time
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field
from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.httputil import HTTPInputError
from tornado.netutil import DefaultLoopResolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from windsock import Progress, task

VARIABLE = "WINDSOCK_FETCH_PRIVATE"
AT_ONCE = 8
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_REDIRECTS = 5
CONNECT_S = 10.0
REQUEST_S = 60.0
NAT64 = IPv6Network("64:ff9b::/96")

Url = Annotated[str, Field(min_length=1, max_length=2000)]


@task
async def fetch(progress: Progress, urls: Annotated[list[Url], Field(min_length=1, max_length=100)]) -> dict[str, Any]:
    """Fetch web pages, eight at a time: status, bytes and seconds of each.

    Only http and https, and only public addresses unless WINDSOCK_FETCH_PRIVATE allows others.

    Args:
        urls: what to fetch.
    """
    progress.update(0, len(urls), unit="pages")
    client = SimpleAsyncHTTPClient(
        force_instance=True, max_clients=AT_ONCE, resolver=resolver(), max_body_size=2**40
    )  # our own count bounds the body: it knows how to say so
    free = asyncio.Semaphore(AT_ONCE)
    try:
        async with asyncio.TaskGroup() as group:
            started = [group.create_task(one(client, free, url, progress)) for url in urls]
    finally:
        client.close()
    results = [each.result() for each in started]
    failed = sum("error" in result for result in results)
    total = sum(result["bytes"] for result in results)
    return {"fetched": len(results) - failed, "failed": failed, "bytes": total, "results": results}


async def one(client: SimpleAsyncHTTPClient, free: asyncio.Semaphore, url: str, progress: Progress) -> dict[str, Any]:
    """Fetch one page and tell of it; an error is part of what is told."""
    async with free:
        body = Body()
        began = time.monotonic()
        told: dict[str, Any] = {"url": url}
        try:
            response = await get(client, url, body)
            told |= {"status": response.code, "type": response.headers.get("Content-Type", "")[:100]}
        except Exception as error:  # whatever it is, the other pages are fetched
            told |= {"error": body.refused or str(error)[:500] or type(error).__name__}
        told |= {"bytes": body.size, "seconds": round(time.monotonic() - began, 3)}
    level = "warning" if "error" in told else "info"
    progress.log(f"{told.get('error', told.get('status'))} {url} {body.size} bytes in {told['seconds']} s", level)
    progress.emit(told)
    progress.advance()
    return told


class Body:
    """Counts what arrives of one page and ends it when it is too much. Nothing is kept."""

    def __init__(self) -> None:
        self.size = 0  # bytes
        self.refused = ""  # why it was ended

    def __call__(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            HTTPInputError: they are too many; Tornado then closes the connection without an error in its log.
        """
        self.size += len(chunk)
        if self.size > MAX_BODY_BYTES:
            self.refused = f"stopped: larger than {MAX_BODY_BYTES:,} bytes, the limit for one page"
            raise HTTPInputError(self.refused)


async def get(client: SimpleAsyncHTTPClient, url: str, body: Body, method: str = "GET") -> HTTPResponse:
    """The answer to one request, redirects followed.

    Raises:
        ValueError: not an address of the web.
        OSError: not reachable, or refused by `PublicOnly`.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("only http:// and https:// are fetched")
    request = HTTPRequest(
        url,
        method=method,
        streaming_callback=body,
        connect_timeout=CONNECT_S,
        request_timeout=REQUEST_S,
        max_redirects=MAX_REDIRECTS,
        decompress_response=False,  # the bytes counted are those that came
        user_agent="windsock-example-fetch",
    )
    future = client.fetch(request, raise_error=False)
    # A cancelled job looks away while Tornado goes on to its timeout, and would log the outcome as an error.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(future)


class PublicOnly(DefaultLoopResolver):
    """Resolves names to public addresses only.

    The client connects to just the addresses returned here, for redirects too, so a name cannot be public
    when it is checked and private when it is used (DNS rebinding).
    """

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        """The addresses of `host`.

        Raises:
            OSError: unknown host, or at least one address is not public.
        """
        found = await super().resolve(host, port, family)
        for _, address in found:
            if not is_public(address[0]):
                raise OSError(f"refused: {host} is {address[0]}, not a public address ({VARIABLE}=1 allows it)")
        return found


def resolver() -> DefaultLoopResolver:
    """The way from names to addresses that the settings ask for."""
    allowed = os.environ.get(VARIABLE, "").lower() in ("1", "true", "t", "yes", "y", "on")
    chosen: DefaultLoopResolver = DefaultLoopResolver() if allowed else PublicOnly()
    return chosen


def is_public(text: str) -> bool:
    """Whether an address is of the open internet: not loopback, private, link-local, multicast, reserved."""
    address = inner(ip_address(text))
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_loopback or address.is_link_local
    )


def inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where it does: mapped, 6to4, NAT64."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
