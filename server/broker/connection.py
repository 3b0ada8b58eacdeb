"""Connections to Redis, and its errors in our words."""

import asyncio
import re

import redis
from redis import asyncio as aioredis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from server.broker.wire import ReplyError
from server.errors import StartupError, Unavailable, WindsockError

# Redis says these inside script errors too, worded differently by version; hence found anywhere in the message. Where
# such a word comes first, redis-py makes a class of it and drops it from the message: `_DROPPED` puts it back.
_REFUSALS = {
    "OOM command": "Redis is full: raise its maxmemory or let ended jobs go sooner (keep_ended)",
    "READONLY": "Redis is read-only: this URL leads to a replica, name the primary",
    "MISCONF": "Redis cannot write to its disk; see its log",
    "NOREPLICAS": "Redis has fewer replicas than it was told to require",
    "LOADING": "Redis is loading its data",
    "MASTERDOWN": "Redis has lost its primary",
    "CLUSTERDOWN": "the Redis cluster is down",
    "BUSY": "Redis is busy with a script",
}
_DROPPED: dict[type[RedisError], str] = {
    OutOfMemoryError: "OOM ",
    ReadOnlyError: "READONLY ",
    BusyLoadingError: "LOADING ",
    MasterDownError: "MASTERDOWN ",
    ClusterDownError: "CLUSTERDOWN ",
    NoPermissionError: "NOPERM ",
}


class Connector:
    """Makes connections to one Redis. None of them retries by itself: who uses one knows when it broke."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self.timeout_s = timeout_s
        options = {"protocol": 2, "socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        try:
            self._pool = aioredis.ConnectionPool.from_url(url, retry=AsyncRetry(NoBackoff(), 0), **options)
        except ValueError as error:
            raise StartupError(f"--redis {shown(url)}: {error}") from None
        self._options = options

    async def connect(self, *, listening: bool = False) -> AbstractConnection:
        """A new connection, ready to use. One that is `listening` may wait for ever for the next message.

        Raises:
            Unavailable: nobody answers.
        """
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            if listening:
                connection.socket_timeout = None
        except (RedisError, OSError) as error:
            raise refusal(error) from error
        return connection

    def connect_blocking(self) -> "redis.Redis":
        """A client for a thread of its own."""
        return redis.Redis.from_url(
            self._url, retry=Retry(NoBackoff(), 0), single_connection_client=False, **self._options
        )


async def end(task: "asyncio.Task[None]") -> None:
    """Cancel a task that uses a connection, and wait until it has ended.

    It may take more than one try: redis-py calls `asyncio.wait_for`, which until Python 3.12 can swallow a cancel.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
    if not task.cancelled():
        task.exception()  # seen


def shown(url: str) -> str:
    """A Redis URL for people: without password, and without a query, which may hold one."""
    return re.sub(r"//.*@", "//", url.partition("?")[0])


def refusal(error: BaseException) -> WindsockError:
    """What an error of Redis means to those who asked.

    Raises:
        RuntimeError: a script failed for a reason that is ours.
    """
    text = next((word for kind, word in _DROPPED.items() if isinstance(error, kind)), "") + str(error)
    for sign, message in _REFUSALS.items():
        if sign in text:
            return Unavailable(message)
    if isinstance(error, ResponseError | ReplyError):
        if any(sign in text for sign in ("NOAUTH", "WRONGPASS", "NOPERM", "invalid password")):
            return Unavailable(f"Redis refuses us: {text}")
        raise RuntimeError(f"Redis script failed: {text}") from error
    return Unavailable(f"Redis is away: {text or type(error).__name__}")
