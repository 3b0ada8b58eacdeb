"""The dashboard and its files."""

import gzip
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import StaticFileHandler

from handlers.base import CONTENT_SECURITY_POLICY, Answering, Door, Handler, refuse_foreign
from server.errors import NotFound
from server.node import Node

_PLAIN_HOST = re.compile(r"[A-Za-z0-9_.-]+(:\d+)?\Z|\[[0-9a-fA-F:.]+\](:\d+)?\Z")  # a policy holds no other words
STATIC = Path(__file__).resolve().parent.parent / "static"
PACKED = frozenset({".css", ".html", ".js", ".svg"})  # text, which is a third when it is packed


@lru_cache(maxsize=256)
def _packed(path: str, changed_at: float) -> bytes:
    """A file, gzipped once for each time it was changed at."""
    return gzip.compress(Path(path).read_bytes(), 9, mtime=0)


def _takes_gzip(request: HTTPServerRequest) -> bool:
    """Whether a client said that it unpacks, and does not ask for a piece."""
    words = request.headers.get("Accept-Encoding", "").lower().replace(" ", "").split(",")
    return "gzip" in words and "Range" not in request.headers


def _policy(handler: Any) -> str:
    """The CSP; Safari wants the socket's origin by name."""
    host = handler.request.headers.get("Host", "")
    sockets = f"ws://{host} wss://{host}" if _PLAIN_HOST.match(host) else ""
    return CONTENT_SECURITY_POLICY.format(sockets=sockets)


class PageHandler(Handler):
    """GET / is the dashboard."""

    def get(self) -> None:
        """The page; the browser asks again each time, so that a new release is seen at once."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", _policy(self))
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Vary", "Accept-Encoding")
        page = STATIC / "index.html"
        if _takes_gzip(self.request):
            self.set_header("Content-Encoding", "gzip")
            self.finish(_packed(str(page), page.stat().st_mtime))
        else:
            self.finish(page.read_bytes())


class FilesHandler(Answering, StaticFileHandler):
    """Files below `static/`, and never any other."""

    def initialize(self, path: str, node: Node, door: Door) -> None:  # type: ignore[override]
        """Take what the application was wired with."""
        super().initialize(path)
        self.door = door

    def prepare(self) -> None:
        """Only for requests meant for us."""
        refuse_foreign(self.request, self.door, unsafe=False)
        if "\0" in self.path_args[0]:
            raise NotFound("no such file")
        if self._is_packed():  # Tornado's is a classmethod, and does not know who asks
            self.get_content = self._get_packed  # type: ignore[assignment, method-assign]

    def set_extra_headers(self, path: str) -> None:
        """Modules are asked for again each time, cheaply: by ETag."""
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Content-Security-Policy", _policy(self))
        self.share()
        self.set_header("Vary", "Accept-Encoding")
        if self._is_packed():
            self.set_header("Content-Encoding", "gzip")

    def _is_packed(self) -> bool:
        return Path(self.request.path).suffix in PACKED and _takes_gzip(self.request)

    def _get_packed(self, abspath: str, start: int | None = None, end: int | None = None) -> Iterable[bytes]:
        return [self._pack()]

    def _pack(self) -> bytes:
        path = Path(self.absolute_path or "")
        return _packed(str(path), path.stat().st_mtime)

    def compute_etag(self) -> str | None:
        """That of the file; another one when it is packed, for those are other bytes."""
        etag = super().compute_etag()
        return f'{etag[:-1]}-gzip"' if etag and self._is_packed() else etag

    def get_content_size(self) -> int:
        """Of what is sent."""
        return len(self._pack()) if self._is_packed() else super().get_content_size()
