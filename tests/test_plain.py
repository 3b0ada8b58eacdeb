"""The short way of a plain submit: no client can tell it from the long one."""

import asyncio
import json
import socket
from typing import Any

import msgpack
import pytest
from web import eventually, having

JSON = "Content-Type: application/json\r\n"
# What sends a submit the long way, and changes nothing else.
LONG = "Prefer: return=representation\r\n"


class Raw:
    """One connection on which requests are written byte by byte."""

    def __init__(self, base_url: str) -> None:
        host, port = base_url.removeprefix("http://").split(":")
        self.host, self.port = host, int(port)

    async def __aenter__(self) -> "Raw":
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def post(self, body: bytes, headers: str = JSON, *, pieces: int = 1) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to a submit."""
        head = f"POST /api/jobs HTTP/1.1\r\nHost: {self.host}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode())
        step = max(1, len(body) // pieces)
        for first in range(0, len(body), step):
            self.writer.write(body[first : first + step])
            await self.writer.drain()
            if pieces > 1:
                await asyncio.sleep(0.001)
        said = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        found = dict(line.split(": ", 1) for line in said[1:] if line)
        return int(said[0].split()[1]), found, await self.reader.readexactly(int(found["Content-Length"]))


@pytest.fixture
def raw(http_server: Any, base_url: str) -> Raw:
    return Raw(base_url)


BODIES = [
    b'{"task":"add","args":{"a":1,"b":2}}',
    b' \n{"task":"add","args":{"a":1,"b":2},"tags":["x"],"priority":3}',
    b'{"task":"nothing_of_that_name"}',
    b'{"task":"add","args":{"a":"x"}}',
    b'{"task":"add","args":{"a":1,"b":2},"colour":1}',
    b'{"task":"add"',
    b'"add"',
    b"",
    b"\xff",
    b'[{"task":"add","args":{"a":1,"b":2}}]',
    b"[]",
    b"[" * 5000,
]


def bare(body: bytes) -> Any:
    """An answer without what differs from job to job."""
    told = json.loads(body)
    for job in [told, *told.get("jobs", [])]:
        for name in ("id", "created_at", "updated_at", "cursor"):
            job.pop(name, None)
    return told


@pytest.mark.gen_test
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
async def test_the_short_and_the_long_way_say_the_same(raw: Raw, body: bytes) -> None:
    async with raw:
        status, headers, told = await raw.post(body)
        other_status, other_headers, other_told = await raw.post(body, JSON + LONG)
    assert (status, bare(told)) == (other_status, bare(other_told))
    differ = {"Location", "Date", "Content-Length"}
    assert {k: v for k, v in headers.items() if k not in differ} == {
        k: v for k, v in other_headers.items() if k not in differ
    }
    assert ("Location" in headers) == (status == 202 and body[:1] != b"[")


@pytest.mark.gen_test
async def test_the_location_leads_to_the_job(raw: Raw, http_client: Any, base_url: str) -> None:
    async with raw:
        _, headers, told = await raw.post(BODIES[0])
    assert headers["Location"] == f"/api/jobs/{json.loads(told)['id']}"
    assert (await http_client.fetch(base_url + headers["Location"])).code == 200


@pytest.mark.gen_test
@pytest.mark.parametrize("accept", ["", "Accept: application/msgpack\r\n"])
async def test_msgpack_is_read_and_written(raw: Raw, accept: str) -> None:
    body = msgpack.packb({"task": "add", "args": {"a": 1, "b": 2}})
    async with raw:
        status, headers, told = await raw.post(body, "Content-Type: application/msgpack\r\n" + accept)
    assert status == 202
    assert headers["Content-Type"] == ("application/msgpack" if accept else "application/json")
    assert (msgpack.unpackb(told) if accept else json.loads(told))["task"] == "add"


@pytest.mark.gen_test
async def test_a_body_that_comes_in_pieces_is_one(raw: Raw) -> None:
    async with raw:
        assert (await raw.post(BODIES[0], pieces=20))[0] == 202
        assert (await raw.post(BODIES[9], pieces=20))[0] == 202


@pytest.mark.gen_test
async def test_a_connection_stays_or_goes_as_the_client_wishes(raw: Raw) -> None:
    async with raw:
        assert (await raw.post(BODIES[0], JSON + "Connection: Keep-Alive\r\n"))[0] == 202
        status, headers, _ = await raw.post(BODIES[0], JSON + "Connection: close\r\n")
        assert (status, headers["Connection"]) == (202, "close")
        assert await raw.reader.read() == b""


@pytest.mark.gen_test
async def test_a_key_is_heeded(raw: Raw) -> None:
    async with raw:
        first, second = [await raw.post(BODIES[0], JSON + "Idempotency-Key: k\r\n") for _ in range(2)]
    assert (first[0], second[0]) == (202, 200)
    assert json.loads(first[2])["id"] == json.loads(second[2])["id"]


@pytest.mark.gen_test
@pytest.mark.parametrize(
    "header", ["Origin: http://elsewhere.example\r\n", "Sec-Fetch-Site: cross-site\r\n"], ids=["origin", "site"]
)
async def test_the_page_of_a_stranger_is_refused(raw: Raw, header: str) -> None:
    async with raw:
        assert (await raw.post(BODIES[0], JSON + header))[0] == 403


@pytest.mark.gen_test
async def test_a_host_that_is_not_ours_is_refused(raw: Raw) -> None:
    async with raw:
        raw.host = "evil.example"
        assert (await raw.post(BODIES[0]))[0] == 403


@having(queue_limit=1)
@pytest.mark.gen_test
async def test_a_refusal_of_the_store_says_when_to_come_back(raw: Raw) -> None:
    async with raw:
        assert (await raw.post(b'{"task":"add","args":{"a":1},"delay_s":60}'))[0] == 202
        status, headers, told = await raw.post(BODIES[0])
    assert (status, json.loads(told)["code"]) == (503, "queue_full")
    assert int(headers["Retry-After"]) >= 1


@pytest.mark.gen_test
async def test_each_is_counted_once(raw: Raw, node: Any) -> None:
    before = dict(node.metrics.submits), dict(node.metrics.requests)
    async with raw:
        for body in (BODIES[0], BODIES[2]):
            await raw.post(body)
    submits = {k: n - before[0].get(k, 0) for k, n in node.metrics.submits.items() if n != before[0].get(k, 0)}
    requests = {k: n - before[1].get(k, 0) for k, n in node.metrics.requests.items() if n != before[1].get(k, 0)}
    assert submits == {"accepted": 1, "invalid": 1}
    assert requests == {("JobsHandler", "202"): 1, ("JobsHandler", "422"): 1}


@pytest.mark.gen_test
async def test_requests_that_come_behind_each_other_are_answered_in_order(raw: Raw) -> None:
    async with raw:
        request = b"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n" + JSON.encode()
        body = b'{"task":"add","args":{"a":1,"b":2},"tags":["%d"]}'
        raw.writer.write(b"".join(request + b"Content-Length: %d\r\n\r\n" % len(body % n) + body % n for n in range(5)))
        for number in range(5):
            head = await raw.reader.readuntil(b"\r\n\r\n")
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            assert json.loads(await raw.reader.readexactly(length))["tags"] == [str(number)]


@pytest.mark.gen_test
async def test_a_client_that_goes_before_its_answer_takes_nothing_along(raw: Raw, node: Any) -> None:
    before = node.metrics.submits["accepted"]
    request = b"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n" + JSON.encode()
    with socket.create_connection((raw.host, raw.port)) as gone:
        gone.sendall(request + b"Content-Length: %d\r\n\r\n" % len(BODIES[0]) + BODIES[0])
    await eventually(lambda: node.metrics.submits["accepted"] > before)
    async with raw:
        assert (await raw.post(BODIES[0]))[0] == 202
