"""Connections to Redis, and its errors in our words."""

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

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

from server.broker.sentinel import NOWHERE, Address, Sentinels, SentinelUrl, names_sentinels, shown_address
from server.broker.wire import ReplyError
from server.errors import StartupError, Unavailable, WindsockError

log = logging.getLogger("windsock.connection")

# Redis says these inside script errors too, worded differently by version; hence found anywhere in the message. Where
# such a word comes first, redis-py makes a class of it and drops it from the message: `_DROPPED` puts it back.
_REFUSALS = {
    "OOM command": "Redis is full: raise its maxmemory or let ended jobs go sooner (keep_ended)",
    "READONLY": "Redis is read-only: a replica answers, and the URL must lead to the primary",
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
    """Makes connections to one Redis. None of them retries by itself: who uses one knows when it broke.

    Behind Sentinel each new connection asks for the primary, and makes sure that it is one.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self.timeout_s = timeout_s
        self._options = {"protocol": 2, "socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        try:
            self._sentinels = Sentinels(SentinelUrl.parse(url)) if names_sentinels(url) else None
            self._made(self._sentinels.url.primary(NOWHERE) if self._sentinels else url)
        except ValueError as error:
            raise StartupError(f"--redis {shown(url)}: {error}") from None
        except TypeError as error:  # redis-py takes the query for keywords
            option = str(error).rpartition(" ")[2]
            raise StartupError(f"--redis {shown(url)}: its query has an unknown option: {option}") from None
        self._primary: Address | None = None  # where the sentinels said it is, last
        self.silent = False  # they did not say, when asked last
        self._leads: WeakKeyDictionary[AbstractConnection | redis.Redis, Address | None] = WeakKeyDictionary()

    def _made(self, url: str) -> AbstractConnection:
        pool = aioredis.ConnectionPool.from_url(url, retry=AsyncRetry(NoBackoff(), 0), **self._options)
        connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        return connection

    async def connect(self, *, listening: bool = False) -> AbstractConnection:
        """A new connection, ready to use. One that is `listening` may wait for ever for the next message.

        Raises:
            Unavailable: nobody answers, or Redis loads its data; or the sentinels know no primary, or name a replica.
        """
        primary = await self._find()
        connection = self._made(self._url_of(primary))
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            if primary is not None:
                await connection.send_command("INFO", "replication")
                info = await connection.read_response(disable_decoding=True)
                _refuse_replica(primary, b"role:master" in info)
            if listening:  # while it loads its data, Redis takes a subscribe and answers no question
                await connection.send_command("PING")
                await connection.read_response()
                connection.socket_timeout = None
        except BaseException as error:
            await connection.disconnect(nowait=True)
            if isinstance(error, RedisError | OSError):
                raise refusal(error) from error
            raise
        self._leads[connection] = primary
        return connection

    def connect_blocking(self) -> "redis.Redis":
        """A client for a thread of its own.

        Raises:
            Unavailable: the sentinels know no primary, or name a replica.
            RedisError: what they name does not answer.
        """
        primary = asyncio.run(self._find()) if self._sentinels else None
        client = redis.Redis.from_url(
            self._url_of(primary), retry=Retry(NoBackoff(), 0), single_connection_client=False, **self._options
        )
        if primary is not None:
            try:
                info: Mapping[str, Any] = client.info("replication")
                _refuse_replica(primary, info.get("role") == "master")
            except BaseException:
                client.close()
                raise
        self._leads[client] = primary
        return client

    async def _find(self) -> Address | None:
        """Where the primary is; None without Sentinel."""
        if self._sentinels is not None:
            self._primary = await self._sentinels.primary()
        return self._primary

    def _url_of(self, primary: Address | None) -> str:
        return self._url if self._sentinels is None or primary is None else self._sentinels.url.primary(primary)

    def look(self) -> None:
        """Ask the sentinels again where the primary is, from a thread of one's own."""
        if self._sentinels is None:
            return
        try:
            asyncio.run(self._find())
            self.silent = False
        except Unavailable as error:  # what stands may go on
            if not self.silent:
                log.warning("nobody would tell of a failover: %s", error)
            self.silent = True

    def astray(self, connection: "AbstractConnection | redis.Redis") -> bool:
        """Whether the primary is elsewhere by now than where a connection leads.

        The server at its other end need not know: one that was cut off or stood still believes that it is the primary.
        """
        return self._leads.get(connection, self._primary) != self._primary


def _refuse_replica(named: Address, is_primary: bool) -> None:
    if not is_primary:
        raise Unavailable(f"the sentinels name {shown_address(named)}, which is a replica: a failover is under way")


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
    front, _, query = url.partition("?")
    if "@" in query and "@" not in front:  # perhaps a password with a bare question mark
        return front.partition("//")[0] + "//..."
    return re.sub(r"//.*@", "//", front)


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
