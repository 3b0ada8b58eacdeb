"""Batches of submits: bodies that hold many, read a piece at a time, and the answer to them."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tornado.httputil import HTTPServerRequest

from handlers.intake import NDJSON, media_type_of
from handlers.plain import BLANKS, CODECS
from handlers.problem import problem
from server.arrays import elements, is_array
from server.broker import Submitted
from server.codec import JSON, Codec
from server.errors import BadRequest, Invalid, TooLarge
from server.submitting import Outcome

MAX_JOBS = 10_000
TURN_S = 0.005  # after so much decoding the loop has a turn


def is_batch(request: HTTPServerRequest) -> bool:
    """Whether a submit holds many jobs."""
    media_type = media_type_of(request.headers)
    codec = CODECS.get(media_type)
    if codec is None:
        return media_type == NDJSON
    begin = request.body[:1] if codec.binary else request.body.lstrip(BLANKS)[:1]
    return bool(begin) and is_array(codec, begin[0])


async def submissions(request: HTTPServerRequest) -> Sequence[Any]:
    """The submissions in a body, decoded but not checked; of NDJSON a refusal for each line that cannot be read.

    Raises:
        BadRequest: an array that cannot be read.
        Invalid, TooLarge: there are none; there are too many.
    """
    codec = CODECS.get(media_type_of(request.headers))
    values: list[Any] = []
    until = time.perf_counter() + TURN_S
    for value in _lines(request.body) if codec is None else elements(codec, request.body):
        values.append(value)
        if len(values) > MAX_JOBS:
            raise TooLarge(f"a batch may have {MAX_JOBS} jobs")
        if time.perf_counter() > until:
            await asyncio.sleep(0)
            until = time.perf_counter() + TURN_S
    if not values:
        raise Invalid.field("body", f"an empty batch: send 1 to {MAX_JOBS} jobs")
    return values


def _lines(body: bytes) -> Iterator[Any]:
    """The values of NDJSON; blank lines are none."""
    start = 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        line = body[start:end].strip()
        start = end + 1
        if line:
            try:
                yield JSON.decode(line)
            except BadRequest as error:
                yield error


def shown(outcome: Outcome) -> dict[str, Any]:
    """A summary or a problem."""
    return outcome.job.summary() if isinstance(outcome, Submitted) else problem(outcome)


def enveloped(codec: Codec, encoded: list[bytes], ahead: Mapping[str, Any] = MappingProxyType({})) -> bytes:
    """`{"jobs": [...]}` around what was encoded one by one, and other fields ahead of it."""
    before, _, after = codec.encode({**ahead, "jobs": []}).rpartition(codec.join([]))
    return before + codec.join(encoded) + after
