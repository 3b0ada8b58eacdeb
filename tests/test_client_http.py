"""HTTP out of bytes."""

import json

import pytest

from windsock.http import LINE, REST, Answer, BadAnswer, Request, answer


def read(data: bytes, method: str = "GET") -> tuple[Answer, bytes]:
    """The answer in `data`, and what is left behind it."""
    reading = answer(method)
    wanted = next(reading)
    try:
        while True:
            end = data.find(b"\n") + 1 if wanted == LINE else len(data) if wanted == REST else wanted
            piece, data = data[:end], data[end:]
            wanted = reading.send(piece)
    except StopIteration as done:
        return done.value, data


def test_a_body_of_known_length_is_read_and_nothing_behind_it() -> None:
    found, rest = read(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nX: a:b\r\n\r\n{}HTTP")
    assert (found.status, found.body, found.keeps, found.headers["x"]) == (202, b"{}", True, "a:b")
    assert rest == b"HTTP"


def test_a_body_in_chunks_is_put_together() -> None:
    chunks = b"4;x=y\r\nabcd\r\n2\r\nef\r\n0\r\nTrailer: 1\r\n\r\n"
    found, rest = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert (found.body, found.keeps, rest) == (b"abcdef", True, b"")


def test_a_body_without_length_ends_with_the_connection() -> None:
    found, _ = read(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    assert (found.body, found.keeps) == (b"all of it", False)


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: Close\r\n"])
def test_a_connection_that_will_close_is_not_kept(head: bytes) -> None:
    assert not read(head + b"Content-Length: 0\r\n\r\n")[0].keeps


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_some_answers_have_no_body_whatever_their_headers_say(method: str, status: int) -> None:
    found, rest = read(b"HTTP/1.1 %d X\r\nContent-Length: 9\r\n\r\n" % status, method)
    assert (found.body, rest) == (b"", b"")


def test_interim_answers_are_passed_over() -> None:
    found, _ = read(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert found.status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 201 + b"\r\n",
    ],
)
def test_what_is_no_http_is_told(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        read(data)


def test_chunks_that_are_too_long_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("windsock.http.MAX_BODY", 10)
    with pytest.raises(BadAnswer, match="too long"):
        read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n")


def test_a_request_has_its_length_and_its_body_behind_an_empty_line() -> None:
    body = json.dumps({"a": 1}).encode()
    head, _, rest = Request("POST", "/x", {"Host": "h"}, body).encode().partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [b"POST /x HTTP/1.1", b"Host: h", b"Content-Length: 8"]
    assert rest == body
    assert b"Content-Length: 0" in Request("POST", "/x", {}).encode()
    assert b"Content-Length" not in Request("GET", "/x", {}).encode()


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0b"])
def test_a_header_cannot_smuggle_another(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        Request("GET", "/", {"Idempotency-Key": value}).encode()
