"""The dashboard and its files."""

import re
from pathlib import Path
from typing import Any

from tornado.web import StaticFileHandler

from handlers.base import CONTENT_SECURITY_POLICY, Answering, Door, Handler, refuse_foreign
from server.errors import NotFound
from server.node import Node

_PLAIN_HOST = re.compile(r"[A-Za-z0-9_.-]+(:\d+)?\Z|\[[0-9a-fA-F:.]+\](:\d+)?\Z")  # a policy holds no other words
STATIC = Path(__file__).resolve().parent.parent / "static"


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
        self.finish((STATIC / "index.html").read_bytes())


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

    def set_extra_headers(self, path: str) -> None:
        """Modules are asked for again each time, cheaply: by ETag."""
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Content-Security-Policy", _policy(self))
