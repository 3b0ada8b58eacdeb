"""Submits with an idempotency key, from outside a server's process."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from processes import Answer


def keyed(url: str, body: Any, key: str, timeout_s: float = 30.0) -> Answer:
    """POST /api/jobs with a key, on a connection of its own."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=timeout_s)
    try:
        headers = {"Connection": "close", "Content-Type": "application/json", "Idempotency-Key": key}
        connection.request("POST", "/api/jobs", json.dumps(body), headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, json.loads(response.read()))
    finally:
        connection.close()
