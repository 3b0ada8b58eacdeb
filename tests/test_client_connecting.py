"""Connections that hang or break at the worst moment, against servers of a few lines that do only that."""

import asyncio
import base64
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from windsock import AsyncClient, Client, Connection, Unreachable, stream

Part = Callable[[socket.socket], object]
SUBPROTOCOL, KEY = "windsock.v1.json", "Sec-Websocket-Key"


class Handmade:
    """Plays a part with each connection, the last one again and again."""

    def __init__(self, *parts: Part) -> None:
        self._parts = list(parts)
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen()
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.came = threading.Semaphore(0)  # as often as there was a connection
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                part = self._parts.pop(0) if len(self._parts) > 1 else self._parts[0]
                self._threads.append(threading.Thread(target=self._play, args=(sock, part)))
                self._threads[-1].start()

    def _play(self, sock: socket.socket, part: Part) -> None:
        with sock, suppress(OSError):
            self.came.release()
            if part is not mute:
                part(sock)
            else:
                self._over.wait()

    def close(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()


def mute(sock: socket.socket) -> None:
    """Takes the connection and never says a word."""


def until_end(sock: socket.socket) -> None:
    """Reads until the client has left."""
    while sock.recv(65536):
        pass


def answer(data: bytes) -> Part:
    """Answers a request with these bytes, and ends the connection."""

    def part(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(data)

    return part


def upgrade(sock: socket.socket) -> None:
    """The handshake of a WebSocket (RFC 6455, section 4.2.2)."""
    request = sock.recv(65536).decode()
    if not request:
        return
    key = next(line.partition(":")[2].strip() for line in request.splitlines() if line.startswith(KEY))
    accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
    head = f"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
    sock.sendall(f"{head}Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n".encode())


@pytest.fixture
def serve() -> Iterator[Callable[..., Handmade]]:
    made: list[Handmade] = []

    def make(*parts: Part) -> Handmade:
        made.append(Handmade(*parts))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.gen_test
async def test_a_watch_that_is_left_while_it_connects_closes_what_comes_late(serve: Any) -> None:
    left, ended = threading.Event(), threading.Event()

    def late(sock: socket.socket) -> None:
        assert left.wait(20)
        upgrade(sock)
        if sock.recv(65536).startswith(b"\x88"):  # a close
            ended.set()

    server = serve(late)
    async with AsyncClient(server.url) as client:
        events = client.stream()
        events.watch("01NOSUCH")
        reading = asyncio.ensure_future(anext(events))
        await asyncio.to_thread(server.came.acquire)
        await events.close()
        left.set()
        assert await asyncio.to_thread(ended.wait, 20)
        with pytest.raises(StopAsyncIteration):
            await reading


@pytest.mark.gen_test
async def test_a_server_that_takes_connections_and_says_nothing_is_given_up(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "WELCOME_TIMEOUT_S", 0.2)
    async with AsyncClient(serve(mute).url) as client:
        with pytest.raises(Unreachable, match="does not answer in time") as failure:
            await anext(client.watch("01NOSUCH"))
        assert failure.value.reason == "silent"


@pytest.mark.gen_test
async def test_a_server_that_does_not_read_the_hello_is_tried_again(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "WELCOME_TIMEOUT_S", 0.5)
    over = threading.Event()

    def stuck(sock: socket.socket) -> None:
        upgrade(sock)
        over.wait(20)

    async with AsyncClient(serve(stuck).url) as client, client.stream() as events:
        events.feed({"tag": "x" * 30_000_000})  # more than the kernel keeps
        told = await anext(events)
        over.set()
    assert isinstance(told, Connection)
    assert (told.state, told.why) == ("lost", "the server is silent")


@pytest.mark.gen_test
async def test_a_connection_that_is_cut_behind_the_handshake_is_tried_again(serve: Any) -> None:
    async with AsyncClient(serve(upgrade).url) as client, client.stream() as events:
        events.watch("01NOSUCH")
        told = await anext(events)
    assert isinstance(told, Connection)
    assert (told.state, told.why) == ("lost", "connection lost")


PAGE = b"<html>nothing here"
LENGTH = b"Content-Length: %d\r\n\r\n%s" % (len(PAGE), PAGE)


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("status", "said", "reason"),
    [
        (b"404 Not Found", r"not as a Windsock server \(HTTP 404\)", "foreign"),
        (b"502 Bad Gateway", r"no server answers behind .* \(HTTP 502\)", "fault"),
        (b"200 OK", r"answers, but not as a Windsock server", "foreign"),
    ],
)
async def test_a_page_of_something_else_is_told_apart(serve: Any, status: bytes, said: str, reason: str) -> None:
    server = serve(answer(b"HTTP/1.1 " + status + b"\r\n" + LENGTH))
    async with AsyncClient(server.url, retry_s=0) as client:
        with pytest.raises(Unreachable, match=said) as failure:
            await client.tasks()
        assert failure.value.reason == reason
        with pytest.raises(Unreachable, match=said) as failure:
            await anext(client.watch("01NOSUCH"))
        assert failure.value.reason == reason


@pytest.mark.gen_test
@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"SSH-2.0-OpenSSH\r\n"])
async def test_an_answer_that_is_cut_or_none_at_all_is_a_lost_connection(serve: Any, data: bytes) -> None:
    server = serve(answer(data))
    async with AsyncClient(server.url, retry_s=0) as client:
        with pytest.raises(Unreachable, match="was lost"):
            await client.tasks()
    with pytest.raises(Unreachable, match="was lost"):
        await asyncio.to_thread(Client(server.url, retry_s=0).tasks)


TASKS = b'{"tasks": []}'
KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(TASKS), TASKS)


@pytest.mark.gen_test
async def test_a_kept_connection_on_which_nothing_comes_any_more_is_given_up(serve: Any) -> None:
    def once(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(KEPT)
        until_end(sock)

    server = serve(once)
    async with AsyncClient(server.url, retry_s=0, timeout_s=0.5) as client:
        assert await client.tasks() == ()
        with pytest.raises(Unreachable, match="does not answer in time"):
            await client.tasks()

    def twice() -> None:
        with Client(server.url, retry_s=0, timeout_s=0.5) as client:
            assert client.tasks() == ()
            with pytest.raises(Unreachable, match="does not answer in time"):
                client.tasks()

    await asyncio.to_thread(twice)


@pytest.mark.gen_test
async def test_a_kept_connection_that_was_idle_for_long_is_not_used(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("windsock.awaiting.IDLE_S", -1.0)
    monkeypatch.setattr("windsock.blocking.IDLE_S", -1.0)

    def first_only(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(KEPT)
        if sock.recv(65536):
            raise AssertionError("it was used again")

    server = serve(first_only)
    async with AsyncClient(server.url, retry_s=0, timeout_s=5) as client:
        assert [await client.tasks(), await client.tasks()] == [(), ()]

    def twice() -> None:
        with Client(server.url, retry_s=0, timeout_s=5) as client:
            assert [client.tasks(), client.tasks()] == [(), ()]

    await asyncio.to_thread(twice)
