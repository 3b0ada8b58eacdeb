"""Redis behind Sentinel: which URL names it, and where its primary is at the moment.

All sentinels of the URL are asked at once, and the answer with the highest epoch counts as soon as half of them have
spoken: one that was cut off from the others would still name the old primary.
(https://redis.io/docs/latest/develop/reference/sentinel-clients/)
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from redis import asyncio as aioredis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from server.errors import Unavailable

Address = tuple[str, int]  # host and port

NOWHERE: Address = ("localhost", 1)  # a place to try a URL with, where nobody is asked
PORT = 26379  # of a sentinel, where the URL names none
ASK_S = 1.0  # a sentinel that has not answered by then is passed over
_URL = re.compile(
    r"(?P<scheme>rediss?)\+sentinel://(?:(?P<login>[^/?#]*)@)?(?P<hosts>[^/?#@]+)"
    r"/(?P<name>[^/?#]+)(?:/(?P<db>\d*))?(?:\?(?P<query>[^#]*))?"
)
_HOST = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]\s]+))(?::(\d{1,5}))?")
_WRITE = (
    "write redis+sentinel://[USER:PASSWORD@]HOST:26379,HOST:26379,HOST:26379/NAME[/DB] (rediss+sentinel:// for TLS),"
    " with NAME as in `sentinel monitor NAME ...` and / ? # @ in a password percent-encoded"
)


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """What a `redis+sentinel://` URL says."""

    scheme: str  # of the primary and of the sentinels: redis, or rediss for TLS
    login: str  # USER:PASSWORD@ for the primary, as written; or empty
    sentinels: tuple[Address, ...]
    name: str  # of the primary, as the sentinels know it
    db: int
    options: tuple[tuple[str, str], ...]  # of a connection to the primary, as redis-py takes them in a query
    sentinel_username: str | None
    sentinel_password: str | None

    @classmethod
    def parse(cls, url: str) -> "SentinelUrl":
        """Read a URL.

        Raises:
            ValueError: it has another form; the message says what to write.
        """
        found = _URL.fullmatch(url)
        if found is None:
            raise ValueError(_WRITE)
        query = dict(parse_qsl(found["query"] or ""))
        return cls(
            scheme=found["scheme"],
            login=f"{found['login']}@" if found["login"] else "",
            sentinels=tuple(_address(host) for host in found["hosts"].split(",")),
            name=found["name"],
            db=int(found["db"] or 0),
            sentinel_username=query.pop("sentinel_username", None),
            sentinel_password=query.pop("sentinel_password", None),
            options=tuple(query.items()),
        )

    def primary(self, address: Address) -> str:
        """The URL of a primary that is there."""
        return _url(self.scheme, self.login, address, f"/{self.db}", self.options)

    def sentinel(self, address: Address) -> str:
        """The URL of a sentinel; how TLS is done holds for it too."""
        return _url(self.scheme, "", address, "", [one for one in self.options if one[0].startswith("ssl_")])


def names_sentinels(url: str) -> bool:
    """Whether a URL is meant to name sentinels, in the right form or not."""
    return "sentinel" in url.partition("://")[0]


def _address(written: str) -> Address:
    found = _HOST.fullmatch(written)
    if found is None or int(found[3] or PORT) > 65535:
        raise ValueError(_WRITE)
    return found[1] or found[2], int(found[3] or PORT)


def _url(scheme: str, login: str, address: Address, path: str, options: Sequence[tuple[str, str]]) -> str:
    query = f"?{urlencode(options)}" if options else ""
    return f"{scheme}://{login}{shown_address(address)}{path}{query}"


def shown_address(address: Address) -> str:
    """HOST:PORT, for people and in URLs."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one sentinel says."""

    primary: Address | None  # None: it knows none of this name
    epoch: int  # of its configuration: a failover raises it


class Sentinels:
    """The sentinels of one URL, to be asked where the primary is."""

    def __init__(self, url: SentinelUrl) -> None:
        self.url = url

    async def primary(self) -> Address:
        """Where the primary is.

        Raises:
            Unavailable: no sentinel answers, or none knows it.
        """
        asked = [asyncio.create_task(self._ask(address)) for address in self.url.sentinels]
        try:
            answers, refused = await _heard(asked)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        named = [answer for answer in answers if answer.primary is not None]
        if named:
            newest = max(named, key=lambda answer: answer.epoch)
            assert newest.primary is not None
            return newest.primary
        where = ", ".join(map(shown_address, self.url.sentinels))
        if answers:
            raise Unavailable(f"the sentinels at {where} watch no primary named {self.url.name!r}")
        raise Unavailable(f"no sentinel answers at {where}: {refused}")

    async def _ask(self, address: Address) -> _Answer:
        pool = aioredis.ConnectionPool.from_url(
            self.url.sentinel(address),
            username=self.url.sentinel_username,
            password=self.url.sentinel_password,
            protocol=2,
            socket_timeout=ASK_S,
            socket_connect_timeout=ASK_S,
            retry=Retry(NoBackoff(), 0),
        )
        connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            found = await _say(connection, "GET-MASTER-ADDR-BY-NAME", self.url.name)
            if found is None:
                return _Answer(None, 0)
            host, port = found
            return _Answer((host.decode(), int(port)), await self._epoch(connection))
        finally:
            await connection.disconnect(nowait=True)

    async def _epoch(self, connection: AbstractConnection) -> int:
        try:
            fields = await _say(connection, "MASTER", self.url.name)
        except ResponseError:  # forgotten in between, or not allowed to us
            return 0
        return int(dict(zip(fields[::2], fields[1::2], strict=True)).get(b"config-epoch", 0))


async def _say(connection: AbstractConnection, *words: str) -> Any:
    await connection.send_command("SENTINEL", *words)
    return await connection.read_response(disable_decoding=True)


async def _heard(asked: "Sequence[asyncio.Task[_Answer]]") -> tuple[list[_Answer], str]:
    """The answers of the first half of the sentinels and one, or of as many as answer; and why another did not."""
    answers: list[_Answer] = []
    refused = ""
    for task in asyncio.as_completed(asked):
        try:
            answers.append(await task)
        except (RedisError, OSError) as error:
            refused = str(error).rstrip(".") or type(error).__name__
        if len(answers) > len(asked) // 2:
            break
    return answers, refused
