"""Everybody comes at once, after a restart: all are live again, nobody has missed a line or got one twice.

`WINDSOCK_STORM_CLIENTS=5000` makes it so many; the default is 1,000.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import Processes, Server, ask, processes, wait_for

__all__ = ["processes"]
CLIENTS = int(os.environ.get("WINDSOCK_STORM_CLIENTS", "1000"))
STORM_S = 2.0
PATIENCE_S = 60.0
pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="the clients come from 127.0.0.2 and on, which only Linux has"),
]


class Clients:
    """`herd.py` in its process, watching one job."""

    def __init__(self, port: int, job_id: str, count: int = CLIENTS) -> None:
        self.count = count
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "herd.py"), str(port), job_id, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def say(self, words: str) -> dict[str, Any]:
        """A command; how they are."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told

    def until_all(self, are: str) -> dict[str, Any]:
        """Wait until all are `live`, have `moved` on, have `ended` …; none may have been told anything wrong."""
        deadline = time.monotonic() + PATIENCE_S
        while (told := self.say("tell"))[are] < self.count:
            assert not told["faults"], told
            assert time.monotonic() < deadline, f"not all are {are}: {told}"
            time.sleep(0.1)
        assert not told["faults"], told
        return told

    def until_lost(self) -> None:
        """Wait until none is connected."""
        wait_for(lambda: self.say("tell")["open"] == 0, "all clients cut off")

    def close(self) -> None:
        self._process.communicate()


Watch = Callable[[Server, str], Clients]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Starts clients that watch a job."""
    started: list[Clients] = []

    def start(server: Server, job_id: str) -> Clients:
        started.append(Clients(server.port, job_id))
        return started[-1]

    yield start
    for clients in started:
        clients.close()


def counting(server: Server) -> str:
    """A job that says a number twice a second, until it is cancelled."""
    job_id = server.submit("count", {"to": 1_000_000, "pause_s": 0.5})
    server.running(job_id)
    return job_id


def end(server: Server, job_id: str, clients: Clients) -> None:
    """Cancel the job; the end has come to all when this returns, after the last line."""
    assert ask(server.url, "POST", f"/api/jobs/{job_id}/cancel").status in (200, 202)
    told = clients.until_all("ended")
    assert told["least"] == int(server.end(job_id)["cursor"].rsplit(".", 1)[1])


def test_all_clients_of_a_killed_server_are_live_again_and_have_missed_nothing(
    processes: Processes, watch: Watch
) -> None:
    server = processes.serve()
    job_id = counting(server)
    clients = watch(server, job_id)
    clients.say(f"come {STORM_S}")
    clients.until_all("live")
    before = clients.until_all("moved")["least"]
    server.kill()
    clients.until_lost()
    again = processes.serve(port=server.port)
    clients.say(f"come {STORM_S}")
    clients.until_all("live")
    assert clients.until_all("moved")["least"] > before
    assert again.job(job_id)["attempt"] == 2
    end(again, job_id, clients)


def test_lines_that_were_said_while_the_server_was_away_come_to_all(processes: Processes, watch: Watch) -> None:
    redis = processes.redis()
    server = processes.serve("--no-worker", redis=redis)
    processes.work(redis=redis)
    job_id = counting(server)
    clients = watch(server, job_id)
    clients.say(f"come {STORM_S}")
    before = clients.until_all("moved")["least"]
    server.kill()
    clients.until_lost()
    other = processes.serve("--no-worker", redis=redis)
    wait_for(lambda: len(other.log(job_id)) > before + 2, "lines that nobody was told")
    again = processes.serve("--no-worker", redis=redis, port=server.port)
    clients.say(f"come {STORM_S}")
    clients.until_all("moved")
    assert again.job(job_id)["attempt"] == 1
    end(again, job_id, clients)


def test_all_clients_of_a_drained_server_come_back_by_themselves(processes: Processes, watch: Watch) -> None:
    redis = processes.redis()
    server = processes.serve("--no-worker", redis=redis, drain_window_s=STORM_S)
    processes.work(redis=redis)
    job_id = counting(server)
    clients = watch(server, job_id)
    clients.say(f"come {STORM_S}")
    clients.until_all("moved")
    server.send(signal.SIGTERM)
    assert server.wait() == 0
    again = processes.serve("--no-worker", redis=redis, port=server.port)
    told = clients.until_all("moved")
    assert (told["drained"], told["lost"]) == (CLIENTS, CLIENTS)
    end(again, job_id, clients)


def test_those_that_are_sent_away_are_told_when_to_come_again_and_get_in(processes: Processes, watch: Watch) -> None:
    server = processes.serve(accept_s=0.05)
    job_id = counting(server)
    clients = watch(server, job_id)
    clients.say("come 0")
    told = clients.until_all("live")
    assert told["refused"] > 0
    assert min(told["waits"]) >= 1
    assert f'windsock_turned_away_total{{reason="late"}} {told["refused"]}.0' in server.get("/metrics").body.decode()
    end(server, job_id, clients)
