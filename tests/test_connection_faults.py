"""handlers/connection.py when peers vanish, and after its end: nothing is used again, nothing is left."""

import asyncio
import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from peer import Peer, Recorder, client_frame, close_frame, is_open, request, until
from served import Served, serving
from tornado.ioloop import IOLoop

from handlers.connection import Connection
from handlers.frames import Opcode, Parser, build

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode
LARGE = build(BINARY, bytes(1 << 20))


@pytest.fixture
def served(io_loop: IOLoop) -> Iterator[Served]:
    """A server whose sockets have small buffers."""
    with serving(io_loop, send_bytes=4096) as served:
        yield served


# peers that vanish


@pytest.mark.gen_test
async def test_a_peer_that_resets_is_gone_with_1006(served: Served) -> None:
    peer, recorder = await served.open()
    peer.reset()
    await until(lambda: recorder.codes == [1006])


@pytest.mark.gen_test
async def test_a_peer_that_ends_its_half_is_gone_with_1006(served: Served) -> None:
    peer, recorder = await served.open()
    await peer.send(client_frame(TEXT, b"last") + client_frame(TEXT, b"cut")[:4])
    peer.socket.shutdown(socket.SHUT_WR)
    await until(lambda: recorder.codes == [1006])
    assert recorder.texts == ["last"]
    assert await peer.end()


@pytest.mark.gen_test
async def test_a_peer_that_vanishes_over_a_remainder_is_gone(served: Served) -> None:
    peer, recorder = await served.open(receive_bytes=4096)
    assert not recorder.connection.send(LARGE)
    peer.reset()
    await until(lambda: recorder.codes == [1006])
    assert recorder.connection.pending == 0


@pytest.mark.gen_test
async def test_a_peer_that_vanishes_while_it_is_not_read_is_noticed_by_the_remainder(served: Served) -> None:
    peer, recorder = await served.open(receive_bytes=4096)
    recorder.connection.pause()
    assert not recorder.connection.send(LARGE)
    peer.reset()
    await until(lambda: recorder.codes == [1006])


@pytest.mark.gen_test
async def test_a_peer_that_ends_its_half_right_behind_the_handshake_is_heard_to_its_end(served: Served) -> None:
    peer = await served.peer()
    await peer.send(request() + client_frame(TEXT, b"hello and goodbye"))
    peer.socket.shutdown(socket.SHUT_WR)
    await until(lambda: served.recorders and served.recorders[0].codes == [1006])
    assert served.recorders[0].texts == ["hello and goodbye"]


@pytest.mark.gen_test
async def test_a_peer_that_ends_its_half_with_the_request_leaves_nothing(served: Served) -> None:
    peer = await served.peer()
    await peer.send(request())
    peer.socket.shutdown(socket.SHUT_WR)
    await until(lambda: served.gone or served.recorders)
    await until(lambda: not served.recorders or served.recorders[0].codes == [1006])


@pytest.mark.gen_test
async def test_sending_to_a_peer_that_has_vanished_is_no_error(served: Served) -> None:
    peer, recorder = await served.open()
    peer.reset()
    deadline = time.monotonic() + 4
    while recorder.connection.send(build(TEXT, b"x")):  # the loop does not turn: only `send` can notice
        assert time.monotonic() < deadline
    assert recorder.codes == [1006]


@pytest.mark.gen_test
async def test_an_aborted_peer_is_reset(served: Served) -> None:
    peer, recorder = await served.open()
    recorder.connection.abort()
    assert recorder.codes == [1006]
    assert not await peer.end()


@pytest.mark.gen_test(timeout=20)
async def test_whatever_a_peer_sends_its_connection_ends_with_a_code_and_no_log_line(served: Served) -> None:
    chance = random.Random(6455)
    for _ in range(150):
        peer, recorder = await served.open(chance.randbytes(chance.randrange(20)))
        known = [client_frame(chance.choice(list(Opcode)), chance.randbytes(9)) for _ in range(4)]
        with suppress(ConnectionError):
            await peer.send(b"".join([*known, chance.randbytes(50)])[chance.randrange(3) :])
        peer.close()
        await until(lambda recorder=recorder: recorder.codes)
        assert 1000 <= recorder.codes[0] < 5000


# nothing afterwards


@pytest.mark.gen_test
async def test_whoever_is_told_of_the_end_finds_the_descriptor_closed(served: Served) -> None:
    peer, recorder = await served.open()
    assert recorder.connection._socket is not None
    number = recorder.connection._socket.fileno()
    found: list[bool] = []
    recorder.on_end = lambda: found.append(is_open(number) or recorder.connection.open)
    peer.reset()
    await until(lambda: recorder.codes)
    assert found == [False]


@pytest.mark.gen_test
@pytest.mark.expects_log("the next thing to write")
async def test_a_mistake_of_the_owner_when_it_may_write_ends_its_connection_with_1011(served: Served) -> None:
    peer, recorder = await served.open(receive_bytes=4096)
    recorder.on_room = lambda: 1 / 0
    assert not recorder.connection.send(LARGE)
    assert await peer.frame() == (BINARY, LARGE[10:])
    assert await peer.closed() == 1011


@pytest.mark.gen_test
@pytest.mark.expects_log("the end of a connection could not be handled")
async def test_a_mistake_of_the_owner_at_the_end_reaches_nobody(served: Served) -> None:
    _, recorder = await served.open()
    recorder.on_end = lambda: 1 / 0
    recorder.connection.abort()
    assert recorder.codes == [1006]


def occupy(number: int) -> tuple[socket.socket, socket.socket]:
    """Give a descriptor's number, which is free, to a new socket; it, and its other end."""
    new, other = socket.socketpair()
    if new.fileno() == number:
        return new, other
    if other.fileno() == number:
        return other, new
    os.dup2(new.fileno(), number)
    new.close()
    return socket.socket(fileno=number), other


def use(connection: Connection) -> None:
    """All that can be called."""
    assert connection.send(build(TEXT, b"x")) is False
    connection.ping()
    connection.pause()
    connection.resume()
    connection.close(4000)
    connection.abort()


@pytest.mark.gen_test
async def test_a_number_that_now_belongs_to_another_socket_is_never_used(served: Served) -> None:
    _, recorder = await served.open()
    assert recorder.connection._socket is not None
    number = recorder.connection._socket.fileno()
    recorder.connection.abort()
    next_owner, other = occupy(number)
    use(recorder.connection)
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.recv(1)
    assert is_open(number)
    next_owner.close()
    other.close()
    assert recorder.codes == [1006]


@pytest.mark.gen_test
async def test_an_event_of_the_same_turn_does_not_reach_the_next_owner_of_a_number(served: Served) -> None:
    """Two connections are readable in one turn; the first to be served ends the other and takes its number."""
    taken: list[socket.socket] = []
    pairs = [await served.open() for _ in range(2)]

    def react(other: Recorder) -> None:
        if not taken:
            assert other.connection._socket is not None
            number = other.connection._socket.fileno()
            other.connection.abort()
            taken.extend(occupy(number))
            taken[1].send(b"for the next owner")

    pairs[0][1].react = lambda data: react(pairs[1][1])
    pairs[1][1].react = lambda data: react(pairs[0][1])
    for peer, _ in pairs:
        peer.socket.send(client_frame(TEXT, b"a"))  # both before the loop turns
    await until(lambda: taken)
    await asyncio.sleep(0)
    assert taken[0].recv(100) == b"for the next owner"
    assert sorted(len(recorder.messages) for _, recorder in pairs) == [0, 1]
    for sock in taken:
        sock.close()


@pytest.mark.gen_test(timeout=20)
async def test_many_connections_leave_no_descriptor_behind(served: Served) -> None:
    await served.open()
    before = len(os.listdir("/proc/self/fd"))
    for way in range(150):
        peer, recorder = await served.open()
        await end_somehow(peer, recorder, way % 5)
    assert len(os.listdir("/proc/self/fd")) == before


async def end_somehow(peer: Peer, recorder: Recorder, way: int) -> None:
    """One of five ways to end."""
    if way == 0:
        recorder.connection.abort()
    elif way == 1:
        recorder.connection.close()
    elif way == 2:
        await peer.send(close_frame(1000))
    elif way == 3:
        await peer.send(b"\xff\xff")
    peer.close()
    await until(lambda: recorder.codes)


@pytest.mark.gen_test
async def test_a_connection_that_was_never_started_can_be_aborted(io_loop: IOLoop) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    connection = Connection(ours, Parser(1000), first=b"HTTP/1.1 101 ")
    use(connection)
    assert theirs.recv(100) == b""
    theirs.close()
