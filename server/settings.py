"""Every knob, read once into one frozen record.

Each field is also the environment variable `WINDSOCK_<FIELD>` and, where `run.py` offers it, a flag. Each has a line in
`docs/operations.md`; a test holds that true.
"""

import os
import re
import socket
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from server.errors import StartupError

KIB = 1024
MIB = 1024 * KIB
PREFIX = "WINDSOCK_"
USUAL_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(\d{1,5}))?")


class Durability(StrEnum):
    """How much a submit and a finish wait for."""

    EVERYSEC = "everysec"
    ALWAYS = "always"
    WAIT = "wait"


def _split(value: object) -> object:
    """Lists in the environment are separated by commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


def _origin(text: str) -> str:
    """An origin as browsers write it: scheme, host and, where it is not the usual one, port.

    Raises:
        ValueError: it is none, or more than one.
    """
    if text == "*":
        raise ValueError("name each origin: * would let every page that somebody visits hand in jobs")
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        raise ValueError(f"{text!r} is no origin: write https://app.example.com, with a port if need be, and no path")
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" + (f":{port}" if port and int(port) != USUAL_PORTS[scheme] else "")


def _node_name() -> str:
    kept = "".join(
        char if (char.isalnum() and char.isascii()) or char in "_.-" else "-" for char in socket.gethostname()
    )
    return kept[:64] or "node"


def _processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 2


class Settings(BaseModel):
    """What one process was told. Durations in seconds end in `_s`, sizes in bytes in `_bytes`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # the door
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8765, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    insecure: bool = Field(False, description="allow an address other than loopback without authentication")
    allow_host: Names = Field((), description="further Host names this server answers to")
    allow_origin: Names = Field((), description="origins whose pages may use the API, each as https://app.example.com")
    name: str = Field(
        default_factory=_node_name,
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="name of this node, as jobs show it (default: the host name)",
    )
    connections: int = Field(
        0, ge=0, description="WebSockets and event streams of this node; 0 is what its descriptors are good for"
    )
    connections_per_address: int = Field(1000, ge=1, description="WebSockets and event streams from one address")
    greeting: int = Field(1000, ge=1, description="WebSockets that have not said hello, at a time")
    accept_s: float = Field(2.0, gt=0, description="a new client waits about this long at most, then it is sent away")
    backlog: int = Field(4096, ge=1, description="connections the kernel holds until they are accepted")

    # tasks and where they run
    tasks: Names = Field((), description="task modules, files or folders")
    worker: bool = Field(True, description="run jobs in this process")
    workers: int = Field(
        0, ge=0, le=256, description="worker processes beside this one, which then runs no jobs itself; 0 is none"
    )
    worker_jobs: int = Field(0, ge=0, description="jobs after which a worker process of these is replaced; 0 is never")
    resource_open_s: float = Field(60.0, gt=0, description="longest time that opening one `@resource` may take")
    resource_close_s: float = Field(10.0, gt=0, description="longest time that closing one may take")
    queues: Names = Field(("*",), description="queues the worker serves; * is all")
    slots: int = Field(100, ge=1, le=10_000, description="jobs the worker runs at once")
    threads: int = Field(8, ge=1, le=1000, description="threads for plain `def` tasks")
    processes: int = Field(
        default_factory=_processors,
        ge=0,
        le=1000,
        description="processes for `@task(process=True)`; 0 runs none of these here (default: the processors)",
    )
    process_jobs: int = Field(0, ge=0, description="jobs after which a process is replaced by a new one; 0 is never")
    process_idle_s: float = Field(60.0, ge=0, description="a process that has had nothing to do this long ends")
    drain_s: float = Field(10.0, ge=0, description="grace for running jobs when the process is told to stop")
    cancel_grace_s: float = Field(
        10.0, ge=0, description="wait for a job that was cancelled or timed out to end itself"
    )
    files: Path = Field(Path(), description="folder below which the example tasks may read and write")
    fetch_private: bool = Field(False, description="let the example task fetch() reach private addresses")

    # Redis
    redis: str | None = Field(None, description="URL of a shared Redis; without it a private one is started")
    data_dir: Path = Field(Path(".windsock"), description="folder of the private Redis")
    redis_server: str | None = Field(None, description="redis-server or valkey-server program for the private Redis")
    namespace: str = Field(
        "windsock",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="prefix of all keys; installations may share a Redis",
    )
    durability: Durability = Field(
        Durability.EVERYSEC, description="what submit and finish wait for: everysec, always, wait"
    )
    redis_maxmemory_bytes: int = Field(1024 * MIB, ge=16 * MIB, description="memory limit of the private Redis")
    redis_timeout_s: float = Field(5.0, gt=0, description="longest wait for an answer of Redis")

    # beat and lease
    beat_s: float = Field(1.0, gt=0, description="time between two beats of a process")
    lease_s: float = Field(4.0, gt=0, description="a worker whose beat stands still this long loses its jobs")
    block_s: float = Field(0.2, ge=0.02, description="a step of the loop that takes longer is told, with whose it was")
    max_block_s: float = Field(60.0, gt=0, description="a worker process whose loop is blocked longer ends itself")
    lost_s: float = Field(5.0, gt=0, description="a job that Redis lost may be told to it again for so long")
    flush_s: float = Field(0.05, gt=0, description="shortest time between two progress reports of a job")

    flush_unwatched_s: float = Field(
        1.0, gt=0, description="the same for a job that nobody looks at; its first word and its end leave at once"
    )
    reread_s: float = Field(10.0, gt=0, description="what is watched is compared with the store about this often")

    # what is kept
    keep_ended_s: float = Field(7 * 86_400.0, ge=0, description="ended jobs are kept this long")
    keep_ended: int = Field(1_000_000, ge=0, description="at most this many ended jobs are kept")
    keep_below_percent: int = Field(
        85,
        ge=1,
        le=100,
        description="ended jobs are dropped while the private Redis uses more of its memory limit",
    )
    profiles: int = Field(5, ge=1, le=100, description="profiles kept with a job; the oldest goes first")
    profile_bytes: int = Field(
        512 * KIB, ge=4 * KIB, description="one profile; small parts of a larger one are left out"
    )
    profile_s: float = Field(60.0, gt=0, description="longest time for which a running job is sampled on demand")
    profile_interval_s: float = Field(0.005, ge=0.0005, le=1, description="time between two samples of a profile")
    answer_s: float = Field(5.0, gt=0, description="longest wait for what a worker says of a job that it runs")
    log_entry_bytes: int = Field(16 * KIB, ge=256, description="one log entry")
    log_keep: int = Field(20_000, ge=1, description="log entries kept per job")
    log_keep_bytes: int = Field(8 * MIB, ge=KIB, description="log bytes kept per job")
    log_keep_s: float = Field(604_800.0, ge=1, description="log entries of a job that runs on go when they are so old")
    history: int = Field(100, ge=5, le=1000, description="durations kept of each task")
    history_s: float = Field(2_592_000.0, ge=1, description="durations of a task go when none came for this long")
    stall_s: float = Field(10.0, ge=1, description="a job is called stalled no sooner after its last change")
    checkpoint_bytes: int = Field(64 * KIB, ge=KIB, description="checkpoint of a job")
    unsent_entries: int = Field(10_000, ge=1, description="log entries a runner holds while Redis is away, per job")
    unsent_bytes: int = Field(8 * MIB, ge=KIB, description="log bytes a runner holds while Redis is away, per job")
    sent_s: float = Field(5.0, ge=0, description="log entries that Redis has are held this long, should it lose them")
    sent_entries: int = Field(10_000, ge=0, description="log entries held that Redis has, per job")
    sent_bytes: int = Field(2 * MIB, ge=0, description="log bytes held that Redis has, per job")
    verdicts_s: float = Field(60.0, ge=0, description="ends are held this long, should Redis lose them")
    verdicts: int = Field(5000, ge=0, description="ends held so by a worker")
    verdicts_bytes: int = Field(32 * MIB, ge=0, description="bytes of ends held so, with arguments and logs")
    max_ready_sets: int = Field(1000, ge=1, description="pairs of queue and task that may have jobs waiting")
    queue_limit: int = Field(1_000_000, ge=1, description="jobs that may wait in one queue, scheduled ones among them")
    tree_depth: int = Field(16, ge=0, description="ancestors that a spawned job may have; 0 lets no job spawn")
    tree_children: int = Field(10_000, ge=1, le=2**20 - 1, description="children that a job or a group may have")
    idempotency_s: float = Field(86_400.0, ge=0.001, description="an idempotency key is remembered this long")

    # limits of the wire
    body_bytes: int = Field(MIB + 64 * KIB, ge=KIB, description="body of a request")
    body_s: float = Field(60.0, gt=0, description="longest time a request body may take to arrive")
    header_s: float = Field(10.0, gt=0, description="longest time request headers may take; also idle keep-alive")
    batch_body_bytes: int = Field(64 * MIB, ge=KIB, description="body of a batch of submits")
    args_bytes: int = Field(MIB, ge=KIB, description="arguments of a job")
    result_bytes: int = Field(MIB, ge=KIB, description="result of a job")
    frame_result_bytes: int = Field(32 * KIB, ge=KIB, description="a larger result is left out of frames")
    hello_bytes: int = Field(64 * KIB, ge=KIB, description="WebSocket message before hello")
    message_bytes: int = Field(MIB + 64 * KIB, ge=KIB, description="WebSocket message after hello")
    batch_bytes: int = Field(64 * KIB, ge=8 * KIB, description="messages to a client are filled up to about this size")
    hello_s: float = Field(5.0, gt=0, description="a client says hello within this time")
    heartbeat_s: float = Field(15.0, gt=0, description="silence after which the server sends a heartbeat")
    ping_s: float = Field(25.0, gt=0, description="time between WebSocket pings")
    ping_timeout_s: float = Field(50.0, gt=0, description="a client that sent no byte this long is gone")
    write_s: float = Field(20.0, gt=0, description="a client that takes no byte this long is ended")
    commands_per_s: float = Field(20.0, gt=0, description="commands of one client, sustained")
    commands_burst: int = Field(60, ge=1, description="commands of one client at once")
    commands_refused: int = Field(100, ge=1, description="refused commands after which a client is ended")
    subscriptions: int = Field(256, ge=1, description="subscriptions of one client")
    feed_limit: int = Field(500, ge=1, le=5000, description="largest window of a feed, largest page of a list")
    wait_s: float = Field(60.0, ge=0, description="longest wait of a long-poll or of Prefer: wait")
    hidden_s: float = Field(5.0, gt=0, description="time between updates to a hidden page")
    drain_window_s: float = Field(5.0, ge=0, description="clients of a draining node come back spread over this time")

    @field_validator("allow_origin")
    @classmethod
    def _exact_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_origin(text) for text in origins)

    @model_validator(mode="after")
    def _lease_outlasts_beats(self) -> "Settings":
        if self.lease_s < 2 * self.beat_s:
            raise ValueError("lease_s must be at least twice beat_s, or a healthy worker loses its jobs")
        return self

    @classmethod
    def read(cls, environ: Mapping[str, str], **given: Any) -> "Settings":
        """Settings from `WINDSOCK_*` variables, with `given` (None means not given) on top.

        Raises:
            StartupError: a value is wrong; the message names the variable or flag and what it takes.
        """
        values: dict[str, Any] = {
            name: environ[PREFIX + name.upper()] for name in cls.model_fields if environ.get(PREFIX + name.upper())
        }
        values.update({name: value for name, value in given.items() if value is not None})
        try:
            return cls(**values)
        except ValidationError as error:
            raise StartupError("; ".join(_explain(one["loc"], one["msg"]) for one in error.errors())) from None


def _explain(location: tuple[int | str, ...], message: str) -> str:
    if not location:
        return message.removeprefix("Value error, ")
    name = str(location[0])
    return f"setting {name} ({PREFIX}{name.upper()}): {message}"
