"""The door itself: a web server on its own listening socket, asked by sockets of the test's own."""

import asyncio
import json
import os
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from herd import REQUEST
from rawsocket import RawSocket, frame
from tornado.ioloop import IOLoop
from web import eventually, exchange, having

from handlers.app import WebServer
from handlers.listening import ACCEPTS, REST_S, waited_s
from server.node import Node
from server.protocol import Submission

EVENTS = b"GET /api/jobs/J/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
Reach = Callable[..., socket.socket]
tells_waits = pytest.mark.skipif(
    sys.platform != "linux", reason="the system does not tell how long a client has waited"
)


@pytest.fixture
def web(io_loop: IOLoop, node: Node) -> Iterator[WebServer]:
    """A server as `serve` has it."""

    async def start() -> WebServer:
        server = WebServer(node)
        server.bind()
        server.start()
        return server

    server = io_loop.run_sync(start)
    yield server
    io_loop.run_sync(server.stop, timeout=5)


@pytest.fixture
def reach(web: WebServer) -> Iterator[Reach]:
    """Connects and sends, all in the kernel: nothing is accepted meanwhile."""
    with ExitStack() as opened:

        def connect(data: bytes) -> socket.socket:
            sock = opened.enter_context(socket.create_connection(("127.0.0.1", web.port)))
            sock.sendall(data)
            sock.setblocking(False)
            return sock

        yield connect


async def answer(sock: socket.socket, size: int = 65536) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what came back."""
    async with asyncio.timeout(5):
        data = await asyncio.get_running_loop().sock_recv(sock, size)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


def is_refusal(status: int, headers: dict[str, str], body: bytes) -> bool:
    assert (status, headers["content-type"]) == (503, "application/problem+json")
    assert int(headers["content-length"]) == len(body)
    assert int(headers["retry-after"]) >= 1
    assert json.loads(body)["code"] == "unavailable"
    return True


@having(connections=1)
@pytest.mark.gen_test
async def test_a_full_node_refuses_websockets_and_events_and_nothing_else(web, node, reach):
    held = await RawSocket.open(web.port)
    for request in (REQUEST, EVENTS):
        sock = reach(request)
        assert is_refusal(*await answer(sock))
        assert await asyncio.get_running_loop().sock_recv(sock, 10) == b""
    assert (await answer(reach(HEALTH)))[0] == 200
    assert node.metrics.turned_away == {"full": 2}
    held.close()
    await eventually(lambda: not len(web.sockets))
    assert (await answer(reach(REQUEST)))[0] == 101


@having(connections=1)
@pytest.mark.gen_test
async def test_a_request_that_comes_in_pieces_is_refused_all_the_same(web, node):
    held = await RawSocket.open(web.port)
    data = await exchange(web.port, REQUEST[:60], REQUEST[60:])
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: " in head
    assert json.loads(body)["code"] == "unavailable"
    assert node.metrics.turned_away == {"full": 1}
    held.close()


@having(connections=2, connections_per_address=1)
@pytest.mark.gen_test
async def test_events_count_as_connections(web, node, reach):
    job = await node.queue.submit(Submission(task="forever"))
    watching = reach(EVENTS.replace(b"/J/", f"/{job.id}/".encode()))
    assert (await answer(watching))[0] == 200
    assert len(web.sockets) == 1
    status, headers, _ = await answer(reach(REQUEST))
    assert (status, node.metrics.turned_away) == (429, {"address": 1})
    assert int(headers["retry-after"]) >= 4
    watching.close()
    await eventually(lambda: not len(web.sockets))
    await node.queue.cancel(job.id)


@having(greeting=2, hello_s=30)
@pytest.mark.gen_test
async def test_those_that_have_said_hello_leave_room_for_others(web, node, reach):
    silent = [await RawSocket.open(web.port) for _ in range(2)]
    assert is_refusal(*await answer(reach(REQUEST)))
    assert (await answer(reach(EVENTS)))[0] == 404  # there is no such job; it would not have to greet
    assert node.metrics.turned_away == {"greeting": 1}
    silent[0].write(frame(b'[{"type":"hello"}]'))
    await silent[0].read()
    assert (await answer(reach(REQUEST)))[0] == 101
    assert is_refusal(*await answer(reach(REQUEST)))
    for one in silent:
        one.close()


def until_waited(sock: socket.socket, seconds: float) -> None:
    """Block the loop until this client has heard nothing for so long."""
    deadline = time.monotonic() + 5
    while waited_s(sock) < seconds:
        assert time.monotonic() < deadline


@tells_waits
@having(accept_s=0.2)
@pytest.mark.gen_test
async def test_who_waited_too_long_behind_others_is_sent_away(web, node, reach):
    web.sockets.gate.judge(0.0, IOLoop.current().time())  # somebody came, and others behind him
    late = [reach(REQUEST) for _ in range(4 * ACCEPTS)]
    until_waited(late[-1], 0.25)
    assert all([is_refusal(*await answer(sock)) for sock in late])
    assert node.metrics.turned_away == {"late": len(late)}
    assert (await answer(reach(REQUEST)))[0] == 101


@tells_waits
@having(accept_s=0.2)
@pytest.mark.gen_test
async def test_a_pause_of_the_loop_sends_nobody_away(web, node, reach):
    assert (await answer(reach(HEALTH)))[0] == 200  # and nobody behind it
    came = [reach(REQUEST) for _ in range(ACCEPTS)]
    until_waited(came[-1], 0.25)
    assert [(await answer(sock))[0] for sock in came] == [101] * ACCEPTS
    assert not node.metrics.turned_away


@pytest.mark.gen_test
async def test_a_turn_of_the_loop_takes_few_connections(web, reach, monkeypatch):
    for _ in range(3 * ACCEPTS):
        reach(HEALTH)
    turn, taken = 0, []
    monkeypatch.setattr(web.sockets.gate, "judge", lambda waited_s, now: taken.append(turn))
    while len(taken) < 3 * ACCEPTS:
        turn += 1
        await asyncio.sleep(0)
    assert set(Counter(taken).values()) == {ACCEPTS}


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """This process can open nothing more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(int(name) for name in os.listdir("/dev/fd"))
    fillers = [os.dup(0)]
    while fillers[-1] < most:
        fillers.append(os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(*fillers, most) + 1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for one in fillers:
            os.close(one)


@pytest.mark.gen_test
@pytest.mark.expects_log("no connection can be accepted: Too many open files|the beat|Pub/Sub link")
async def test_without_a_descriptor_connections_wait_and_the_node_does_not_spin(web, node, reach, caplog):
    waiting = [reach(HEALTH) for _ in range(3)]
    with no_descriptor_left():
        await eventually(lambda: node.metrics.turned_away["descriptors"] >= 3)
        took = node.metrics.turned_away["descriptors"]
        await asyncio.sleep(2.5 * REST_S)
        assert 1 <= node.metrics.turned_away["descriptors"] - took <= 3
    for sock in waiting:
        assert (await answer(sock))[0] == 200
    assert len([one for one in caplog.records if "no connection can be accepted" in one.getMessage()]) == 1
