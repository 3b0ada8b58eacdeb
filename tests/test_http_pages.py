"""The page and its files over HTTP: packed for those who unpack, asked for again only when they changed."""

import gzip
from pathlib import Path

import pytest
from web import exchange

STATIC = Path(__file__).parent.parent / "static"


async def ask(port: int, path: str, *lines: str, method: str = "GET") -> tuple[str, dict[str, str], bytes]:
    """Status line, headers in small letters and the very body."""
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *lines]
    answer = await exchange(port, "\r\n".join(head).encode() + b"\r\n\r\n")
    top, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = top.decode().split("\r\n")
    return status, {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}, body


@pytest.mark.gen_test
async def test_page_and_files_are_packed_for_those_who_unpack(port):
    for path, file in (("/", "index.html"), ("/static/app.js", "app.js"), ("/static/style.css", "style.css")):
        plain = (STATIC / file).read_bytes()
        _, headers, body = await ask(port, path, "Accept-Encoding: br, gzip")
        assert (headers["content-encoding"], headers["vary"]) == ("gzip", "Accept-Encoding")
        assert gzip.decompress(body) == plain
        assert len(body) < len(plain) * 0.7
        _, headers, body = await ask(port, path)
        assert "content-encoding" not in headers
        assert (headers["vary"], body) == ("Accept-Encoding", plain)


@pytest.mark.gen_test
async def test_a_piece_of_a_file_is_never_packed(port):
    status, headers, body = await ask(port, "/static/app.js", "Accept-Encoding: gzip", "Range: bytes=3-12")
    assert status.startswith("HTTP/1.1 206")
    assert "content-encoding" not in headers
    assert body == (STATIC / "app.js").read_bytes()[3:13]


@pytest.mark.gen_test
async def test_what_did_not_change_is_not_sent_again_packed_or_not(port):
    tags = set()
    for lines in (["Accept-Encoding: gzip"], []):
        _, headers, _ = await ask(port, "/static/app.js", *lines)
        tags.add(headers["etag"])
        status, _, _ = await ask(port, "/static/app.js", *lines, f"If-None-Match: {headers['etag']}", method="HEAD")
        assert status.startswith("HTTP/1.1 304")
    assert len(tags) == 2
