"""Answers that are lost, servers that are busy or away: what is asked again, and what is not."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from clients import Relay, make_client, served
from processes import Processes, Server, lasting, processes

import windsock
from windsock import Busy, Options, Submission, Unreachable, target

__all__ = ["lasting", "processes", "served"]
Through = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def through(request: pytest.FixtureRequest, served: Server) -> Iterator[Through]:
    """Makes a client of either kind that goes through a relay."""

    @contextmanager
    def make(*fates: str, **options: Any) -> Iterator[Any]:
        relay = Relay(served.port, *fates)
        making = make_client(request.param, relay.url, **options)
        client = next(making)
        try:
            yield client, relay
        finally:
            for _ in making:
                pass
            relay.close()

    return make


@pytest.mark.parametrize("fates", [("lose",), ("drop", "lose"), ("503",)])
def test_a_submit_is_sent_again_and_is_one_job_all_the_same(through: Through, fates: tuple[str, ...]) -> None:
    with through(*fates) as (client, relay):
        tag = f"once-{time.monotonic_ns()}"
        handle = client.submit("echo", Options(tags=[tag]), value=1)
        assert [job.id for job in client.list(tag=tag).jobs] == [handle.id]
        assert relay.connections >= 2


def test_a_kept_connection_that_was_cut_is_made_anew_without_waiting(through: Through) -> None:
    with through("pass", "pass", retry_s=0) as (client, relay):
        client.tasks()
        client.tasks()
        assert relay.connections == 1


def test_what_must_not_come_twice_is_not_sent_again_when_its_answer_is_lost(through: Through) -> None:
    with through("lose") as (client, relay):
        with pytest.raises(Unreachable, match="was lost") as failure:
            client.submit_many([Submission("echo", {"value": 1})])
        assert failure.value.sent
        assert relay.connections == 1


def test_what_must_not_come_twice_is_sent_again_to_a_busy_server(through: Through) -> None:
    with through("503") as (client, relay):
        (handle,) = client.submit_many([Submission("echo", {"value": 1})])
        assert handle.result(10) == 1
        assert relay.connections >= 2


def test_without_retries_the_first_failure_counts(through: Through) -> None:
    with through("503", retry_s=0) as (client, _), pytest.raises(Busy, match="not now") as failure:
        client.submit("echo", value=1)
    assert failure.value.after_s == 0.0


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_server_that_is_not_there_is_told_when_the_time_is_over(kind: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for client in make_client(kind, f"http://127.0.0.1:{closed.getsockname()[1]}", retry_s=0.2):
            with pytest.raises(Unreachable, match="no server answers at") as failure:
                client.submit("echo", value=1)
            assert not failure.value.sent


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_server_that_says_nothing_is_given_up(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        for client in make_client(kind, url, retry_s=0, timeout_s=0.2):
            with pytest.raises(Unreachable, match="not answer in time"):
                client.tasks()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_wait_for_a_server_that_is_away_ends_with_its_time(kind: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for client in make_client(kind, f"http://127.0.0.1:{closed.getsockname()[1]}"):
            with pytest.raises(Unreachable, match="no server answers at"):
                client.wait("01NOSUCH", 0.2)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_wait_for_a_server_that_says_nothing_ends_with_its_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "LATE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        for client in make_client(kind, f"http://127.0.0.1:{mute.getsockname()[1]}"):
            with pytest.raises(Unreachable, match="not answer in time"):
                client.wait("01NOSUCH", 0.2)


def restart(processes: Processes, server: Server) -> None:
    """Killed, and started again at the same port, with a worker."""
    server.kill()
    processes.serving(port=server.port, redis=processes.redis_url)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_wait_lasts_through_a_restart_of_the_server(kind: str, processes: Processes) -> None:
    server = processes.serve("--no-worker", redis=processes.redis())
    for client in make_client(kind, server.url):
        handle = client.submit("echo", value="late")
        restarting = threading.Timer(0.5, restart, [processes, server])
        restarting.start()
        assert handle.result(30) == "late"
        restarting.join()


def test_many_threads_share_a_client(served: Server) -> None:
    found: list[Any] = []
    with windsock.Client(served.url) as client:

        def work(number: int) -> None:
            found.append(client.submit("echo", value=number).result(20))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert sorted(found) == list(range(20))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_client_made_before_a_fork_is_of_use_after_it(served: Server) -> None:
    with windsock.Client(served.url) as client:
        client.tasks()
        child = os.fork()
        if child == 0:
            os._exit(0 if client.submit("echo", value=1).result(10) == 1 else 1)
        assert client.submit("echo", value=2).result(10) == 2
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
