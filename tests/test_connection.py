"""handlers/connection.py, what is written and what is read. Each line of docs/design/connection.md has a test here."""

import asyncio
import gc
from collections.abc import Iterator

import pytest
from peer import Peer, Recorder, client_frame, until
from served import Served, serving
from tornado.ioloop import IOLoop

from handlers.frames import Opcode, build

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode
LARGE = build(BINARY, bytes(range(256)) * 4096)  # 1 MiB: more than the kernel takes at once
SMALL = {"receive_bytes": 4096}


@pytest.fixture
def served(io_loop: IOLoop) -> Iterator[Served]:
    """A server whose sockets have small buffers, so that every larger frame leaves a remainder."""
    with serving(io_loop, send_bytes=4096) as served:
        yield served


@pytest.fixture
def roomy(io_loop: IOLoop) -> Iterator[Served]:
    """A server with the system's own buffers."""
    with serving(io_loop) as served:
        yield served


async def clogged(served: Served) -> tuple[Peer, Recorder]:
    """A client that reads nothing, and its connection with a remainder."""
    peer, recorder = await served.open(**SMALL)
    assert recorder.connection.send(LARGE) is False
    assert recorder.connection.pending > 500_000
    return peer, recorder


# what is written


@pytest.mark.gen_test
async def test_a_small_frame_goes_at_once(served: Served) -> None:
    peer, recorder = await served.open()
    assert recorder.connection.send(build(TEXT, b"now")) is True
    assert recorder.connection.pending == 0
    assert await peer.frame() == (TEXT, b"now")
    assert recorder.writable == 0


@pytest.mark.gen_test
async def test_a_frame_larger_than_the_kernels_buffer_arrives_whole(served: Served) -> None:
    peer, recorder = await clogged(served)
    assert await peer.frame() == (BINARY, LARGE[10:])
    await until(lambda: recorder.writable)
    assert recorder.connection.pending == 0
    assert recorder.writable == 1


@pytest.mark.gen_test
async def test_a_remainder_is_not_copied(served: Served) -> None:
    _, recorder = await clogged(served)
    assert recorder.connection._rest is not None
    assert recorder.connection._rest.obj is LARGE


@pytest.mark.gen_test
async def test_nothing_can_be_sent_while_a_remainder_is_pending(served: Served) -> None:
    peer, recorder = await clogged(served)
    with pytest.raises(RuntimeError, match="pending"):
        recorder.connection.send(build(TEXT, b"second"))
    assert await peer.frame() == (BINARY, LARGE[10:])
    await until(lambda: recorder.writable)
    recorder.connection.send(build(TEXT, b"third"))
    assert await peer.frame() == (TEXT, b"third")


@pytest.mark.gen_test
async def test_pending_counts_down_to_what_the_kernel_has_not_taken(served: Served) -> None:
    peer, recorder = await clogged(served)
    before = recorder.connection.pending
    await peer._exactly(300_000)
    await until(lambda: recorder.connection.pending <= before - 200_000)


@pytest.mark.gen_test
async def test_progress_is_dated_when_the_kernel_takes_bytes_and_only_then(served: Served) -> None:
    peer, recorder = await clogged(served)
    connection = recorder.connection
    await until(lambda: connection.pending)
    begun, pending = connection.last_write_progress, connection.pending
    await peer.send(client_frame(PING) * 10)
    await until(lambda: connection.last_read > begun)
    if connection.pending >= pending:  # unless the kernel has taken a little more meanwhile
        assert connection.last_write_progress == begun
    await peer._exactly(100_000)
    await until(lambda: connection.last_write_progress > begun)


@pytest.mark.gen_test
async def test_a_pong_waits_for_the_remainder_and_answers_the_last_ping(served: Served) -> None:
    peer, recorder = await clogged(served)
    await peer.send(client_frame(PING, b"first") + client_frame(PING, b"second") + client_frame(TEXT, b"read"))
    await until(lambda: recorder.texts == ["read"])
    assert await peer.frame() == (BINARY, LARGE[10:])
    assert await peer.frame() == (PONG, b"second")
    await until(lambda: recorder.writable)
    recorder.connection.send(build(TEXT, b"then"))
    assert await peer.frame() == (TEXT, b"then")


@pytest.mark.gen_test
async def test_behind_a_remainder_go_pong_ping_farewell_and_close_in_this_order(served: Served) -> None:
    peer, recorder = await clogged(served)
    recorder.connection.ping()
    recorder.connection.ping()
    await peer.send(client_frame(PING, b"?") + client_frame(TEXT, b"read"))
    await until(lambda: recorder.texts)
    recorder.connection.close(4100, "too slow", farewell=build(TEXT, b"bye"))
    frames = [await peer.frame() for _ in range(5)]
    assert frames[0][1] == LARGE[10:]
    closing = (CLOSE, (4100).to_bytes(2) + b"too slow")
    assert frames[1:] == [(PONG, b"?"), (PING, b""), (TEXT, b"bye"), closing]


@pytest.mark.gen_test
async def test_a_flood_of_pings_that_nobody_reads_the_pongs_of_takes_no_memory(served: Served) -> None:
    peer, recorder = await clogged(served)
    before = recorder.connection.pending
    for _ in range(50):
        await peer.send(client_frame(PING, b"x" * 125) * 100)
    await peer.send(client_frame(TEXT, b"read"))
    await until(lambda: recorder.texts)
    assert recorder.connection.pending <= before + 127
    assert len(recorder.connection._pong) == 127


@pytest.mark.gen_test
async def test_each_ping_is_answered_in_order_where_the_pongs_are_read(roomy: Served) -> None:
    peer, _ = await roomy.open()
    await peer.send(b"".join(client_frame(PING, b"%d" % number) for number in range(20)))
    assert [await peer.frame() for _ in range(20)] == [(PONG, b"%d" % number) for number in range(20)]


@pytest.mark.gen_test
async def test_a_ping_of_ours_asks_for_a_sign_of_life(served: Served) -> None:
    peer, recorder = await served.open()
    recorder.connection.ping()
    assert await peer.frame() == (PING, b"")
    before = recorder.connection.last_read
    await peer.send(client_frame(PONG))
    await until(lambda: recorder.connection.last_read > before)
    assert recorder.messages == []


@pytest.mark.gen_test
async def test_a_frame_sent_leaves_nothing_for_the_collector(roomy: Served) -> None:
    _, recorder = await roomy.open()
    frame = build(TEXT, b"x" * 10)
    gc.collect()
    gc.disable()
    try:
        before = gc.get_count()[0]
        for _ in range(200):
            recorder.connection.send(frame)
        assert gc.get_count()[0] - before <= 2
    finally:
        gc.enable()


# what is read


@pytest.mark.gen_test
async def test_messages_come_with_their_kind(served: Served) -> None:
    peer, recorder = await served.open()
    await peer.send(client_frame(TEXT, "grüße".encode()) + client_frame(BINARY, b"\xff"))
    await until(lambda: len(recorder.messages) == 2)
    assert recorder.messages == [("grüße".encode(), False), (b"\xff", True)]


@pytest.mark.gen_test
async def test_one_byte_at_a_time_is_understood(served: Served) -> None:
    peer, recorder = await served.open()
    for byte in client_frame(TEXT, "langsam 🐌".encode()) + client_frame(PING, b"?"):
        await peer.send(bytes([byte]))
    assert await peer.frame() == (PONG, b"?")
    assert recorder.texts == ["langsam 🐌"]


@pytest.mark.gen_test
async def test_a_client_that_sends_byte_by_byte_does_not_hold_up_another(served: Served) -> None:
    slow, _ = await served.open()
    quick, recorder = await served.open()
    for byte in client_frame(TEXT, b"x" * 20):
        await slow.send(bytes([byte]))
        await quick.send(client_frame(TEXT, b"q"))
    await until(lambda: len(recorder.messages) == 26)


@pytest.mark.gen_test
async def test_a_ping_between_fragments_is_answered_before_the_message_is_whole(served: Served) -> None:
    peer, recorder = await served.open()
    await peer.send(client_frame(TEXT, b"a", final=False) + client_frame(PING, b"?"))
    assert await peer.frame() == (PONG, b"?")
    assert recorder.messages == []
    await peer.send(client_frame(CONTINUATION, b"b"))
    await until(lambda: recorder.texts == ["ab"])


@pytest.mark.gen_test
async def test_a_long_message_is_read_in_long_pieces(served: Served) -> None:
    peer, recorder = await served.open()
    await peer.send(client_frame(BINARY, b"z" * 1_000_000))
    await until(lambda: recorder.messages == [(b"z" * 1_000_000, True)])


@pytest.mark.gen_test
async def test_a_limit_raised_by_one_message_holds_for_the_next_of_the_same_segment(served: Served) -> None:
    served.max_bytes = 10
    peer, recorder = await served.open()

    def greet(data: bytes) -> None:
        recorder.connection.max_message_bytes = 1000

    recorder.react = greet
    await peer.send(client_frame(TEXT, b"hello") + client_frame(TEXT, b"x" * 1000))
    await until(lambda: len(recorder.messages) == 2)
    assert recorder.connection.max_message_bytes == 1000


@pytest.mark.gen_test
async def test_while_paused_nothing_comes_and_then_all_of_it_in_order(served: Served) -> None:
    peer, recorder = await served.open()
    recorder.react = lambda data: recorder.connection.pause()
    await peer.send(client_frame(TEXT, b"1") + client_frame(TEXT, b"2") + client_frame(TEXT, b"3"))
    for number in range(1, 4):
        await until(lambda number=number: len(recorder.messages) == number)
        await asyncio.sleep(0)
        assert len(recorder.messages) == number
        recorder.connection.resume()
    assert recorder.texts == ["1", "2", "3"]


@pytest.mark.gen_test
async def test_pausing_and_resuming_within_each_of_many_messages_keeps_their_order(served: Served) -> None:
    peer, recorder = await served.open()

    def blink(data: bytes) -> None:
        recorder.connection.pause()
        recorder.connection.resume()

    recorder.react = blink
    wanted = [str(number) for number in range(2000)]
    await peer.send(b"".join(client_frame(TEXT, text.encode()) for text in wanted))
    await until(lambda: len(recorder.messages) == 2000)
    assert recorder.texts == wanted


@pytest.mark.gen_test
@pytest.mark.expects_log("a message could not be handled")
async def test_a_mistake_of_the_owner_ends_its_connection_with_1011(served: Served) -> None:
    peer, recorder = await served.open()
    recorder.react = lambda data: 1 / 0
    await peer.send(client_frame(TEXT, b"a"))
    assert await peer.closed() == 1011
