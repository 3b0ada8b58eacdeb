"""Processes of the pool beside the process they work for: what ends one ends the other, or does not."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from processes import Processes, Server, processes, wait_for

__all__ = ["processes"]

TASKS = str(Path(__file__).parent / "process_tasks.py")


def serve(processes: Processes, *flags: str) -> Server:
    """A server with the tasks for processes."""
    return processes.serve(*flags, tasks=TASKS)


def begun(server: Server, task: str, **args: object) -> tuple[str, list[int]]:
    """A job whose first line has come, and the numbers in it."""
    job_id: str = server.submit(task, args)
    line = wait_for(lambda: server.log(job_id), "the first line", 20)[0]
    return job_id, [int(word) for word in line.split() if word.isdigit()]


def lives(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def family(server: Server) -> list[int]:
    """All that a server has started, but for Redis."""
    return [one.pid for one in psutil.Process(server.pid).children(recursive=True) if "redis" not in one.name()]


def test_nothing_outlives_a_server_that_is_killed(processes: Processes) -> None:
    server = serve(processes)
    begun(server, "deaf")
    pids = family(server)
    assert len(pids) >= 1
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: not [pid for pid in pids if lives(pid)], "the end of all processes", 5)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the process has to hear of it")
def test_code_that_holds_the_gil_does_not_outlive_it_nor_does_what_it_started(
    processes: Processes, tmp_path: Path
) -> None:
    server = serve(processes)
    _, pids = begun(server, "frozen", file=str(tmp_path / "frozen"))
    wait_for((tmp_path / "frozen").exists, "the process to freeze")
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: not [pid for pid in pids if lives(pid)], "the end of all processes", 5)


def test_an_idle_process_does_not_outlive_it_either(processes: Processes) -> None:
    server = serve(processes)
    pid = server.end(server.submit("where"))["result"]["pid"]
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: not lives(pid), "the end of the idle process", 5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_lets_a_running_job_end(processes: Processes, number: int) -> None:
    server = serve(processes)
    job_id, (pid,) = begun(server, "deaf", seconds=1)
    os.kill(pid, number)
    os.killpg(server.pid, number)
    wait_for(lambda: not lives(server.pid) and not lives(pid), "the end of both", 10)
    job = serve(processes).job(job_id)
    assert (job["state"], job["attempt"], job["result"]) == ("succeeded", 1, pid)


def test_the_flag_says_how_many(processes: Processes) -> None:
    server = serve(processes, "--processes", "3")
    (node,) = server.get("/api/nodes").body["nodes"]
    assert node["worker"]["lanes"]["process"]["slots"] == 3


@pytest.mark.parametrize(("flags", "shown"), [((), False), (("-v",), True)])
def test_a_process_logs_what_its_worker_logs(processes: Processes, flags: tuple[str, ...], shown: bool) -> None:
    server = serve(processes, *flags)
    server.end(server.submit("tell_log"))
    server.says("said on stderr")
    assert "INFO windsock.process_tasks: told at info" in server.output
    assert ("told at debug" in server.output) is shown
