"""A redis-server for one contestant, as Windsock configures its own; near, or behind a relay that delays."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import redis
from fanout_peers import Missing, compiled
from fanout_running import CORES
from queue_program import Program

from server.broker.redisconf import configuration
from server.settings import Settings

RELAY = Path(__file__).with_name("queue_delay.c")
DELAY_US = 1000
START_S = 10.0


def program() -> str:
    """The redis-server that all contestants have.

    Raises:
        Missing: there is none.
    """
    found = os.environ.get("WINDSOCK_REDIS_SERVER") or shutil.which("redis-server")
    if not found:
        raise Missing("redis-server not found: apt-get install redis-server")
    return found


def version() -> str:
    """Of that program, as it says it."""
    words = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True).stdout.split()
    return next(word.removeprefix("v=") for word in words if word.startswith("v="))


class Store:
    """Owns a redis-server with an empty data directory, and its relay if there is one."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.path = tempfile.mkdtemp(dir=folder)
        socket = str(Path(self.path, "redis.sock"))
        config = Path(self.path, "redis.conf")
        config.write_bytes(configuration(Settings.read({}), Path(self.path), socket))
        self.url = f"unix://{socket}"
        self._socket = socket
        self._server = Program([program(), str(config)], self.path, cores=CORES[1:])
        self._relay: Program | None = None
        self.client = redis.Redis(unix_socket_path=socket)
        self._watching = redis.ConnectionPool(connection_class=redis.UnixDomainSocketConnection, path=socket)
        try:
            self._await()
        except BaseException:
            self.stop()
            raise

    def _await(self) -> None:
        until = time.monotonic() + START_S
        while True:
            try:
                self.client.ping()
            except redis.ConnectionError:
                if time.monotonic() > until:
                    raise RuntimeError(f"redis-server did not start: {self._server.last_words()}") from None
                time.sleep(0.01)
            else:
                return

    def far_url(self) -> str:
        """Where it is reached with a delay.

        Raises:
            Missing: there is no compiler.
        """
        command = [compiled(RELAY, self._folder), self._socket, str(DELAY_US)]
        self._relay = Program(command, self.path, cores=CORES[1:])
        return f"redis://127.0.0.1:{self._relay.answer(START_S)}"

    def cpu_s(self) -> float:
        """CPU seconds that redis-server has used."""
        return self._server.cpu_s()

    def traffic(self, seconds: float) -> tuple[int, int]:
        """Commands that clients send in the next seconds, and those that are run, the ones in scripts included."""
        connection = self._watching.get_connection()
        connection.send_command("MONITOR")
        connection.read_response()
        before, sent, until = self._commands(), 0, time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if connection.can_read(timeout=left):
                line = connection.read_response()
                sent += b" lua]" not in line and b'"INFO"' not in line
        run = self._commands() - before
        connection.disconnect()
        return sent, run

    def _commands(self) -> int:
        stats = self.client.info("commandstats")
        return sum(stat["calls"] for name, stat in stats.items() if name != "cmdstat_info")

    def stop(self) -> None:
        """End both."""
        self.client.close()
        for one in (self._relay, self._server):
            if one is not None:
                one.kill()
