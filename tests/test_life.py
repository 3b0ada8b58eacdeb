"""The life of a process: how it starts, how it refuses to, how it drains, and that it leaves nothing behind."""

import re
import signal
import socket
import stat
import threading
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result
from processes import Answer, Processes, Server, ask, lasting, processes, redis_of, wait_for

from run import main

__all__ = ["lasting", "processes"]


# What it says of itself


def said_by(*words: str) -> Result:
    """What a command says that ends before it begins."""
    return CliRunner().invoke(main, words)


@pytest.mark.parametrize(
    "command", ["", "serve", "worker", "submit", "watch", "jobs", "show", "cancel", "rerun", "tasks"]
)
def test_every_command_has_a_help(command: str) -> None:
    said = said_by(*command.split(), "--help")
    assert said.exit_code == 0
    assert said.output.startswith("Usage: ")
    lines = said.output.splitlines()
    assert len(lines) > 8
    assert max(map(len, lines)) <= 100


def test_the_help_of_serve_names_each_flag_with_its_variable() -> None:
    said = " ".join(said_by("serve", "--help").output.split())
    for flag in ("host", "port", "tasks", "redis", "data-dir", "slots", "no-worker"):
        assert f"--{flag}" in said
        assert f"WINDSOCK_{flag.upper().replace('-', '_')}" in said


@pytest.fixture(scope="module")
def server(lasting: Processes) -> Server:
    """A server that stays as it is."""
    return lasting.serve()


def test_the_last_line_at_start_is_the_url(server: Server) -> None:
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


def test_a_data_directory_in_use_is_one_line(lasting: Processes, server: Server) -> None:
    said = refused(lasting, "serve", port=0, data_dir=lasting.data_dir)
    assert f"{lasting.data_dir} is in use by process {server.pid}" in said
    assert server.get("/readyz").status == 200


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--slots", "10001"), "--slots"),
        (("--port", "http"), "--port"),
        (("--slots", "0"), "--slots"),
        (("--threads", "many"), "--threads"),
        (("--drain", "-1"), "--drain"),
        (("--name", "two words"), "--name"),
        (("--namespace", "a{b}"), "--namespace"),
        (("--colour", "red"), "--colour"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_wrong_flag_is_refused_by_its_name(command: str, flags: tuple[str, ...], named: str) -> None:
    said = said_by(command, *flags)
    assert said.exit_code == 2
    assert named in said.output.splitlines()[-1]


def test_a_wrong_variable_is_refused_by_its_name(processes: Processes) -> None:
    assert "WINDSOCK_KEEP_ENDED" in refused(
        processes, "serve", status=2, keep_ended="some", data_dir=processes.data_dir
    )


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
                    infos = data.count(b"$4\r\nINFO\r\n")
                    connection.sendall(b"+OK\r\n" * (data.count(b"*") - infos) + self._info * infos)

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


# Task files


def test_a_broken_task_file_is_shown_with_its_line_and_the_others_are_served(processes: Processes) -> None:
    broken = processes.folder / "broken.py"
    broken.write_text("from windsock import task\n\nthis is no Python\n")
    server = processes.serve("--tasks", "broken.py", "--tasks", "work.py")
    assert any("ERROR" in line and "broken.py:3: " in line for line in server.lines)
    assert server.end(server.submit("count", {"to": 2}))["result"] == 2


# Draining


def test_a_drain_lets_short_jobs_end_and_gives_long_ones_back(processes: Processes) -> None:
    server = processes.serve(drain_s=0.5)
    short = server.submit("count", {"to": 15})
    long = server.submit("count", {"to": 50}, max_attempts=1)
    server.running(short)
    server.running(long)
    watcher = processes.watch(server, {"type": "subscribe", "sub": 1, "job": long, "log": "all"})
    server.send(signal.SIGTERM)
    assert watcher.until("drain")["within_s"] == [0, 0.1]
    refusal = ask(server.url, "POST", "/api/jobs", {"task": "echo", "args": {"value": 1}})
    assert (refusal.status, refusal.body["code"], refusal.headers["Retry-After"]) == (503, "unavailable", "5")
    assert server.get("/readyz").status == 503
    assert server.get("/healthz").status == 200
    assert server.wait() == 0
    wait_for(lambda: watcher.closed, "the watcher to be closed")
    assert watcher.close_code == 4200

    again = processes.serve("--no-worker")
    assert again.job(short)["state"] == "succeeded"
    assert (again.job(long)["state"], again.job(long)["attempt"]) == ("queued", 2)
    processes.work(data_dir=processes.data_dir)  # joins the private Redis of the server
    job = again.end(long)
    assert (job["state"], job["attempt"], job["node"]) == ("succeeded", 2, "worker-1")


def test_a_drained_worker_gives_its_jobs_to_another_at_once(processes: Processes) -> None:
    server = processes.serve("--no-worker")
    drained = processes.work(data_dir=processes.data_dir, drain_s=0)
    job_id = server.submit("count", {"to": 200}, max_attempts=1)
    server.running(job_id)
    processes.work(data_dir=processes.data_dir)
    drained.send(signal.SIGTERM)
    assert drained.wait() == 0
    job = server.end(job_id)
    assert (job["state"], job["attempt"], job["node"]) == ("succeeded", 2, "worker-2")


@pytest.mark.parametrize("task", ["count", "stubborn", "deaf", "block"])
def test_a_second_signal_stops_at_once(processes: Processes, task: str) -> None:
    server = processes.serve(drain_s=30)
    job_id = server.submit(task, {"to": 10_000} if task == "count" else {"seconds": 30})
    server.running(job_id)
    if task == "block":
        wait_for(lambda: _blocked(server), "the loop to be blocked")
    server.send(signal.SIGTERM)
    if task == "block":
        wait_for(lambda: not _pending(server), "the first signal to be taken")
    else:
        server.says("a second signal stops at once")
    server.send(signal.SIGINT)
    began = time.monotonic()
    server.wait()
    assert time.monotonic() - began < 2
    processes.no_orphan()
    if task == "count":
        again = processes.serve("--no-worker")
        assert (again.job(job_id)["state"], again.job(job_id)["attempt"]) == ("queued", 2)


def _pending(server: Server) -> bool:
    """Whether a signal is on its way; the kernel would hand the next one to another thread, which wakes nobody."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return any(int(mask, 16) for mask in re.findall(r"(?:SigPnd|ShdPnd):\s*(\w+)", status))


def _blocked(server: Server) -> bool:
    try:
        ask(server.url, "GET", "/healthz", timeout_s=0.3)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("task", ["stubborn", "deaf"])
def test_a_job_that_does_not_end_holds_no_process(processes: Processes, task: str) -> None:
    server = processes.serve(drain_s=0.2)
    job_id = server.submit(task, {"seconds": 30})
    server.running(job_id)
    server.send(signal.SIGTERM)
    assert server.wait(5) == 0
    processes.no_orphan()
    again = processes.serve("--no-worker")
    assert (again.job(job_id)["state"], again.job(job_id)["attempt"]) == ("queued", 2)


def test_ctrl_c_drains_before_redis_goes(processes: Processes) -> None:
    server = processes.serve()
    job_id = server.submit("count", {"to": 40})
    server.running(job_id)
    server.press_ctrl_c()
    assert server.wait() == 0
    assert "died" not in server.output
    assert "WARNING" not in server.output
    again = processes.serve("--no-worker")
    assert (again.job(job_id)["state"], again.job(job_id)["attempt"]) == ("succeeded", 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_ends_it_and_leaves_nothing(processes: Processes, number: int) -> None:
    server = processes.serving()
    wait_for((processes.data_dir / "redis.json").exists, "Redis to be on its way")
    server.send(number)
    assert server.wait() == 0
    assert "Traceback" not in server.output
    assert not redis_of(processes.data_dir)


# What is left behind


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_end_leaves_redis_behind(processes: Processes, number: int) -> None:
    server = processes.serve()
    redis = processes.private_redis()
    server.send(number)
    server.wait()
    processes.no_orphan()
    assert not redis.is_running() or redis.status() == psutil.STATUS_ZOMBIE


@pytest.mark.usefixtures("server")
def test_the_data_directory_is_closed_to_others(lasting: Processes) -> None:
    assert stat.S_IMODE(lasting.data_dir.stat().st_mode) == 0o700


# Redis in trouble


def test_a_full_redis_refuses_submits_and_lets_jobs_end(processes: Processes) -> None:
    server = processes.serve(redis_maxmemory_bytes=16 * 1024 * 1024, keep_below_percent=100)
    running = server.submit("count", {"to": 10_000, "pause_s": 0.05})
    server.running(running)
    ended = [server.submit("echo", {"value": "x" * 500_000}) for _ in range(3)]
    for job_id in ended:
        server.end(job_id)
    held: list[str] = []

    def refusals() -> list[Answer] | None:
        """Of a submit and of readyz, once not even the smallest job fits: the ended jobs are given up before that."""
        for size in (900_000, 50_000, 3_000):
            while (answer := _submit_later(server, size)).status == 202:
                held.append(answer.body["id"])
        submit, ready = _submit_later(server, 1), server.get("/readyz")
        held.extend([submit.body["id"]] if submit.status == 202 else [])
        return [submit, ready] if submit.status != 202 and ready.status != 200 else None

    for refusal in wait_for(refusals, "not ready"):
        assert (refusal.status, refusal.body["code"]) == (503, "unavailable")
        assert int(refusal.headers["Retry-After"]) >= 1
        assert "full" in refusal.body["detail"]
    assert [server.job(job_id)["state"] for job_id in held] == ["scheduled"] * len(held)
    assert ask(server.url, "POST", f"/api/jobs/{running}/cancel").status == 202
    assert server.end(running)["state"] == "cancelled"
    for job_id in held:
        assert ask(server.url, "POST", f"/api/jobs/{job_id}/cancel").status == 202
        assert ask(server.url, "DELETE", f"/api/jobs/{job_id}").status == 204
    wait_for(lambda: server.get("/readyz").status == 200, "ready again")
    assert server.end(server.submit("echo", {"value": 1}))["result"] == 1


def _submit_later(server: Server, size: int) -> Answer:
    return ask(server.url, "POST", "/api/jobs", {"task": "echo", "args": {"value": "x" * size}, "delay_s": 600})
