"""A primary, a replica and the sentinels that guard them: real processes, to be killed and cut off."""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from conftest import redis_program
from redis.exceptions import RedisError
from storing import wait_for

from server.settings import Settings

NAME = "mymaster"
HOST = "127.0.0.1"
DOWN_MS, FAILOVER_MS = 600, 2000
FAILOVER_S = 15.0  # the longest a failover may take here, with all that follows

moves = pytest.mark.expects_log(
    "link is down|beat does not get through|the store has gone back|is deaf|nobody would tell of a failover"
)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


class Server:
    """A process of redis-server, as store or as sentinel."""

    def __init__(self, folder: Path, port: int, *words: str, password: str | None = None) -> None:
        self.port = port
        self._password = password
        folder.mkdir()
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen([redis_program(), *words], cwd=folder, stdout=log)
        wait_for(lambda: self.answers("PING"), 10)

    @classmethod
    def store(cls, folder: Path, *words: str, password: str | None = None) -> "Server":
        """One that keeps data."""
        port = free_port()
        given = ["--port", str(port), "--bind", HOST, "--save", "", "--repl-diskless-sync-delay", "0", *words]
        if password is not None:
            given += ["--requirepass", password, "--masterauth", password]
        return cls(folder, port, *given, password=password)

    @classmethod
    def sentinel(cls, folder: Path, lines: Sequence[str], password: str | None = None) -> "Server":
        """One that guards others, as these lines of its configuration say."""
        port = free_port()
        file = folder.with_suffix(".conf")
        own = [f"port {port}", f"bind {HOST}", *([f"requirepass {password}"] if password else [])]
        file.write_text("\n".join([*own, *lines]) + "\n")
        return cls(folder, port, str(file), "--sentinel", password=password)

    def ask(self, *words: str) -> Any:
        """A command to it, and its answer."""
        with redis.Redis(HOST, self.port, password=self._password, protocol=2, decode_responses=True) as client:
            return client.execute_command(*words)

    def answers(self, *words: str) -> Any:
        """The same; None when it is away."""
        try:
            return self.ask(*words)
        except RedisError:
            return None

    def clients(self) -> int:
        """Connections to it, those of sentinels and replicas and this one apart."""
        others = ("client", "client|list", "info", "replconf", "psync")
        lines = self.ask("CLIENT LIST")
        return sum(not one["name"].startswith("sentinel-") and one["cmd"] not in others for one in lines)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(10)

    def freeze(self) -> None:
        """It stands still, its connections too."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._process.send_signal(signal.SIGCONT)


class Guarded:
    """Owns all of them."""

    def __init__(self, folder: Path, sentinels: int = 1, password: str | None = None) -> None:
        self._folder = folder
        self._password = password
        self.primary = Server.store(folder / "primary", password=password)
        self.replica = Server.store(folder / "replica", "--replicaof", HOST, str(self.primary.port), password=password)
        wait_for(self.replicated, 10)
        self.primary.ask("SET", "probe", "1")  # Redis 7 streams nothing before the replica's first word, up to a second
        wait_for(lambda: self.replica.ask("GET", "probe"), 10)
        self.sentinels = [self._sentinel(number, sentinels // 2 + 1) for number in range(sentinels)]
        for one in self.sentinels:
            wait_for(lambda one=one: self._ready(one), 15)

    def _sentinel(self, number: int, quorum: int) -> Server:
        lines = [
            f"sentinel monitor {NAME} {HOST} {self.primary.port} {quorum}",
            f"sentinel down-after-milliseconds {NAME} {DOWN_MS}",
            f"sentinel failover-timeout {NAME} {FAILOVER_MS}",
        ]
        if self._password:
            lines.append(f"sentinel auth-pass {NAME} {self._password}")
        return Server.sentinel(self._folder / f"sentinel-{number}", lines, self._password)

    def _ready(self, sentinel: Server) -> bool:
        told = sentinel.ask("SENTINEL MASTER", NAME)
        return bool(told["num-slaves"] == 1 and told["num-other-sentinels"] == len(self.sentinels) - 1)

    @property
    def url(self) -> str:
        """What a node is given."""
        return self.url_of(*self.sentinels)

    def url_of(self, *sentinels: Server, name: str = NAME) -> str:
        """The URL with some sentinels."""
        hosts = ",".join(f"{HOST}:{one.port}" for one in sentinels)
        login, query = (f":{self._password}@", f"?sentinel_password={self._password}") if self._password else ("", "")
        return f"redis+sentinel://{login}{hosts}/{name}{query}"

    def replicated(self) -> bool:
        """Whether the replica has all that the primary has."""
        said = self.replica.ask("ROLE")
        return bool(said[0] == "slave" and said[3] == "connected" and said[4] == self.primary.ask("ROLE")[1])

    def cut_off(self) -> None:
        """From here on the replica learns nothing from the primary, and stands still."""
        wait_for(self.replicated, 10)
        self.replica.freeze()
        assert self.primary.ask("CLIENT", "KILL", "TYPE", "replica") == 1

    def fail_over(self) -> None:
        """By command; as soon as the sentinel knows the replica well enough to take it."""
        wait_for(lambda: self.sentinels[0].answers("SENTINEL", "FAILOVER", NAME), 10)

    def promoted(self) -> bool:
        """Whether the replica is the primary, in its own eyes and those of all sentinels that live."""
        named = [one.answers("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME) for one in self.sentinels]
        agreed = all(one in (None, [HOST, str(self.replica.port)]) for one in named)
        return bool(agreed and self.replica.ask("ROLE")[0] == "master")

    def close(self) -> None:
        """End all of them."""
        for one in (*self.sentinels, self.primary, self.replica):
            one.kill()


@contextlib.contextmanager
def guarded(sentinels: int = 1, password: str | None = None) -> Iterator[Guarded]:
    """A guarded Redis for one test."""
    folder = Path(tempfile.mkdtemp(prefix="windsock-sentinel-"))
    made = Guarded(folder, sentinels, password)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_pair(request: pytest.FixtureRequest) -> Iterator[Guarded]:
    """A primary, a replica and a sentinel; more of them, or with passwords, where a test says so."""
    with guarded(**getattr(request, "param", {})) as made:
        yield made


three_sentinels = pytest.mark.parametrize("redis_pair", [{"sentinels": 3}], indirect=True, ids=["three"])
with_password = pytest.mark.parametrize("redis_pair", [{"password": "s3cret"}], indirect=True, ids=["password"])


@pytest.fixture
def nodes(redis_pair: Guarded, nodes: Any) -> Any:
    """Stopped before their Redis is."""
    return nodes


@pytest.fixture
def settings(settings: Settings, redis_pair: Guarded) -> Settings:
    """As all tests have them, on the guarded store."""
    return settings.model_copy(update={"redis": redis_pair.url, "redis_timeout_s": 1.0})
