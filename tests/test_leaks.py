"""Thousands of sockets come and go in every way: nothing of them is left, in the node's tables or in the process.

`WINDSOCK_LEAK_SOCKETS=10000` opens so many; the default is 1,500.
"""

import asyncio
import gc
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import psutil
import pytest
from peer import Opcode, Peer, client_frame, close_frame, request
from processes import TASKS, Processes, Server, processes, wait_for

from handlers.connection import Connection
from handlers.session import Session
from handlers.websocket import StreamSocket
from server.client import Client
from server.feed_subscription import FeedSubscription
from server.job_subscription import JobSubscription
from server.node import Node
from server.protocol import Submission
from server.topic import Topic
from server.window import Window

__all__ = ["processes"]
SOCKETS = int(os.environ.get("WINDSOCK_LEAK_SOCKETS", "1500"))
AT_ONCE, PIECE = 150, 500
KIB = 1024
FIRST_KIB = 24 * KIB  # what a process may take for good when it meets so many for the first time
SLACK_KIB, KIB_PER_SOCKET = 3 * KIB, 0.5  # and later on; a forgotten connection with its client costs 5 and more
COLLECT = '''
import gc
@task
async def collect() -> dict[str, int]:
    """Takes the rubbish out."""
    gc.collect()
    return {"objects": len(gc.get_objects())}
'''
OURS = (Connection, Session, StreamSocket, Client, FeedSubscription, JobSubscription, Topic, Window)
Way = Callable[[Peer], Coroutine[Any, Any, None]]
Hello = list[dict[str, Any]]


def hello_of(job_id: str) -> Hello:
    """Watches a job, one that is not there, a feed of its own and one that all share."""
    wishes: Hello = [
        {"job": job_id, "log": "all"},
        {"job": "nobody", "log": "all"},
        {"feed": {"tag": f"own-{time.monotonic_ns()}"}},
        {"feed": {}},
    ]
    subscribes = [{"type": "subscribe", "sub": sub, **wish} for sub, wish in enumerate(wishes, 1)]
    return [{"type": "hello", "subscribe": subscribes}]


async def _upgraded(address: tuple[str, int]) -> Peer:
    peer = await Peer.connect(address)
    headers: dict[str, str | None] = {"Sec-WebSocket-Protocol": "windsock.v1.json"}
    await peer.send(request(line="GET /api/stream HTTP/1.1", headers=headers))
    head = await peer.head()
    assert head.startswith("HTTP/1.1 101 "), head
    return peer


async def _watching(address: tuple[str, int], job_id: str) -> Peer:
    peer = await _upgraded(address)
    await peer.send(client_frame(Opcode.TEXT, json.dumps(hello_of(job_id)).encode()))
    heard: set[str] = set()
    while not {"welcome", "snapshot", "error"} <= heard:
        opcode, payload = await peer.frame()
        heard |= {frame["type"] for frame in json.loads(payload)} if opcode == Opcode.TEXT else set()
    return peer


async def politely(address: tuple[str, int], job_id: str) -> None:
    """A close handshake."""
    peer = await _watching(address, job_id)
    await peer.send(close_frame(1000))
    while (await peer.frame())[0] != Opcode.CLOSE:
        pass
    peer.close()


async def with_reset(address: tuple[str, int], job_id: str) -> None:
    """RST while it watches."""
    (await _watching(address, job_id)).reset()


async def without_a_word(address: tuple[str, int], job_id: str) -> None:
    """FIN while it watches."""
    (await _watching(address, job_id)).close()


async def before_hello(address: tuple[str, int], job_id: str) -> None:
    """Upgraded, then gone."""
    (await _upgraded(address)).close()


async def right_behind_hello(address: tuple[str, int], job_id: str) -> None:
    """It does not wait for an answer: what it asked for is still being read."""
    peer = await _upgraded(address)
    await peer.send(client_frame(Opcode.TEXT, json.dumps(hello_of(job_id)).encode()))
    peer.reset()


async def in_the_handshake(address: tuple[str, int], job_id: str) -> None:
    """Half a request."""
    peer = await Peer.connect(address)
    await peer.send(request(line="GET /api/stream HTTP/1.1")[:60])
    peer.close()


async def with_a_fault(address: tuple[str, int], job_id: str) -> None:
    """Garbage instead of a frame."""
    peer = await _watching(address, job_id)
    await peer.send(b"\xff\xff\xff\xff")
    with suppress(AssertionError, ConnectionError):
        while (await peer.frame())[0] != Opcode.CLOSE:
            pass
    peer.close()


async def with_many_commands(address: tuple[str, int], job_id: str) -> None:
    """Subscribes and unsubscribes before it goes."""
    peer = await _watching(address, job_id)
    again = [{"type": "subscribe", "sub": sub, "job": job_id} for sub in range(10, 20)]
    never = [{"type": "unsubscribe", "id": sub, "sub": sub} for sub in range(10, 20)]
    await peer.send(client_frame(Opcode.TEXT, json.dumps([*again, *never]).encode()))
    peer.close()


WAYS = (
    politely,
    with_reset,
    without_a_word,
    before_hello,
    right_behind_hello,
    in_the_handshake,
    with_a_fault,
    with_many_commands,
)


async def come_and_go(address: tuple[str, int], job_id: str, count: int) -> None:
    """So many sockets, some at a time, in all ways there are."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with room:
            await WAYS[number % len(WAYS)](address, job_id)

    await asyncio.gather(*(one(number) for number in range(count)))


# on a process


def _kib(process: psutil.Process) -> int:
    return int(process.memory_info().rss) // KIB


def _clients(server: Server) -> int:
    return sum(node["clients"] for node in server.get("/api/nodes").body["nodes"])


@pytest.mark.timeout(600)
def test_a_server_is_as_it_was_when_thousands_have_come_and_gone(processes: Processes) -> None:
    processes.tasks.write_text(TASKS + COLLECT)
    server = processes.serve(connections_per_address=100_000, header_s=1)
    process = psutil.Process(server.pid)
    job_id = server.submit("stubborn", {"seconds": 1_000_000})
    server.running(job_id)
    address = ("127.0.0.1", server.port)

    def quiet() -> bool:
        return _clients(server) == 0 and process.num_fds() <= descriptors

    def collected() -> int:
        objects: int = server.end(server.submit("collect"))["result"]["objects"]
        return objects

    def visit(count: int) -> int:
        """So many sockets, in pieces: what they leave to the collector must not pile up meanwhile."""
        objects = 0
        for begin in range(0, count, PIECE):
            asyncio.run(come_and_go(address, job_id, min(PIECE, count - begin)))
            wait_for(quiet, "all sockets gone")
            objects = collected()
        return objects

    collected()
    descriptors, threads, first = process.num_fds(), process.num_threads(), _kib(process)
    objects, before = visit(SOCKETS // 3), _kib(process)
    assert before - first < FIRST_KIB
    assert visit(SOCKETS - SOCKETS // 3) - objects < 500  # what a node is doing just now, and nothing of any socket
    assert _kib(process) - before < KIB_PER_SOCKET * SOCKETS + SLACK_KIB
    assert process.num_threads() <= threads
    assert server.job(job_id)["state"] == "running"
    assert "ERROR" not in server.output


# inside a node


def _ours() -> Counter[str]:
    gc.collect()
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, OURS))


@pytest.mark.gen_test(timeout=100)
@pytest.mark.expects_log("Malformed HTTP|a message could not")
async def test_no_task_no_subscription_and_no_object_of_theirs_is_left(
    node: Node, http_server: Any, http_port: int
) -> None:
    job = await node.queue.submit(Submission(task="forever"))
    address = ("127.0.0.1", http_port)
    await come_and_go(address, job.id, len(WAYS))  # whatever is made once
    await _gone(node)
    before, tasks, timers = _ours(), len(asyncio.all_tasks()), _timers()
    await come_and_go(address, job.id, 25 * len(WAYS))
    await _gone(node)
    assert _ours() - before == Counter()
    assert len(asyncio.all_tasks()) <= tasks
    assert _timers() <= timers + 5  # those of the node come and go
    await node.queue.cancel(job.id)


def _timers() -> int:
    return sum(not timer.cancelled() for timer in asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]


async def _gone(node: Node) -> None:
    hub = node.hub
    deadline = time.monotonic() + 5
    while node.clients() or hub._topics or hub.feeds._held or hub._audience or hub._reads:
        assert time.monotonic() < deadline, (node.clients(), hub._topics, hub.feeds._held, hub._audience, hub._reads)
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # callbacks of this moment
