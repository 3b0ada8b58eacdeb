"""The parts that an operation of the OpenAPI document is made of."""

from collections.abc import Iterable
from typing import Any

from handlers.problem import MEDIA_TYPE
from handlers.schemas import TEXT, Schema, ref
from server.codec import JSON, MSGPACK
from server.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    InternalError,
    Invalid,
    NotFound,
    QueueFull,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
    WindsockError,
)

Refusals = Iterable[type[WindsockError]]
ALWAYS: Refusals = (BadRequest, Forbidden, TooLarge, InternalError)  # whatever is asked
STORE: Refusals = (NotFound, Unavailable)  # of what looks at a job
SUBMIT: Refusals = (Conflict, UnsupportedMedia, Invalid, QueueFull, Unavailable)


def operation(
    name: str, summary: str, answers: dict[int, Schema], refusals: Refusals = (), *asked: Schema, **more: Any
) -> Schema:
    """One method of one path: `asked` are its parameters, `more` is what else OpenAPI knows of an operation."""
    responses = {**answers, **_refused([*ALWAYS, *refusals])}
    parameters = {"parameters": list(asked)} if asked else {}
    return {
        "operationId": name,
        "summary": summary,
        **parameters,
        **more,
        "responses": {str(status): responses[status] for status in sorted(responses)},
    }


def _refused(refusals: Refusals) -> dict[int, Schema]:
    """The refusals by status; two may share one."""
    shared: dict[int, list[type[WindsockError]]] = {}
    for refusal in refusals:
        shared.setdefault(refusal.status, []).append(refusal)
    return {status: _refusal(status, sharing) for status, sharing in shared.items()}


def _refusal(status: int, sharing: list[type[WindsockError]]) -> Schema:
    own = {"status": {"const": status}, "code": {"enum": [one.code.value for one in sharing]}}
    schema = {"allOf": [ref("Problem"), {"type": "object", "properties": own}]}
    about = " ".join(f"`{one.code.value}`: {(one.__doc__ or '').strip()}" for one in sharing)
    answer: Schema = {"description": about, "content": {MEDIA_TYPE: {"schema": schema}}}
    if any(one.retryable for one in sharing):
        seconds = {"type": "integer", "minimum": 1, "description": "seconds until it may be tried again"}
        answer["headers"] = {"Retry-After": {"schema": seconds}}
    return answer


def coded(schema: Schema) -> Schema:
    """A body in either codec."""
    return {codec.media_type: {"schema": schema} for codec in (JSON, MSGPACK)}


def answer(about: str, schema: Schema, *headers: str) -> Schema:
    """An answer in either codec, with headers of its own."""
    told = {"headers": {name: {"schema": TEXT} for name in headers}} if headers else {}
    return {"description": about, **told, "content": coded(schema)}


def text(about: str, media_type: str) -> Schema:
    """An answer of another type."""
    return {"description": about, "content": {media_type: {"schema": TEXT}}}


def query(name: str, schema: Schema, about: str) -> Schema:
    """A parameter of the query."""
    return {"name": name, "in": "query", "description": about, "schema": schema}


def header(name: str, schema: Schema, about: str) -> Schema:
    """A header that is heeded."""
    return {"name": name, "in": "header", "description": about, "schema": schema}


def path(name: str, schema: Schema) -> Schema:
    """A part of the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


def whole(least: int, most: int, default: int) -> Schema:
    """A whole number."""
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}
