"""`windsock watch` as a person has it: real servers, a real terminal."""

import signal

import pytest
from processes import Processes, Server, lasting, processes
from terminals import Terminal, terminals

__all__ = ["lasting", "processes", "terminals"]


@pytest.fixture(scope="module")
def served(lasting: Processes) -> Server:
    return lasting.serve()


def test_each_job_has_a_bar_and_its_log_comes_above(terminals: list[Terminal], served: Server) -> None:
    jobs = [served.submit("count", {"to": to, "pause_s": 0.1}) for to in (20, 40, 60)]
    terminals.append(Terminal("watch", "--url", served.url, *jobs, width=120))
    assert terminals[0].end() == 0
    shown = terminals[0].read()
    for job_id, to in zip(jobs, (20, 40, 60), strict=True):
        assert f"{job_id[-8:]} number {to}" in shown
        assert f"{job_id[-8:]} result: {to}" in shown
    assert "count " + jobs[2][-8:] in shown
    assert "/s" in shown
    assert "left" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_leaving_gives_the_cursor_back_and_says_how_to_go_on(
    terminals: list[Terminal], served: Server, number: int
) -> None:
    jobs = [served.submit("count", {"to": 10_000}) for _ in range(2)]
    terminals.append(Terminal("watch", "--url", served.url, *jobs))
    terminals[0].until("number 3")
    terminals[0].send(number)
    assert terminals[0].end() == 130
    assert "detached; 2 jobs go on" in terminals[0].read()


def test_a_restart_of_the_server_is_told_and_outlasted(terminals: list[Terminal], processes: Processes) -> None:
    redis = processes.redis()
    server = processes.serve("--no-worker", redis=redis)
    processes.work(redis=redis)
    job_id = server.submit("count", {"to": 200})
    terminals.append(Terminal("watch", "--url", server.url, job_id, width=100))
    terminals[0].until("number 3")
    server.kill()
    terminals[0].until("trying again in")
    processes.serving("--no-worker", port=server.port, redis=redis)
    assert terminals[0].end() == 0
    lines = [line for line in terminals[0].read().split("\n") if " number " in line]
    assert [line.split()[-1] for line in lines] == [str(number) for number in range(1, 201)]
