"""Tasks for the tests of processes; both sides import them."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_AS, setrlimit
from typing import Annotated, Any

from server.resource import resource
from windsock import Progress, task

imported_in = os.getpid()
log = logging.getLogger("windsock.process_tasks")


@resource
def notebook() -> Iterator[list[str]]:
    """Open while its process lives; says so in a file."""
    yield [str(os.getpid())]
    if "NOTEBOOK" in os.environ:
        Path(os.environ["NOTEBOOK"]).write_text(f"closed by {os.getpid()}")


@task(process=True)
def scribble(notebook: Annotated[list[str], notebook], text: str) -> list[str]:
    """Adds to what its process keeps."""
    notebook.append(text)
    return notebook


@task(process=True)
def where(progress: Progress) -> dict[str, Any]:
    """Says where it runs."""
    return {"pid": os.getpid(), "imported_in": imported_in, "group": os.getpgrp(), "job": progress.job_id}


@task(process=True)
def count(progress: Progress, to: int, updates: int = 1) -> int:
    """Counts and logs, as fast as it can."""
    for number in range(1, to + 1):
        for _ in range(updates):
            progress.update(number, to, note=f"at {number}")
        progress.log(f"line {number}")
    return to


@task(process=True)
def update_for(seconds: float, progress: Progress) -> int:
    """Says how far it is, for so long, as often as it can."""
    end, done = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        done += 1
        progress.update(done)
    return done


@task(process=True)
def emit(value: Any, progress: Progress) -> None:
    """Emits a value."""
    progress.emit(value)


@task(process=True)
def until_told(progress: Progress, file: str) -> int:
    """Goes on until a file is there, with progress calls."""
    progress.log("waits")
    while not Path(file).exists():
        progress.advance()
        time.sleep(0.005)
    return os.getpid()


@task(process=True)
def deaf(progress: Progress, seconds: float = 60.0) -> int:
    """Makes no progress call but the first."""
    progress.log(str(os.getpid()))
    time.sleep(seconds)
    return os.getpid()


@task(process=True)
def frozen(progress: Progress, file: str) -> None:
    """Starts a program, then holds the GIL in C code; when it does, the file is there."""
    helper = subprocess.Popen(["sh", "-c", 'sleep 0.6; touch "$0"; exec sleep 60', file])
    progress.log(f"{os.getpid()} {helper.pid}")
    time.sleep(0.2)  # for the log to leave
    ctypes.PyDLL(None).sleep(60)


@task(process=True)
def swallow(progress: Progress) -> str:
    """Told to end, it tidies up and returns."""
    progress.log("begun")
    while not progress.cancelled:
        time.sleep(0.005)
    return "tidy"


@task(process=True)
def die(how: str, progress: Progress, lines: int = 1) -> None:
    """Logs, ends its process."""
    for number in range(1, lines + 1):
        progress.log(f"line {number}")
    time.sleep(0.2)  # for the log to leave
    {
        "exit": lambda: os._exit(3),
        "leave": lambda: os._exit(0),
        "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    }[how]()
    time.sleep(30)


@task(process=True)
def hungry() -> int:
    """Asks for more memory than it may have."""
    setrlimit(RLIMIT_AS, (2**30, RLIM_INFINITY))
    return len(bytearray(2**32))


class Broken(ValueError):
    """An exception of the task file's own."""


@task(process=True)
def fail(kind: str = "own") -> None:
    """Raises."""
    if kind == "exit":
        sys.exit(4)
    raise Broken("it broke")


@task(process=True)
def give(kind: str) -> Any:
    """Returns something special."""
    return {
        "set": {1},
        "object": object(),
        "large": "x" * 2_000_000,
        "iterator": iter([1]),
        "none": None,
    }[kind]


@task(process=True, timeout_s=0.3)
def slow(progress: Progress, polite: bool) -> None:
    """Runs into its timeout."""
    while True:
        time.sleep(0.01)
        if polite:
            progress.advance()


@task(process=True, timeout_s=0.3)
def quick() -> str:
    """Has less time than its process takes to start."""
    return "in time"


@task(process=True)
def tell_log() -> None:
    """Writes log lines of the program's own."""
    log.info("told at info")
    log.debug("told at debug")
    sys.stderr.write("said on stderr\n")


@task(process=True)
def in_steps(progress: Progress, file: str) -> Any:
    """Goes in steps, leaves checkpoints, and stays until a file is there; what an earlier attempt left."""
    progress.plan({"read": 1, "write": 3})
    with progress.step("read"):
        for number in progress.track(range(4)):
            progress.log(f"read {number}")
            progress.checkpoint({"read": number})
    with progress.step("write"):
        progress.update(1, 2, unit="files")
        progress.checkpoint({"written": progress.attempt})
        while not Path(file).exists():
            time.sleep(0.01)
            progress.update()
    return progress.checkpointed
