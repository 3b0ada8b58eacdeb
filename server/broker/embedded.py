"""A private redis-server on a Unix socket: started, waited for, watched, restarted if it dies, stopped."""

import asyncio
import logging
import os
import re
import signal
import time
from asyncio.subprocess import STDOUT, Process
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from server.broker.datadir import DataDir, Record
from server.broker.programs import choose, death_signal
from server.broker.redisconf import configuration
from server.broker.unixsocket import ask, socket_url
from server.errors import StartupError
from server.settings import Durability, Settings

Result = TypeVar("Result")
logger = logging.getLogger("windsock.embedded")

POLL_S = 0.01
SILENT_S = 30.0  # a redis-server that has not opened its socket by then hangs; loading may take longer
ORPHAN_S = 30.0  # an orphan that has not ended by then needs a human
LOCK_S = 0.3  # `join` holds the lock of a directory for a moment
JOIN_S = 30.0
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.05, 5.0
CALM_S = 30.0  # a redis-server that lived this long begins the backoff anew
_LOG_PREFIX = re.compile(r"^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [.\-*#] ")


class EmbeddedRedis:
    """Owns the private redis-server of one data directory.

    Duties in call order: take the directory, end an orphan, launch, watch and launch again, shut down.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._home = DataDir(settings.data_dir)
        self._socket = ""
        self._process: Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.restarts = 0  # how often it died and was started again

    @property
    def url(self) -> str:
        """Where it listens, for `redis.asyncio.from_url`. Stays the same over restarts."""
        return socket_url(self._socket)

    @property
    def pid(self) -> int | None:
        """The process id of redis-server while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    async def start(self) -> None:
        """Return when redis-server has loaded its data and answers. To be called in the main thread.

        Raises:
            StartupError: no program, the directory is in use or was written by another, redis-server refuses.
        """
        if self._settings.durability is Durability.WAIT:
            raise StartupError("durability wait needs a shared Redis with replicas (--redis); use everysec or always")
        await self._take()
        try:
            await self._end_orphan()
            await self._launch()
        except BaseException:
            self._home.release()
            raise
        self._watcher = asyncio.create_task(self._watch(), name="windsock-embedded-redis")

    async def stop(self, timeout_s: float) -> None:
        """Shut redis-server down, its file written to disk; kill it if that takes longer than `timeout_s`."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None
        try:
            if self._process is not None:
                await self._shut_down(self._process, timeout_s)
        finally:
            self._process = None
            if self._home.held:
                self._home.remove_socket(self._socket)
            self._home.release()

    # Starting.

    async def _take(self) -> None:
        deadline = time.monotonic() + LOCK_S
        while not self._home.try_lock():
            if time.monotonic() > deadline:
                raise StartupError(f"data directory {self._home.path} is in use by {self._home.holder()}")
            await asyncio.sleep(POLL_S)

    async def _end_orphan(self) -> None:
        """Have a redis-server that outlived its node write its file and end.

        It is never adopted: its program and settings may be others than ours.
        """
        record = self._home.read()
        sockets = {self._home.socket_path()} | ({record.socket} if record else set())
        deadline = time.monotonic() + ORPHAN_S
        told = False
        while await self._is_occupied(sockets):
            if not told:
                logger.warning("a redis-server of a killed node still runs on %s; ending it", self._home.path)
                told = True
            if time.monotonic() > deadline:
                raise StartupError(f"a redis-server left by a killed node holds {self._home.path} and does not end")
            await asyncio.sleep(POLL_S)

    async def _is_occupied(self, sockets: set[str]) -> bool:
        """Whether a redis-server is still there; one that listens is told to end."""
        answers = [await ask(socket, b"SHUTDOWN") for socket in sockets]
        lock = self._home.try_server_lock()
        if lock is not None:
            os.close(lock)
        return lock is None or any(answer is not None for answer in answers)

    async def _launch(self) -> None:
        """Start redis-server and wait until it is ready; nothing of it is left when that fails."""
        command = await _whole(asyncio.to_thread(self._prepare))
        process, log_position = await self._spawn(command)
        try:
            await self._ready(process, log_position)
        except BaseException:
            _kill(process)
            await process.wait()
            raise
        self._process = process
        logger.debug("redis-server is ready, pid %d, %s", process.pid, self._socket)

    def _prepare(self) -> list[str]:
        """Choose the program, anew at each launch because it may have been upgraded; write its files."""
        program = choose(self._settings.redis_server, self._home.refusal)
        self._socket = self._home.socket_path()
        self._home.sweep()
        try:
            with suppress(FileNotFoundError):
                os.unlink(self._socket)
            self._home.write(Record(program.kind, program.version, program.path, self._socket))
            (self._home.path / "redis.conf").write_bytes(configuration(self._settings, self._home.path, self._socket))
        except OSError as error:
            raise StartupError(f"data directory {self._home.path}: {error.strerror}") from None
        return [*death_signal(program), program.path, "-"]

    async def _spawn(self, command: list[str]) -> tuple[Process, int]:
        """The new process, and where in the log its lines begin.

        The configuration goes in by standard input: as a file name, Redis 7 would take it for a glob pattern.
        """
        opened: list[int] = []
        try:
            log = self._home.open_log()
            opened.append(log)
            opened.append(config := os.open(self._home.path / "redis.conf", os.O_RDONLY))
            lock = self._home.try_server_lock()
            if lock is None:
                raise StartupError(f"another redis-server runs on {self._home.path}")
            opened.append(lock)
            position = os.fstat(log).st_size
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=config,
                stdout=log,
                stderr=STDOUT,
                process_group=0,
                pass_fds=(lock,),
                cwd=self._home.path,
            )
        except OSError as error:
            raise StartupError(f"{command[-2]} could not be started: {error}") from None
        finally:
            for descriptor in opened:
                os.close(descriptor)
        return process, position

    async def _ready(self, process: Process, log_position: int) -> None:
        silent_since = told = time.monotonic()
        while True:
            if process.returncode is not None:
                raise StartupError(f"redis-server {_how(process.returncode)}: {self._log_tail(log_position)}")
            answer = await ask(self._socket, b"PING")
            if answer == "+PONG":
                return
            now = time.monotonic()
            if answer is not None and answer.startswith("-LOADING"):
                silent_since = now
            if now - silent_since > SILENT_S:
                raise StartupError(f"redis-server does not answer: {answer or self._log_tail(log_position)}")
            if now - told > 5:
                logger.info("redis-server is still loading its data from %s", self._home.path)
                told = now
            await asyncio.sleep(POLL_S)

    def _log_tail(self, position: int) -> str:
        lines = [_LOG_PREFIX.sub("", line) for line in self._home.log_since(position)]
        return " | ".join(lines[-4:]) or f"it wrote nothing; see {self._home.path / 'redis.log'}"

    # Watching.

    async def _watch(self) -> None:
        backoff_s = FIRST_BACKOFF_S
        while (process := self._process) is not None:
            born = time.monotonic()
            status = await process.wait()
            _kill(process)  # a child that was rewriting the file
            self._process = None
            logger.error("redis-server (pid %d) %s; starting it again", process.pid, _how(status))
            if time.monotonic() - born > CALM_S:
                backoff_s = FIRST_BACKOFF_S
            backoff_s = await self._relaunch(backoff_s)

    async def _relaunch(self, backoff_s: float) -> float:
        """Try until it runs; the wait before the next try."""
        while True:
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, LAST_BACKOFF_S)
            try:
                await self._launch()
            except StartupError as error:
                logger.error("redis-server cannot be started again, next try in %.1f s: %s", backoff_s, error)  # noqa: TRY400
                continue
            self.restarts += 1
            logger.warning("redis-server runs again, pid %s", self.pid)
            return backoff_s

    # Stopping.

    async def _shut_down(self, process: Process, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                told = await ask(self._socket, b"SHUTDOWN") == ""
                if not told and process.returncode is None:  # nobody listens yet, or a script is running
                    with suppress(ProcessLookupError):  # not terminate(): it may reap before asyncio does
                        os.kill(process.pid, signal.SIGTERM)
                await process.wait()
        except TimeoutError:
            logger.error("redis-server (pid %d) did not end in %.1f s; killing it", process.pid, timeout_s)  # noqa: TRY400
        finally:
            _kill(process)
            await process.wait()


async def join(settings: Settings) -> str:
    """URL of the private Redis that a running node keeps in the data directory of `settings`.

    Raises:
        StartupError: no node is running there, or its Redis does not answer.
    """
    home = DataDir(settings.data_dir)
    deadline = time.monotonic() + JOIN_S
    while time.monotonic() < deadline:
        if not home.locked():
            raise StartupError(f"no node is running on {home.path}")
        record = home.read()
        if record is not None and await ask(record.socket, b"PING") == "+PONG":
            return socket_url(record.socket)
        await asyncio.sleep(POLL_S)
    raise StartupError(f"the Redis of the node on {home.path} does not answer")


async def _whole(work: Coroutine[Any, Any, Result]) -> Result:
    """What `work` returns; if cancelled, not before it has ended: its thread would write behind our back."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _how(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _kill(process: Process) -> None:
    """Kill what is left of a process group: redis-server and a child that rewrites its file."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def alive(pid: Any) -> bool:
    """Whether another process with this number runs here. One that was given away again costs a lease, no more."""
    if pid == os.getpid():
        return False  # in a container each server is number 1
    try:
        os.kill(int(pid), 0)
    except (OSError, TypeError, ValueError):
        return False
    return True
