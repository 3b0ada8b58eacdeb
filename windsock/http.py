"""HTTP/1.1 as a client speaks it (RFC 9112): bytes of a request, and an answer out of bytes. Pure.

Who reads from a socket is not said here: `answer` asks for the bytes it needs and is given them.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass

MAX_LINE = 64 * 1024
MAX_HEADERS = 200
MAX_BODY = 256 * 1024 * 1024
LINE, REST = 0, -1  # what may be asked for beside a number of bytes: a line with its end; all until the connection ends
_NO_BODY = frozenset({204, 304})

Reading = Generator[int, bytes, "Answer"]


class BadAnswer(Exception):
    """The bytes are no answer of HTTP."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    target: str  # path and query
    headers: Mapping[str, str]
    body: bytes | None = None

    def encode(self) -> bytes:
        """Its bytes."""
        headers = dict(self.headers)
        if self.body is not None:
            headers["Content-Length"] = str(len(self.body))
        elif self.method == "POST":
            headers["Content-Length"] = "0"
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if any(character in line for line in lines for character in "\r\n\0"):
            raise ValueError("a line break in a header")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (self.body or b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    keeps: bool  # whether the connection may be used again


def answer(method: str) -> Reading:
    """Read the answer to a request; yields what it needs (LINE, REST or a number of bytes) and is sent the bytes.

    Raises:
        BadAnswer: it is none.
    """
    status, version, headers = 100, "", {}
    while 100 <= status < 200:  # interim answers are not ours
        version, status = _status(_whole((yield LINE)))
        headers = yield from _headers()
    keeps = version == "HTTP/1.1" and "close" not in headers.get("connection", "").lower()
    if method == "HEAD" or status in _NO_BODY:
        return Answer(status, headers, b"", keeps)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return Answer(status, headers, (yield from _chunks()), keeps)
    if "content-length" in headers:
        size = _number(headers["content-length"], 10)
        return Answer(status, headers, (yield size) if size else b"", keeps)
    return Answer(status, headers, (yield REST), False)


def _status(line: str) -> tuple[str, int]:
    version, _, rest = line.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
        raise BadAnswer("not HTTP")
    return version, int(rest[:3])


def _headers() -> Generator[int, bytes, dict[str, str]]:
    headers: dict[str, str] = {}
    for _ in range(MAX_HEADERS):
        line = _whole((yield LINE))
        if not line:
            return headers
        name, colon, value = line.partition(":")
        if not colon:
            raise BadAnswer("a header without a colon")
        headers[name.strip().lower()] = value.strip()
    raise BadAnswer("too many headers")


def _chunks() -> Generator[int, bytes, bytes]:
    parts: list[bytes] = []
    total = 0
    while size := _number(_whole((yield LINE)).partition(";")[0].strip(), 16):
        total += size
        if total > MAX_BODY:
            raise BadAnswer("too long")
        parts.append((yield size))
        yield LINE
    yield from _headers()  # trailers
    return b"".join(parts)


def _whole(line: bytes) -> str:
    if not line.endswith(b"\n"):
        raise BadAnswer("cut off, or a line too long")
    return line.rstrip(b"\r\n").decode("latin-1")


def _number(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if not 0 <= number <= MAX_BODY:
        raise BadAnswer("a length that is none")
    return number
