"""`windsock.submit`: the client of this process, made when it is first wanted."""

import atexit
from functools import cache
from typing import Any

from windsock.address import chosen_url
from windsock.client import Client
from windsock.handles import JobHandle
from windsock.submission import Options


def submit(task: str, options: Options | None = None, /, **args: Any) -> JobHandle:
    """Hand in a job to the server in WINDSOCK_URL, else to http://127.0.0.1:8765; see `Client.submit`."""
    return _client(chosen_url()).submit(task, options, **args)


@cache
def _client(url: str) -> Client:
    client = Client(url)
    atexit.register(client.close)
    return client
