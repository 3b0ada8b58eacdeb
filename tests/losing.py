"""A redis-server that can be killed and set back to what it had some time ago, or to nothing."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import redis
from conftest import redis_program
from storing import _answers, wait_for


class LosingRedis:
    """Owns a redis-server with an append-only file, and copies of its data."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self._data = folder / "data"
        self._copy = folder / "copy"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *words: str) -> None:
        """Start it on whatever data there is; it answers."""
        self.launch(*words)
        wait_for(lambda: _answers(self._socket), 10)

    def launch(self, *words: str) -> None:
        """The same, without waiting until it has loaded its data."""
        self._data.mkdir(exist_ok=True)
        usual = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--dir", str(self._data)]
        usual += ["--appendonly", "yes", "--appendfsync", "always"]
        self._process = subprocess.Popen([redis_program(), *usual, *words], stdout=subprocess.DEVNULL)

    def keep(self) -> None:
        """Remember what it has now."""
        with redis.Redis(unix_socket_path=str(self._socket)) as client:
            client.ping()  # what was answered before has been written
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._data, self._copy)

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._socket.unlink(missing_ok=True)

    def go_back(self) -> None:
        """Killed, and back with what it had at `keep`; everything since is lost."""
        self.kill()
        self.restore()

    def restore(self) -> None:
        """Start it, when it was killed, with what it had at `keep`."""
        shutil.rmtree(self._data)
        shutil.copytree(self._copy, self._data)
        self.start()

    def cut(self, size: int) -> None:
        """Killed, and back without the last `size` bytes of its append-only file, as after a power failure."""
        self.kill()
        files = [file for file in self._data.rglob("*.aof") if ".base." not in file.name]
        (file,) = files
        with file.open("r+b") as opened:
            opened.truncate(max(0, file.stat().st_size - size))
        self.start()

    def forget(self) -> None:
        """Killed, and back empty."""
        self.kill()
        shutil.rmtree(self._data)
        self.start()


@contextlib.contextmanager
def losing_redis() -> Iterator[LosingRedis]:
    """One that runs."""
    folder = Path(tempfile.mkdtemp(prefix="windsock-losing-"))
    made = LosingRedis(folder)
    made.start()
    try:
        yield made
    finally:
        with contextlib.suppress(AssertionError):
            made.kill()
        shutil.rmtree(folder, ignore_errors=True)
