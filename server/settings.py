"""Every knob, read once into one frozen record.

Each field is also the environment variable `WINDSOCK_<FIELD>` and, where `run.py` offers it, a flag. Each has a line in
`docs/operations.md`; a test holds that true.
"""

import socket
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from server.errors import StartupError

KIB = 1024
MIB = 1024 * KIB
PREFIX = "WINDSOCK_"


class Durability(StrEnum):
    """How much a submit and a finish wait for."""

    EVERYSEC = "everysec"
    ALWAYS = "always"
    WAIT = "wait"


def _split(value: object) -> object:
    """Lists in the environment are separated by commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


def _node_name() -> str:
    kept = "".join(
        char if (char.isalnum() and char.isascii()) or char in "_.-" else "-" for char in socket.gethostname()
    )
    return kept[:64] or "node"


class Settings(BaseModel):
    """What one process was told. Durations in seconds end in `_s`, sizes in bytes in `_bytes`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # the door
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8765, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    insecure: bool = Field(False, description="allow an address other than loopback without authentication")
    allow_host: Names = Field((), description="further Host names this server answers to")
    name: str = Field(
        default_factory=_node_name,
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="name of this node, as jobs show it (default: the host name)",
    )
    connections_per_address: int = Field(1000, ge=1, description="WebSockets from one address")
    backlog: int = Field(4096, ge=1, description="connections the kernel holds until they are accepted")

    # tasks and where they run
    tasks: Names = Field((), description="task modules, files or folders")
    worker: bool = Field(True, description="run jobs in this process")
    queues: Names = Field(("*",), description="queues the worker serves; * is all")
    slots: int = Field(100, ge=1, le=10_000, description="jobs the worker runs at once")
    threads: int = Field(8, ge=1, le=1000, description="threads for plain `def` tasks")
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
    log_entry_bytes: int = Field(16 * KIB, ge=256, description="one log entry")
    log_keep: int = Field(20_000, ge=1, description="log entries kept per job")
    log_keep_bytes: int = Field(8 * MIB, ge=KIB, description="log bytes kept per job")
    unsent_entries: int = Field(10_000, ge=1, description="log entries a runner holds while Redis is away, per job")
    unsent_bytes: int = Field(8 * MIB, ge=KIB, description="log bytes a runner holds while Redis is away, per job")
    sent_s: float = Field(5.0, ge=0, description="log entries that Redis has are held this long, should it lose them")
    sent_entries: int = Field(10_000, ge=0, description="log entries held that Redis has, per job")
    sent_bytes: int = Field(2 * MIB, ge=0, description="log bytes held that Redis has, per job")
    verdicts_s: float = Field(60.0, ge=0, description="ends are held this long, should Redis lose them")
    verdicts: int = Field(5000, ge=0, description="ends held so by a worker")
    verdicts_bytes: int = Field(32 * MIB, ge=0, description="bytes of ends held so, with arguments and logs")
    max_ready_sets: int = Field(1000, ge=1, description="pairs of queue and task that may have jobs waiting")

    # limits of the wire
    body_bytes: int = Field(MIB + 64 * KIB, ge=KIB, description="body of a request")
    body_s: float = Field(60.0, gt=0, description="longest time a request body may take to arrive")
    header_s: float = Field(10.0, gt=0, description="longest time request headers may take; also idle keep-alive")
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
