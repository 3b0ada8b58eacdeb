"""Refusals as problem+json (RFC 9457)."""

import math
from http.client import responses
from typing import Any

from server.errors import Invalid, WindsockError

MEDIA_TYPE = "application/problem+json"


def problem(error: WindsockError) -> dict[str, Any]:
    """The body that says what was wrong and what to do."""
    body: dict[str, Any] = {
        "type": f"urn:windsock:problem:{error.code.value}",
        "title": responses.get(error.status, "Refused"),
        "status": error.status,
        "detail": error.message,
        "code": error.code.value,
    }
    if isinstance(error, Invalid):
        body["errors"] = [{"field": one.field, "message": one.message} for one in error.errors]
    return body


def retry_after(error: WindsockError) -> str:
    """The value of `Retry-After` (RFC 9110, section 10.2.3): whole seconds, at least one."""
    return str(max(1, math.ceil(error.after_s or 0.0)))
