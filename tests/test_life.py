"""The life of a process: how it starts, how it refuses to, how it drains, and that it leaves nothing behind."""

import os
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from processes import Processes, Server, ask, processes, redis_of, wait_for

__all__ = ["processes"]


# What it says of itself


@pytest.mark.parametrize("command", ["", "serve", "worker", "submit", "watch", "jobs", "show", "cancel", "rerun", "tasks"])
def test_every_command_has_a_help(processes: Processes, command: str) -> None:
    process = processes.start(*command.split(), "--help")
    assert process.wait() == 0
    assert process.lines[0].startswith("Usage: run.py")
    assert len(process.lines) > 8
    assert max(map(len, process.lines)) <= 100


def test_the_help_of_serve_names_each_flag_with_its_variable(processes: Processes) -> None:
    process = processes.start("serve", "--help")
    process.wait()
    said = " ".join(process.output.split())
    for flag in ("host", "port", "tasks", "redis", "data-dir", "slots", "no-worker"):
        assert f"--{flag}" in said
        assert f"WINDSOCK_{flag.upper().replace('-', '_')}" in said


def test_the_last_line_at_start_is_the_url(processes: Processes) -> None:
    server = processes.serve()
    assert server.lines == [f"Windsock answers on {server.url}"]


# How it refuses to start


def refused(processes: Processes, *words: str, status: int = 1, **settings: object) -> str:
    """The one line of a process that does not start."""
    process = processes.start(*words, **settings)
    assert process.wait() == status, process.output
    assert "Traceback" not in process.output
    if status == 1:
        assert len(process.lines) == 1, process.output
    return str(process.lines[-1])


def test_a_port_in_use_is_one_line(processes: Processes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(processes, "serve", "--port", str(port), data_dir=processes.data_dir)
    assert f"127.0.0.1:{port}" in said
    assert "--port" in said
    assert not processes.data_dir.exists()


def test_a_data_directory_in_use_is_one_line(processes: Processes) -> None:
    server = processes.serve()
    said = refused(processes, "serve", port=0, data_dir=processes.data_dir)
    assert f"{processes.data_dir} is in use by process {server.pid}" in said
    assert server.get("/readyz").status == 200


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--port", "70000"), "--port"),
        (("--port", "http"), "--port"),
        (("--slots", "0"), "--slots"),
        (("--threads", "many"), "--threads"),
        (("--drain", "-1"), "--drain"),
        (("--name", "two words"), "--name"),
        (("--namespace", "a{b}"), "--namespace"),
        (("--colour", "red"), "--colour"),
    ],
)
def test_a_wrong_flag_is_refused_by_its_name(processes: Processes, flags: tuple[str, ...], named: str) -> None:
    assert named in refused(processes, "serve", *flags, status=2, data_dir=processes.data_dir)


def test_a_wrong_variable_is_refused_by_its_name(processes: Processes) -> None:
    assert "WINDSOCK_KEEP_ENDED" in refused(processes, "serve", status=2, keep_ended="some")


@pytest.mark.parametrize("url", ["localhost", "http://localhost", "redis://localhost:port"])
def test_a_redis_url_that_is_none_is_one_line(processes: Processes, url: str) -> None:
    assert "--redis" in refused(processes, "serve", "--redis", url, port=0)


def test_an_address_others_can_reach_is_refused(processes: Processes) -> None:
    said = refused(processes, "serve", "--host", "0.0.0.0", port=0, data_dir=processes.data_dir)
    assert "--host 0.0.0.0" in said
    assert "--insecure" in said


def test_an_address_others_can_reach_is_warned_of(processes: Processes) -> None:
    server = processes.serve("--host", "0.0.0.0", "--insecure")
    assert "WARNING" in server.lines[0]
    assert "without authentication" in server.lines[0]
    assert server.get("/healthz").status == 200


def test_a_worker_without_a_running_node_is_one_line(processes: Processes) -> None:
    said = refused(processes, "worker", tasks=processes.tasks, data_dir=processes.data_dir)
    assert f"no node is running on {processes.data_dir}" in said


def test_a_worker_without_tasks_is_one_line(processes: Processes) -> None:
    assert "--tasks" in refused(processes, "worker", data_dir=processes.data_dir)


class FakeRedis:
    """Answers INFO as a Redis of some version would; everything else with OK."""

    def __init__(self, version: str) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        text = f"# Server\r\nredis_version:{version}\r\n"
        self._info = f"${len(text)}\r\n{text}\r\n".encode()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(4096):
                    commands = data.count(b"*")
                    connection.sendall(b"+OK\r\n" * (commands - b"INFO" in data) + self._info * (b"INFO" in data))

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)


def test_a_redis_too_old_is_one_line(processes: Processes) -> None:
    redis = FakeRedis("6.0.16")
    try:
        said = refused(processes, "serve", "--redis", f"redis://127.0.0.1:{redis.port}", port=0)
    finally:
        redis.close()
    assert "Redis 6.0.16 is too old" in said
