"""One worker process of a parent: how it is made, what it says, what it can be told.

It is told by signals: SIGUSR1 to end when its jobs have ended, SIGTERM to drain, SIGUSR2 to stop at once. And it ends
with its parent, whatever ends that.
"""

import asyncio
import logging
import os
import secrets
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from server import logs
from server.bond import kill_group
from server.errors import StartupError
from server.lifeline import Standing
from server.settings import PREFIX, Settings

DOOR = Path(__file__).parent.parent / "run.py"


class WorkerProcess:
    """One process, from its start to its end. Duties in call order: `start`, `ready`, `tell`, `ended`."""

    def __init__(self, number: int, settings: Settings, on_worn: Callable[[], None]) -> None:
        self.name = f"{settings.name[:60]}-{number}"
        self.incarnation = secrets.token_hex(4)
        self.id = f"{self.name}-{self.incarnation}"
        self.number = number
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()  # False: it ended before
        self.told = False  # to end
        self.status: int | None = None  # its exit code, once it has ended
        self.lived_s = 0.0
        self._settings = settings
        self._on_worn = on_worn
        self._born = time.monotonic()
        self._process: Process | None = None
        self._ours: list[int] = []  # our ends of the pipes; one closes with us

    async def start(self) -> None:
        """Start it; returns when it is on its way.

        Raises:
            StartupError: no process could be made.
        """
        theirs, life = os.pipe()
        line, said = os.pipe()
        self._ours = [line, life]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(theirs, said),
                env=environment(self._settings, self.name),
                stdin=DEVNULL,
                process_group=0,  # Ctrl-C is for the parent, which drains
                pass_fds=(theirs, said),
            )
        except OSError as error:
            self._let_go()
            raise StartupError(f"no worker process can be started: {error}") from None
        finally:
            os.close(theirs)
            os.close(said)
        os.set_blocking(line, False)
        asyncio.get_running_loop().add_reader(line, self._on_line, line)

    def _command(self, life: int, line: int) -> list[str]:
        named = [("--tasks", one) for one in self._settings.tasks] + [("--queue", one) for one in self._settings.queues]
        flags = [word for flag in named for word in flag]
        if logs.levels()[1] <= logging.DEBUG:
            flags.append("--verbose")
        return [
            *(sys.executable, str(DOOR), "worker", *flags),
            *("--child", str(self.number), self.incarnation, str(life), str(line)),
        ]

    def _on_line(self, line: int) -> None:
        data = os.read(line, 4096)
        if not data:
            asyncio.get_running_loop().remove_reader(line)
        for word in data.decode().split():
            if word == Standing.READY and not self.ready.done():
                self.ready.set_result(True)
            elif word == Standing.WORN:
                self._on_worn()

    @property
    def pid(self) -> int:
        """0 before its start."""
        return self._process.pid if self._process is not None else 0

    @property
    def works(self) -> bool:
        """Whether it takes jobs."""
        return self.status is None and self.ready.done() and self.ready.result()

    async def ended(self) -> None:
        """Return when it has ended. If it was killed, what its jobs had started is killed too."""
        assert self._process is not None
        self.status = await self._process.wait()
        self.lived_s = time.monotonic() - self._born
        if self.status != 0:
            kill_group(self.pid)
        self._let_go()

    def _let_go(self) -> None:
        if self._ours:
            asyncio.get_running_loop().remove_reader(self._ours[0])
        while self._ours:
            os.close(self._ours.pop())
        if not self.ready.done():
            self.ready.set_result(False)

    def tell(self, number: int) -> None:
        """Tell it to end, by SIGUSR1, SIGTERM or SIGUSR2."""
        self.told = True
        if self.status is None and self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)


def environment(settings: Settings, name: str) -> Mapping[str, str]:
    """What a process is told of the settings beside its flags: all that were given to us, and what we inherited."""
    given = {key: getattr(settings, key) for key in settings.model_fields_set}
    told = {key: str(value) for key, value in given.items() if value is not None and not isinstance(value, tuple)}
    told |= {"name": name, "worker": "true"}
    return {**os.environ, **{PREFIX + key.upper(): value for key, value in told.items()}}
