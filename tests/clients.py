"""What the tests of the Python client share: both clients behind one face, and a way to a server that loses answers."""

import asyncio
import inspect
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from processes import Processes, Server

import windsock

TASKS = '''

@task
async def fail(message: str, pause_s: float = 0.0) -> None:
    """Raises."""
    await asyncio.sleep(pause_s)
    raise ValueError(message)

@task
async def speak(values: list[Any], progress: Progress) -> int:
    """Logs and emits."""
    progress.update(0, len(values), unit="words", note="begins")
    for number, value in enumerate(values, 1):
        progress.log(f"word {number}", level="warning")
        progress.emit(value)
        progress.update(number)
    return len(values)
'''


class Waited:
    """An `AsyncClient`, or what it gave, whose coroutines are waited for: it looks like a `Client`."""

    def __init__(self, inner: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._called(found) if inspect.ismethod(found) else found

    def _called(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            given = method(*args, **options)
            if hasattr(given, "__anext__"):
                return self._iterated(given)
            return self._wrapped(self._loop.run_until_complete(given) if inspect.isawaitable(given) else given)

        return call

    def _iterated(self, events: Any) -> Iterator[Any]:
        try:
            while True:
                yield self._loop.run_until_complete(anext(events))
        except StopAsyncIteration:
            return
        finally:
            self._loop.run_until_complete(events.aclose())

    def _wrapped(self, given: Any) -> Any:
        if isinstance(given, tuple):
            return tuple(self._wrapped(one) for one in given) if type(given) is tuple else given
        return Waited(given, self._loop) if isinstance(given, windsock.AsyncJobHandle) else given


def make_client(kind: str, url: str, **options: Any) -> Iterator[Any]:
    """A client of either kind, closed afterwards."""
    if kind == "sync":
        with windsock.Client(url, **options) as client:
            yield client
        return
    loop = asyncio.new_event_loop()
    inner = windsock.AsyncClient(url, **options)
    try:
        yield Waited(inner, loop)
    finally:
        loop.run_until_complete(inner.close())
        loop.close()


@pytest.fixture(scope="module")
def served(lasting: Processes) -> Server:
    """A real server, for all tests of a file."""
    lasting.tasks.write_text(lasting.tasks.read_text() + TASKS)
    return lasting.serve()


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, served: Server) -> Iterator[Any]:
    """Either client of that server."""
    yield from make_client(request.param, served.url)


class Relay:
    """A way to a server that fails as told, one connection after the other; beyond that it works.

    `lose`: the request arrives, its answer does not. `drop`: nothing arrives. `503`: an answer of its own.
    """

    def __init__(self, port: int, *fates: str) -> None:
        self._to = port
        self._fates = list(fates)
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                self.connections += 1
                fate = self._fates.pop(0) if self._fates else "pass"
                self._threads.append(threading.Thread(target=self._serve, args=(sock, fate)))
                self._threads[-1].start()

    def _serve(self, sock: socket.socket, fate: str) -> None:
        with sock, suppress(OSError):
            request = sock.recv(65536)
            if fate == "503":
                body = b'{"code": "unavailable", "detail": "not now", "status": 503}'
                head = b"HTTP/1.1 503 No\r\nRetry-After: 0\r\nContent-Type: application/problem+json\r\n"
                sock.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            elif fate != "drop":
                self._forward(sock, request, fate)

    def _forward(self, sock: socket.socket, request: bytes, fate: str) -> None:
        with socket.create_connection(("127.0.0.1", self._to)) as upstream:
            while request:
                upstream.sendall(request)
                answer = upstream.recv(1 << 20)
                if fate == "lose":
                    return
                sock.sendall(answer)
                request = sock.recv(65536)

    def close(self) -> None:
        """Listen no more; connections end with their clients."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()
