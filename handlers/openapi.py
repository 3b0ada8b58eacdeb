"""GET /api/openapi.json: every request of protocol.md section 2 as an OpenAPI 3.1 document."""

from functools import cached_property
from typing import Any

from handlers.events import NDJSON_TYPE, SSE_TYPE
from handlers.insight_paths import insight_paths, insight_schemas
from handlers.intake import NDJSON
from handlers.jobs import DEFAULT_LIMIT, KEY, LOG_LIMIT, MAX_LOG_LIMIT, MAX_OFFSET
from handlers.operation import (
    STORE,
    SUBMIT,
    answer,
    coded,
    header,
    operation,
    path,
    query,
    text,
)
from handlers.schemas import NAME, TEXT, Schema, filters, ref, schemas, whole
from server.errors import (
    Conflict,
    Invalid,
    NotFound,
    QueueFull,
    TooMany,
    Unavailable,
)
from server.node import Node
from server.protocol import KEY_PATTERN, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from server.settings import Settings
from server.version import __version__

ABOUT = (
    "Jobs are handed in over HTTP and watched over WebSocket, Server-Sent Events or NDJSON; docs/protocol.md is the"
    " whole of it. HEAD is answered wherever GET is. `submit.*` and `arguments.*` are of the tasks that this node has"
    " loaded; values are converted where no meaning is lost, so a little more is taken than the schemas say."
)


class Document:
    """Owns the document of a node, from the first time that somebody asks: tasks do not change."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @cached_property
    def value(self) -> dict[str, Any]:
        """The document, an OpenAPI 3.1 object."""
        settings = self._node.settings
        return {
            "openapi": "3.1.0",
            "info": {"title": "Windsock", "version": __version__, "description": ABOUT},
            "paths": {**_job_paths(settings), **insight_paths(settings), **_house_paths()},
            "components": {"schemas": {**schemas(self._node.registry), **insight_schemas()}},
        }


# the requests


def _job_paths(settings: Settings) -> dict[str, Schema]:
    one = {"parameters": [path("id", {**TEXT, "pattern": "^[A-Za-z0-9]{1,64}$"})]}
    summary = ref("Summary")
    asked = answer("The job, asked to end.", summary, "Location")
    again = {
        200: answer("The same job that waits or runs already.", summary, "Location"),
        202: answer("A new job.", summary, "Location"),
    }
    page = {200: text("HTML that needs nothing else.", "text/html")}
    return {
        "/api/jobs": {"get": _list(settings), "post": _submit(settings)},
        "/api/jobs/{id}": {
            **one,
            "get": _get(settings),
            "delete": operation("delete", "Forget an ended job.", {204: {"description": "Gone."}}, [*STORE, Conflict]),
        },
        "/api/jobs/{id}/log": {**one, "get": _read_log()},
        "/api/jobs/{id}/report.html": {**one, "get": operation("report", "A job as one HTML file.", page, STORE)},
        "/api/jobs/{id}/children": {**one, "get": _children(settings)},
        "/api/jobs/{id}/events": {**one, "get": _events()},
        "/api/jobs/{id}/cancel": {
            **one,
            "post": operation("cancel", "Ask a job to end.", {202: asked}, [*STORE, Conflict]),
        },
        "/api/jobs/{id}/rerun": {
            **one,
            "post": operation("rerun", "Run an ended job anew.", again, [*STORE, Conflict, Invalid, QueueFull]),
        },
    }


def _submit(settings: Settings) -> Schema:
    told = ("Location", "Preference-Applied")  # not of a batch
    either = {"oneOf": [ref("Submission"), ref("Batch")]}
    answers = {
        200: answer("A job that stands for it, or the end that was waited for.", ref("Ended"), *told),
        202: answer("New jobs.", {"anyOf": [ref("Summary"), ref("BatchAnswer")]}, *told),
    }
    lines = {**TEXT, "description": "a submission in each line"}
    sizes = f"{settings.body_bytes} bytes, a batch {settings.batch_body_bytes}; the arguments {settings.args_bytes}"
    body = {
        "description": f"At most {sizes}.",
        "required": True,
        "content": {**coded(either), NDJSON: {"schema": lines}},
    }
    return operation(
        "submit",
        "Submit a job, or a batch.",
        answers,
        SUBMIT,
        header("Prefer", TEXT, f"`wait=SECONDS`, at most {settings.wait_s:g}: answer when the job has ended"),
        query("group", NAME, "of a batch: its jobs are the children of a job of this name, which ends when they have"),
        header(
            KEY,
            {**TEXT, "pattern": KEY_PATTERN},
            "the same key and body give the first job or group again; not with other batches",
        ),
        requestBody=body,
    )


def _list(settings: Settings) -> Schema:
    return operation(
        "list",
        "Jobs, newest first.",
        {200: answer("A page.", ref("Page"))},
        [Invalid, Unavailable],
        *_page(settings, *filters()),
    )


def _children(settings: Settings) -> Schema:
    return operation(
        "children",
        "The children of a job, or the jobs of a group, newest first.",
        {200: answer("A page.", ref("Page"))},
        [*STORE, Invalid],
        *_page(settings, "state"),
    )


def _page(settings: Settings, *fields: str) -> tuple[Schema, ...]:
    known = filters()
    return (
        *(query(name, known[name], "any of these") for name in fields),
        query("limit", whole(1, settings.feed_limit, DEFAULT_LIMIT), "most jobs of a page"),
        query("before", {**TEXT, "pattern": "^[A-Za-z0-9]+$"}, "what `next` of the page before said"),
    )


def _get(settings: Settings) -> Schema:
    return operation(
        "get",
        "One job; with `after` and `wait` as soon as there is news, with `until` at its end.",
        {
            200: answer("The whole job.", ref("Job"), "ETag"),
            304: {"description": "No news, or not the end.", "headers": {"ETag": {"schema": TEXT}}},
        },
        [*STORE, Invalid],
        query("after", TEXT, "the cursor of what is known"),
        query("wait", whole(0, int(settings.wait_s), 0), "seconds to wait for news or for the end"),
        query("until", {"enum": ["end"]}, "wait for the end, whatever else is new"),
        header("If-None-Match", TEXT, "the same as `after`, as the ETag says it"),
    )


def _read_log() -> Schema:
    return operation(
        "log",
        "A piece of a job's log.",
        {200: answer("Entries with their offsets.", ref("Log"))},
        [*STORE, Invalid],
        query("after", whole(0, MAX_OFFSET, 0), "offset of the last entry that is known"),
        query("limit", whole(1, MAX_LOG_LIMIT, LOG_LIMIT), "most entries"),
    )


def _events() -> Schema:
    frames = {"description": "Frames as they come.", "content": {SSE_TYPE: {}, NDJSON_TYPE: {}}}
    wish = {**TEXT, "pattern": "^(all|none|[0-9]{1,9})$", "default": "all"}
    return operation(
        "events",
        "The frames of a job, up to its end.",
        {200: frames, 204: {"description": "Its end is known already."}},
        [*STORE, Invalid, TooMany],
        query("after", TEXT, "the cursor of what is known"),
        query("log", wish, "how much of the log: all, none, or so many of the last entries"),
        header("Last-Event-ID", TEXT, "the same as `after`, and wins over it"),
    )


def _house_paths() -> dict[str, Schema]:
    tasks, nodes = answer("All tasks.", ref("Tasks")), answer("All processes alive.", ref("Nodes"))
    document = answer("OpenAPI 3.1.", {"type": "object"})
    health = {200: answer("It is.", ref("Alive"))}
    ready = {200: answer("It is.", ref("Ready"))}
    metrics = {200: text("The text of Prometheus.", "text/plain")}
    return {
        "/api/tasks": {"get": operation("tasks", "The tasks of this node.", {200: tasks})},
        "/api/nodes": {"get": operation("nodes", "The processes alive.", {200: nodes}, [Unavailable])},
        "/api/openapi.json": {"get": operation("openapi", "This document.", {200: document})},
        "/api/stream": {"get": _stream()},
        "/metrics": {"get": operation("metrics", "What this process has counted.", metrics)},
        "/healthz": {"get": operation("healthz", "Whether the process is alive.", health)},
        "/readyz": {"get": operation("readyz", "Whether it can be given work.", ready, [Unavailable])},
        "/": {"get": operation("page", "The page.", {200: text("HTML.", "text/html")})},
        "/static/{file}": {"parameters": [path("file", TEXT)], "get": _file()},
    }


def _stream() -> Schema:
    protocols = f"{SUBPROTOCOL_MSGPACK} or {SUBPROTOCOL_JSON}"
    return operation(
        "stream",
        "A WebSocket: section 3 of docs/protocol.md.",
        {101: {"description": f"The subprotocol is {protocols}."}},
        [TooMany, Unavailable],
    )


def _file() -> Schema:
    part: Schema = {"content": {"*/*": {}}}
    return operation(
        "file",
        "A file of the page.",
        {
            200: {"description": "The file.", **part},
            206: {"description": "The range that was asked for.", **part},
            304: {"description": "It has not changed."},
            416: {"description": "There is no such range.", **part},
        },
        [NotFound],
    )
