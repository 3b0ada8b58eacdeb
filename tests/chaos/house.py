"""The processes of the chaos suite: one Redis over TCP, two serving nodes and two workers, a proxy in every gap.

All children die with this process, however it ends.
"""

import asyncio
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from conftest import redis_program
from redis import asyncio as aioredis
from redis.exceptions import RedisError

from chaos.proxy import Proxy

ROOT = Path(os.environ.get("CHAOS_ROOT") or Path(__file__).parent.parent.parent)  # whose run.py is started
WORK = Path(__file__).parent / "work.py"
SETTINGS = {
    "BEAT_S": "0.2",
    "LEASE_S": "1",
    "DRAIN_S": "0.3",
    "CANCEL_GRACE_S": "0.5",
    "DRAIN_WINDOW_S": "0.1",
    "HEARTBEAT_S": "0.5",
    "PING_S": "0.5",
    "PING_TIMEOUT_S": "2",
    "REDIS_TIMEOUT_S": "1",
    "SLOTS": "25",
    "KEEP_ENDED": "2500",  # a store that lost its data is told again the ends of a minute, of many rounds
    "COMMANDS_PER_S": "1000",
    "COMMANDS_BURST": "1000",
}
PR_SET_PDEATHSIG = 1
START_S = 20.0
_FAULT = re.compile(rb" (ERROR|CRITICAL) |^[\w.]*(Error|Exception)\b|never awaited|never retrieved")


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """One process that is started again and again; what it says is in a file for each of its lives."""

    def __init__(self, name: str, folder: Path, ready: str) -> None:
        self.name = name
        self.words: list[str] = []
        self.env: dict[str, str] = {}
        self.popen: subprocess.Popen[bytes] | None = None
        self.said = Path()
        self.lives = 0
        self._folder = folder
        self._ready = ready
        self._told = ""  # what this life said when it was ready

    def start(self) -> None:
        """Not waited for."""
        self.lives += 1
        self._told = ""
        self.said = self._folder / f"{self.name}.{self.lives}.log"
        with self.said.open("ab") as out:  # appended to: it is emptied while the process writes
            self.popen = subprocess.Popen(
                self.words,
                cwd=self._folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  this process has no threads
            )

    async def ready(self) -> str:
        """What its ready line says at its end."""
        async with asyncio.timeout(START_S):
            while not self._told:
                found = re.search(self._ready, self.said.read_text(errors="replace"), re.MULTILINE)
                if found:
                    self._told = found.group(1)
                    break
                if self.popen is None or self.popen.poll() is not None:
                    raise RuntimeError(f"{self.name} ended: {self.said.read_text(errors='replace')[-2000:]}")
                await asyncio.sleep(0.02)
        return self._told

    @property
    def pid(self) -> int:
        assert self.popen is not None
        return self.popen.pid

    def send(self, number: int) -> None:
        """A signal."""
        if self.popen is not None:
            with suppress(ProcessLookupError):
                self.popen.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait."""
        if self.popen is not None:
            self.popen.kill()
            self.popen.wait(10)

    async def ended(self, timeout_s: float) -> int:
        """Its exit status."""
        assert self.popen is not None
        async with asyncio.timeout(timeout_s):
            while (status := self.popen.poll()) is None:
                await asyncio.sleep(0.02)
        return status


def free_port() -> int:
    """One that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class House:
    """Owns all processes and proxies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.redis = Child("redis", folder, r"(Ready to accept connections)")
        self.redis_port = free_port()
        self.nodes = [Child(name, folder, r"answers on (http\S+)$") for name in ("node-a", "node-b")]
        self.workers = [Child(name, folder, r"worker (\S+) takes jobs$") for name in ("worker-1", "worker-2")]
        self.to_redis: dict[str, Proxy] = {}  # by the name of the process
        self.to_node: dict[str, Proxy] = {}
        self.urls: dict[str, str] = {}
        self.http: aiohttp.ClientSession
        self.store: aioredis.Redis
        self._looked: dict[Path, int] = {}  # how far the files of what was said were read
        self._data, self._copy = folder / "data", folder / "copy"  # of Redis

    @property
    def ours(self) -> Sequence[Child]:
        """Nodes and workers."""
        return [*self.nodes, *self.workers]

    async def start(self) -> "House":
        """All of it; ready."""
        fresh = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=2
        )  # never one that the server is about to close as idle
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5), connector=fresh)
        self.store = aioredis.Redis(port=self.redis_port, socket_timeout=3)
        self.redis.words = self._redis_words()
        self.redis.env = dict(os.environ)
        await self.start_redis()
        for child in self.ours:
            self.to_redis[child.name] = await Proxy(("127.0.0.1", self.redis_port)).start()
            serves = child in self.nodes
            if serves:
                self.to_node[child.name] = await Proxy(("127.0.0.1", 1)).start()
            child.words = [sys.executable, str(ROOT / "run.py"), "serve" if serves else "worker"]
            child.words += ["--no-worker"] if child is self.nodes[1] else []
            child.env = self._env(child)
            child.start()
        await self.all_ready()
        return self

    def _redis_words(self) -> list[str]:
        words = f"--port {self.redis_port} --bind 127.0.0.1 --appendonly yes --appendfsync everysec"
        words += " --auto-aof-rewrite-min-size 16mb"
        self._data.mkdir()
        return [redis_program(), *words.split(), "--save", "", "--dir", str(self._data)]

    def _env(self, child: Child) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("WINDSOCK_")}
        given = {
            **SETTINGS,
            "NAME": child.name,
            "PORT": "0",
            "TASKS": str(WORK),
            "REDIS": f"redis://127.0.0.1:{self.to_redis[child.name].port}/0",
            "VERBOSE": "1",
        }
        return env | {f"WINDSOCK_{name}": value for name, value in given.items()}

    def keep_data(self) -> None:
        """A copy of what Redis has written by now."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._data, self._copy, ignore=shutil.ignore_patterns("temp-*"))

    def lose_data(self, *, back_to_copy: bool) -> None:
        """kill -9 of Redis; its data are those of the copy, or none."""
        self.redis.kill()
        shutil.rmtree(self._data)
        if back_to_copy:
            self._copy.rename(self._data)
        else:
            self._data.mkdir()

    async def start_redis(self) -> None:
        """On the data it has, until it answers."""
        self.redis.start()
        async with asyncio.timeout(START_S):
            while True:
                with suppress(RedisError, OSError):
                    await self.store.ping()
                    return
                await asyncio.sleep(0.02)

    async def all_ready(self) -> None:
        """Every process has started and every node can take work."""
        for worker in self.workers:
            await worker.ready()
        for node in self.nodes:
            url = await node.ready()
            self.urls[node.name] = url
            self.to_node[node.name].target = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
            await self._takes_work(url)

    async def _takes_work(self, url: str) -> None:
        async with asyncio.timeout(START_S):
            while True:
                with suppress(OSError, aiohttp.ClientError, TimeoutError):
                    async with self.http.get(f"{url}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.03)

    def proxied_url(self, name: str) -> str:
        """Of a node, through its proxy."""
        return f"http://127.0.0.1:{self.to_node[name].port}"

    async def ask(self, node: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request to a node, not through its proxy: status and decoded body."""
        async with self.http.request(method, self.urls[node] + path, json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    def faults(self) -> list[str]:
        """What the processes said since the last call that means a mistake of their own."""
        found = []
        for path in sorted(self.folder.glob("*.log")):
            with path.open("rb") as file:
                file.seek(self._looked.get(path, 0))
                text = file.read()
            self._looked[path] = self._looked.get(path, 0) + len(text)
            found += [f"{path.name}: {line.decode()}" for line in text.splitlines() if _FAULT.search(line)]
        return found

    def put_by(self, folder: Path) -> None:
        """Keep what the processes have said since the last sweep, for who wants to know why a round failed."""
        folder.mkdir(parents=True)
        for path in self.folder.glob("*.log"):
            shutil.copy(path, folder)
        self.sweep()

    def sweep(self) -> None:
        """Drop what the processes have said: it was looked through, and a long run would fill the disk with it."""
        living = {child.said for child in (*self.ours, self.redis)}
        for path in self.folder.glob("*.log"):
            if path in living:
                os.truncate(path, 0)
            else:
                path.unlink()
        self._looked.clear()

    async def stop(self) -> None:
        """Nothing is left."""
        for child in (*self.ours, self.redis):
            child.kill()
        for proxy in (*self.to_redis.values(), *self.to_node.values()):
            await proxy.stop()
        await self.http.close()
        await self.store.aclose()
