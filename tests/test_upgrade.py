"""handlers/upgrade.py: which requests become a connection, how they are answered, and what came behind them."""

import asyncio
import gc
import socket
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from peer import KEY, Peer, Recorder, client_frame, request, until
from served import Handler, Served, serving
from tornado.ioloop import IOLoop
from tornado.netutil import bind_unix_socket

from handlers.connection import Connection
from handlers.frames import Opcode, Parser, build
from handlers.upgrade import accept_value

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode


@pytest.fixture
def served(io_loop: IOLoop) -> Iterator[Served]:
    """A server."""
    with serving(io_loop) as served:
        yield served


async def answer(served: Served, data: bytes) -> str:
    """What the server says to a request."""
    peer = await served.peer()
    await peer.send(data)
    return await peer.head()


# the handshake


def test_the_key_is_answered_as_the_rfc_says() -> None:
    assert accept_value("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.gen_test
async def test_a_handshake_is_answered_with_101(served: Served) -> None:
    lines = (await answer(served, request())).split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert set(lines[1:]) == {"Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept_value(KEY)}"}


@pytest.mark.gen_test
async def test_the_headers_may_be_lists_in_any_case(served: Served) -> None:
    headers: dict[str, str | None] = {"Connection": "keep-alive, UPGRADE", "Upgrade": "h2c, WebSocket"}
    assert (await answer(served, request(headers=headers))).startswith("HTTP/1.1 101 ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Connection": None},
        {"Connection": "keep-alive"},
        {"Sec-WebSocket-Version": None},
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Key": None},
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ"},
        {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZT0="},
        {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25j!Q=="},
        {"Sec-WebSocket-Key": f"{KEY}, {KEY}"},
    ],
)
@pytest.mark.gen_test
async def test_what_is_no_handshake_is_refused_with_the_version_spoken_here(
    served: Served, headers: dict[str, str | None]
) -> None:
    head = await answer(served, request(headers=headers))
    assert head.startswith("HTTP/1.1 400 ")
    assert "sec-websocket-version: 13" in head.lower()
    assert served.recorders == []


@pytest.mark.gen_test
async def test_http_1_0_cannot_be_upgraded(served: Served) -> None:
    assert " 400 " in (await answer(served, request(line="GET /ws HTTP/1.0"))).split("\r\n")[0]


@pytest.mark.gen_test
async def test_a_refused_request_leaves_the_connection_to_http(served: Served) -> None:
    peer = await served.peer()
    await peer.send(request(headers={"Upgrade": None}))
    head = await peer.head()
    size = next(line for line in head.split("\r\n") if line.startswith("Content-Length"))
    await peer._exactly(int(size.partition(":")[2]))
    await peer.send(request())
    assert (await peer.head()).startswith("HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("offered", "spoken", "chosen"),
    [
        ("b, a", {"a", "b"}, "b"),
        ("x, a", {"a", "b"}, "a"),
        ("x", {"a"}, None),
        (None, {"a"}, None),
        ("x, y", None, "x"),
        ("no token, y", None, "y"),
    ],
)
@pytest.mark.gen_test
async def test_the_first_subprotocol_that_is_spoken_here_is_chosen(
    served: Served, offered: str | None, spoken: set[str] | None, chosen: str | None
) -> None:
    served.spoken = spoken
    head = await answer(served, request(headers={"Sec-WebSocket-Protocol": offered}))
    line = [line for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Protocol")]
    assert line == ([f"Sec-WebSocket-Protocol: {chosen}"] if chosen else [])


@pytest.mark.gen_test
async def test_extensions_are_not_accepted(served: Served) -> None:
    headers: dict[str, str | None] = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    assert "extensions" not in (await answer(served, request(headers=headers))).lower()


@pytest.mark.gen_test
async def test_a_connection_that_http_would_close_stays(served: Served) -> None:
    peer = await served.peer()
    await peer.send(request(headers={"Connection": "close, Upgrade"}) + client_frame(PING, b"?"))
    await peer.head()
    assert await peer.frame() == (PONG, b"?")


@pytest.mark.gen_test
async def test_a_server_without_keep_alive_upgrades_too(io_loop: IOLoop) -> None:
    served = Served(no_keep_alive=True)
    peer, _ = await served.open(client_frame(PING, b"?"))
    assert await peer.frame() == (PONG, b"?")
    await served.stop()


@pytest.mark.gen_test
async def test_a_unix_socket_upgrades_too(served: Served, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    served.server.add_socket(bind_unix_socket(path))
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    sock.connect(path)
    peer = Peer(sock)
    served.peers.append(peer)
    await peer.send(request() + client_frame(PING, b"?"))
    await peer.head()
    assert await peer.frame() == (PONG, b"?")


@pytest.mark.gen_test
async def test_nothing_can_be_sent_before_the_answer(served: Served) -> None:
    served.prepare = lambda recorder: recorder.connection.send(build(TEXT, b"too early"))
    peer, recorder = await served.open()
    recorder.connection.send(build(TEXT, b"in time"))
    assert await peer.frame() == (TEXT, b"in time")


@pytest.mark.gen_test
async def test_an_answer_that_the_kernel_does_not_take_is_pending(io_loop: IOLoop) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            ours.send(b"full" * 4096)
    connection, recorder = Connection(ours, Parser(1000), first=b"HTTP/1.1 101 "), Recorder()
    recorder.connection = connection
    connection.start(recorder)
    assert connection.pending == 13
    theirs.setblocking(False)
    with suppress(BlockingIOError):
        while theirs.recv(1 << 20):
            pass
    await until(lambda: recorder.writable)
    assert theirs.recv(100) == b"HTTP/1.1 101 "
    connection.abort()
    theirs.close()


# what Tornado still has in its hands


@pytest.mark.gen_test
async def test_tornado_closes_its_own_connections_and_not_ours(served: Served) -> None:
    peer, _ = await served.open()
    await served.server.close_all_connections()
    await peer.send(client_frame(PING, b"?"))
    assert await peer.frame() == (PONG, b"?")


@pytest.mark.gen_test
async def test_tornado_may_close_its_stream_in_the_turn_of_the_upgrade(served: Served) -> None:
    streams = []
    original = Handler.detach

    def detach(handler: Handler) -> object:
        streams.append(original(handler))
        return streams[-1]

    Handler.detach = detach  # type: ignore[method-assign, assignment]
    try:
        served.prepare = lambda recorder: streams[0].close()
        peer, _ = await served.open(client_frame(PING, b"?"))
    finally:
        Handler.detach = original  # type: ignore[method-assign]
    assert await peer.frame() == (PONG, b"?")


@pytest.mark.gen_test
async def test_a_client_that_goes_while_the_handshake_is_held_up_leaves_nothing(served: Served) -> None:
    served.gate = asyncio.Event()
    peer = await served.peer()
    await peer.send(request())
    await until(lambda: served.server._connections)
    peer.reset()
    await until(lambda: not served.server._connections)
    served.gate.set()
    await until(lambda: served.gone or served.recorders)
    assert served.recorders == []


@pytest.mark.gen_test
async def test_the_handler_is_gone_without_the_collector(served: Served) -> None:
    handlers: list[weakref.ref[Handler]] = []
    original = Handler.initialize

    def initialize(handler: Handler, served: Served) -> None:
        original(handler, served)
        handlers.append(weakref.ref(handler))

    Handler.initialize = initialize  # type: ignore[method-assign]
    gc.disable()
    try:
        await served.open()
        await until(lambda: handlers[0]() is None)
    finally:
        gc.enable()
        Handler.initialize = original  # type: ignore[method-assign]


# what came right behind the handshake


@pytest.mark.gen_test
async def test_bytes_in_the_segment_of_the_handshake_are_the_first_that_are_parsed(served: Served) -> None:
    third = client_frame(TEXT, b"third")
    behind = client_frame(TEXT, b"first") + client_frame(TEXT, b"second") + third[:5]
    peer, recorder = await served.open(behind)
    await until(lambda: len(recorder.messages) == 2)
    await peer.send(third[5:])
    await until(lambda: recorder.texts == ["first", "second", "third"])


@pytest.mark.gen_test
async def test_bytes_that_come_while_the_handshake_is_held_up_are_not_lost(served: Served) -> None:
    served.gate = asyncio.Event()
    peer = await served.peer()
    await peer.send(request() + client_frame(TEXT, b"first"))
    wanted = ["first", *(str(number) * 100 for number in range(2000))]
    sending = asyncio.ensure_future(
        peer.send(b"".join(client_frame(TEXT, text.encode()) for text in wanted[1:])),
    )
    await asyncio.wait([sending], timeout=0.2)
    served.gate.set()
    await peer.head()
    await until(lambda: served.recorders and served.recorders[0].texts == wanted)


@pytest.mark.gen_test
async def test_a_close_in_the_segment_of_the_handshake_is_answered(served: Served) -> None:
    peer, recorder = await served.open(client_frame(CLOSE, (1001).to_bytes(2)))
    assert await peer.closed() == 1001
    peer.close()
    await until(lambda: recorder.codes == [1001])
