"""HTTP for tests: requests with their answers decoded, and requests written byte by byte."""

import asyncio
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httputil import HTTPHeaders

from server.codec import MSGPACK


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: HTTPHeaders
    body: bytes

    @property
    def value(self) -> Any:
        """The decoded body."""
        if self.headers["Content-Type"] == MSGPACK.media_type:
            return MSGPACK.decode(self.body)
        return json.loads(self.body)


class Api:
    """Asks the test's server."""

    def __init__(self, client: AsyncHTTPClient, base_url: str) -> None:
        self._client = client
        self._base_url = base_url

    async def ask(self, method: str, path: str, body: "bytes | None" = None, **headers: str) -> Answer:
        """Any request; in header names `_` stands for `-`."""
        request = HTTPRequest(
            self._base_url + path,
            method=method,
            body=body,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            allow_nonstandard_methods=True,
            follow_redirects=False,
        )
        answer = await self._client.fetch(request, raise_error=False)
        return Answer(answer.code, answer.headers, answer.body or b"")

    async def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return await self.ask("GET", path, **headers)

    async def post(self, path: str, value: Any = None, **headers: str) -> Answer:
        """POST a value as JSON; without one, no body."""
        body = b"" if value is None else json.dumps(value).encode()
        return await self.ask("POST", path, body, **{"Content_Type": "application/json", **headers})

    async def submit(self, task: str, wait_s: int = 0, **fields: Any) -> dict[str, Any]:
        """A job that is accepted: its summary, or with `wait_s` its end."""
        answer = await self.post(
            "/api/jobs", {"task": task, **fields}, **({"Prefer": f"wait={wait_s}"} if wait_s else {})
        )
        assert answer.status in (200, 202), answer.body
        return answer.value

    async def until(self, job_id: str, *states: str) -> dict[str, Any]:
        """The job, when it is in one of these states."""
        job: dict[str, Any] = {"cursor": ""}
        async with asyncio.timeout(5):
            while job.get("state") not in states:
                answer = await self.get(f"/api/jobs/{job_id}?wait=5&after={job['cursor']}")
                job = answer.value if answer.status == 200 else job
        return job


async def exchange(port: int, *parts: bytes) -> bytes:
    """The answer to these bytes, on a connection of its own."""
    reader, writer = await asyncio.open_connection("localhost", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await read_answer(reader)
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """One HTTP answer: headers, and as much body as they announce."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head + await asyncio.wait_for(reader.readexactly(int(line[15:])), 5)
    return head


async def eventually(condition: Callable[[], Any], timeout_s: float = 5.0) -> Any:
    """The first true answer of `condition`, which may be a coroutine function."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert asyncio.get_running_loop().time() < deadline, "it did not come to pass"
        await asyncio.sleep(0.01)


def having(**changes: Any) -> Callable[[Any], Any]:
    """A test whose node has these settings: the `settings` fixture heeds them."""

    def mark(test: Any) -> Any:
        chosen = pytest.mark.parametrize("settings", [changes], indirect=True, ids=[",".join(changes)])
        return pytest.mark.usefixtures("settings")(chosen(test))

    return mark
