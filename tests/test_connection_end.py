"""handlers/connection.py, how it ends: closes from both sides, refusals, peers that vanish, and nothing afterwards."""

import asyncio
from collections.abc import Iterator

import pytest
from peer import Recorder, client_frame, close_frame, until
from served import Served, serving
from tornado.ioloop import IOLoop

from handlers.frames import Opcode, build

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode
LARGE = build(BINARY, bytes(1 << 20))


@pytest.fixture
def served(io_loop: IOLoop) -> Iterator[Served]:
    """A server whose sockets have small buffers."""
    with serving(io_loop, send_bytes=4096) as served:
        yield served


async def refusal(served: Served, data: bytes) -> tuple[int, Recorder]:
    """The code that a client is refused with for these bytes; the stream has ended behind it."""
    peer, recorder = await served.open()
    await peer.send(data)
    code = await peer.closed()
    assert await peer.end()
    peer.close()
    await until(lambda: recorder.codes)
    assert recorder.codes == [code]
    return code, recorder


# both ways


@pytest.mark.gen_test
async def test_the_peers_close_is_answered_with_its_code_and_the_end_of_the_stream(served: Served) -> None:
    peer, recorder = await served.open()
    await peer.send(close_frame(4321, b"enough"))
    assert await peer.frame() == (CLOSE, (4321).to_bytes(2))
    assert await peer.end()
    assert recorder.codes == []
    peer.close()
    await until(lambda: recorder.codes == [4321])
    assert recorder.connection.close_reason == "enough"


@pytest.mark.gen_test
async def test_a_close_without_a_code_is_answered_without_one(served: Served) -> None:
    peer, recorder = await served.open()
    await peer.send(client_frame(CLOSE))
    assert await peer.frame() == (CLOSE, b"")
    peer.close()
    await until(lambda: recorder.codes == [1005])


@pytest.mark.gen_test
async def test_our_close_waits_for_the_peers(served: Served) -> None:
    peer, recorder = await served.open()
    recorder.connection.close(4200, "draining")
    assert await peer.frame() == (CLOSE, (4200).to_bytes(2) + b"draining")
    await peer.send(client_frame(TEXT, b"unheard") + client_frame(PING) + close_frame(4200))
    assert await peer.end()
    peer.close()
    await until(lambda: recorder.codes == [4200])
    assert recorder.messages == []


@pytest.mark.gen_test
async def test_closes_that_cross_each_other_are_one_end(served: Served) -> None:
    peer, recorder = await served.open()
    await peer.send(close_frame(1001))
    recorder.connection.close(4200)
    assert await peer.closed() == 4200
    assert await peer.end()
    peer.close()
    await until(lambda: recorder.codes == [4200])


@pytest.mark.gen_test
async def test_a_peer_that_never_answers_our_close_is_ended_in_time(served: Served) -> None:
    served.close_s = 0.1
    peer, recorder = await served.open()
    recorder.connection.close(4200)
    assert await peer.closed() == 4200
    await until(lambda: recorder.codes == [4200])


@pytest.mark.gen_test
async def test_a_peer_that_closes_and_stays_is_ended_in_time(served: Served) -> None:
    served.close_s = 0.1
    peer, recorder = await served.open()
    await peer.send(close_frame(1000))
    assert await peer.closed() == 1000
    await until(lambda: recorder.codes == [1000])


@pytest.mark.gen_test
async def test_a_remainder_that_nobody_reads_does_not_hold_up_the_end(served: Served) -> None:
    served.close_s = 0.1
    _, recorder = await served.open(receive_bytes=4096)
    assert not recorder.connection.send(LARGE)
    recorder.connection.close(4100)
    await until(lambda: recorder.codes == [4100])


@pytest.mark.gen_test
async def test_the_peers_close_is_answered_behind_a_remainder(served: Served) -> None:
    peer, recorder = await served.open(receive_bytes=4096)
    assert not recorder.connection.send(LARGE)
    await peer.send(close_frame(1000) + client_frame(PING))
    await until(lambda: not recorder.connection.open)
    assert await peer.frame() == (BINARY, LARGE[10:])
    assert await peer.closed() == 1000
    assert await peer.end()
    assert recorder.writable == 0


@pytest.mark.gen_test
async def test_what_comes_behind_the_peers_close_is_ignored(served: Served) -> None:
    peer, recorder = await served.open()
    await peer.send(close_frame(1000) + client_frame(TEXT, b"late") + client_frame(PING) + close_frame(4000) + b"\xff")
    assert await peer.closed() == 1000
    await peer.send(client_frame(TEXT, b"later"))
    assert await peer.end()
    peer.close()
    await until(lambda: recorder.codes == [1000])
    assert recorder.messages == []


@pytest.mark.gen_test
async def test_nothing_follows_our_close(served: Served) -> None:
    peer, recorder = await served.open()
    recorder.connection.close(4000)
    assert recorder.connection.send(build(TEXT, b"late")) is False
    recorder.connection.ping()
    recorder.connection.close(4001)
    await peer.send(client_frame(PING, b"?") + close_frame(4000))
    assert await peer.closed() == 4000
    assert await peer.end()


# what may not come


@pytest.mark.gen_test
async def test_an_unmasked_frame_is_refused(served: Served) -> None:
    code, recorder = await refusal(served, client_frame(TEXT, b"a", mask=None))
    assert code == 1002
    assert "masked" in recorder.connection.close_reason


@pytest.mark.parametrize("reserved", [0x10, 0x20, 0x40])
@pytest.mark.gen_test
async def test_a_reserved_bit_is_refused(served: Served, reserved: int) -> None:
    assert (await refusal(served, client_frame(TEXT, b"a", reserved=reserved)))[0] == 1002


@pytest.mark.parametrize("opcode", [3, 7, 11, 15])
@pytest.mark.gen_test
async def test_a_reserved_opcode_is_refused(served: Served, opcode: int) -> None:
    assert (await refusal(served, client_frame(opcode, b"a")))[0] == 1002


@pytest.mark.gen_test(timeout=20)
async def test_every_invalid_close_code_is_answered_with_1002(served: Served) -> None:
    for code in [0, 1, 999, 1004, 1005, 1006, *range(1015, 1020), 1100, 2000, 2999, 5000, 9999, 65535]:
        assert (await refusal(served, close_frame(code)))[0] == 1002


@pytest.mark.gen_test(timeout=20)
async def test_every_valid_close_code_is_answered_with_itself(served: Served) -> None:
    for code in [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]:
        assert (await refusal(served, close_frame(code)))[0] == code


@pytest.mark.gen_test
async def test_half_a_close_code_is_refused(served: Served) -> None:
    assert (await refusal(served, client_frame(CLOSE, b"\x03")))[0] == 1002


@pytest.mark.gen_test
async def test_a_text_is_refused_in_the_middle_of_a_fragment(served: Served) -> None:
    whole = client_frame(TEXT, "κόσμε".encode() + b"\xf4\x90\x80\x80" + b"x" * 100, final=False)
    code, recorder = await refusal(served, whole[: 6 + 13])
    assert code == 1007
    assert recorder.messages == []


@pytest.mark.gen_test
async def test_the_messages_before_a_bad_frame_still_count(served: Served) -> None:
    code, recorder = await refusal(served, client_frame(TEXT, b"good") + b"\xff")
    assert code == 1002
    assert recorder.texts == ["good"]


@pytest.mark.gen_test
async def test_a_message_over_the_limit_is_refused_with_the_owners_code_while_it_is_being_sent(served: Served) -> None:
    served.max_bytes = 1000
    peer, recorder = await served.open()
    sending = asyncio.ensure_future(peer.send(client_frame(BINARY, b"x" * 3_000_000, mask=bytes(4))))
    assert await peer.closed() == 4004
    assert await peer.end()
    await sending
    peer.close()
    await until(lambda: recorder.codes == [4004])
