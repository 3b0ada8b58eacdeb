"""The web application: which path leads to which handler, and the life of the HTTP server."""

import asyncio
import errno
import logging
import socket
from functools import partial
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from handlers.about import HealthHandler, MetricsHandler, NodesHandler, OpenApiHandler, ReadyHandler, TasksHandler
from handlers.base import Door, NotFoundHandler, host_name, log_request
from handlers.events import EventsHandler
from handlers.insight import KeptProfileHandler, ProfileHandler, ProfilesHandler, StackHandler
from handlers.intake import UNBOUNDED, MeasuredApplication
from handlers.jobs import ChildrenHandler, CommandHandler, JobHandler, JobsHandler, LogHandler
from handlers.listening import Listening
from handlers.openapi import Document
from handlers.pages import STATIC, FilesHandler, PageHandler
from handlers.plain import PlainSubmits
from handlers.report import ReportHandler
from handlers.sockets import Sockets
from handlers.websocket import StreamHandler
from server.errors import StartupError
from server.node import Node

log = logging.getLogger("windsock.http")
JOB = r"/api/jobs/([A-Za-z0-9]{1,64})"


def make_application(node: Node, sockets: Sockets, door: Door) -> MeasuredApplication:
    """The routes, wired to a node."""
    wired: dict[str, Any] = {"node": node, "door": door}
    return MeasuredApplication(
        [
            (r"/", PageHandler, wired),
            (r"/static/(.+)", FilesHandler, {**wired, "path": str(STATIC)}),
            (r"/api/jobs", JobsHandler, wired),
            (JOB, JobHandler, wired),
            (JOB + r"/log", LogHandler, wired),
            (JOB + r"/report\.html", ReportHandler, wired),
            (JOB + r"/children", ChildrenHandler, wired),
            (JOB + r"/(cancel|rerun)", CommandHandler, wired),
            (JOB + r"/stack", StackHandler, wired),
            (JOB + r"/profile", ProfileHandler, wired),
            (JOB + r"/profiles", ProfilesHandler, wired),
            (JOB + r"/profiles/(\d{1,9})\.(html|json|pstats)", KeptProfileHandler, wired),
            (JOB + r"/events", EventsHandler, {**wired, "sockets": sockets}),
            (r"/api/tasks", TasksHandler, wired),
            (r"/api/nodes", NodesHandler, wired),
            (r"/api/stream", StreamHandler, {**wired, "sockets": sockets}),
            (r"/api/openapi\.json", OpenApiHandler, {**wired, "document": Document(node)}),
            (r"/metrics", MetricsHandler, wired),
            (r"/healthz", HealthHandler, wired),
            (r"/readyz", ReadyHandler, wired),
        ],
        default_handler_class=NotFoundHandler,
        default_handler_args=wired,
        limits=node.settings,
        plain=PlainSubmits(node, lambda header: door.admits(host_name(header)), shared=bool(door.origins.headers({}))),
        origins=door.origins,
        log_function=partial(log_request, node.metrics),
        compress_response=False,
        websocket_max_message_size=node.settings.message_bytes,
        websocket_ping_interval=0,
    )


class WebServer:
    """Listens for a node, from `start` to `stop`."""

    def __init__(self, node: Node) -> None:
        settings = node.settings
        self._settings = settings
        self.sockets = Sockets(node)
        door = Door(settings.host, settings.allow_host, settings.allow_origin)
        self.application = make_application(node, self.sockets, door)
        self._server = HTTPServer(
            self.application,
            max_body_size=UNBOUNDED,  # the application takes the measure
            max_buffer_size=settings.body_bytes + 64 * 1024,
            max_header_size=32 * 1024,
        )
        self._server.conn_params.header_timeout = None  # the application waits, for bodies too
        self._listening: list[socket.socket] = []
        self.port = 0

    def bind(self) -> None:
        """Take the port. Nothing is answered before `start`.

        Raises:
            StartupError: the address is taken or not ours.
        """
        settings = self._settings
        try:
            bound = bind_sockets(settings.port, settings.host, backlog=settings.backlog)
        except OSError as error:
            raise StartupError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error};"
                f" choose another {'--port' if error.errno in (errno.EADDRINUSE, errno.EACCES) else '--host'}"
            ) from None
        self._listening = [Listening(one, self.sockets.gate) for one in bound]
        self.port = self._listening[0].getsockname()[1]

    def start(self) -> None:
        """Answer."""
        self._server.add_sockets(self._listening)
        self._listening = []
        self.sockets.start()

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = self._settings.host
        shown = "127.0.0.1" if host in ("0.0.0.0", "") else f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self.port}"

    async def drain(self) -> None:
        """Tell the clients; new connections still get their answers, submits are refused by the node."""
        await self.sockets.drain()

    async def stop(self) -> None:
        """Listen no more, end what is open."""
        for unused in self._listening:
            unused.close()
        self._server.stop()
        await self.sockets.stop()
        try:
            async with asyncio.timeout(2.0):
                await self._server.close_all_connections()
        except TimeoutError:
            log.info("some connections did not close in time")
