"""What no client should send: each message is answered or the connection closed, with the code the protocol names."""

import gc

import pytest
from rawsocket import BINARY, PING, TEXT, RawSocket, frame
from web import eventually

from server.codec import JSON, MSGPACK

HELLO = JSON.encode([{"type": "hello"}])


NO_MESSAGES = {
    "nothing": b"",
    "not JSON": b"[{",
    "a map": b'{"type": "ping", "n": 1}',
    "a text": b'"ping"',
    "a number": b"7",
    "null": b"null",
    "no frames": b'["ping"]',
    "a frame without type": b'[{"n": 1}]',
    "a type that is a number": b'[{"type": 1}]',
    "NaN": b'[{"type": "ping", "n": NaN}]',
    "infinity": b'[{"type": "ping", "n": 1e999}]',
    "over 64 bits": b'[{"type": "ping", "n": ' + b"9" * 20 + b"}]",
    "endless digits": b'[{"type": "ping", "n": ' + b"9" * 5000 + b"}]",
    "a lone surrogate": b'[{"type": "ping", "n": "\\udc00"}]',
    "nested deep": b"[" * 60_000,
    "nested deeper than values may be": b"[" * 40 + b"]" * 40,
    "a byte order mark": b"\xef\xbb\xbf[]",
}
NO_TEXT = (b'[{"type": "\xff"}]', b'["\xed\xa0\x80"]')


@pytest.mark.gen_test
async def test_text_that_is_no_array_of_frames_is_4000(stream):
    for what, data in NO_MESSAGES.items():
        client = await stream()
        await client.until("welcome")
        client.connection.protocol._write_frame(True, TEXT, data)
        assert await client.closed() == 4000, what
        assert (client.frames[-1]["type"], client.frames[-1]["retry"]) == ("bye", False), what


@pytest.mark.gen_test
async def test_text_that_is_not_utf_8_is_1007_as_rfc_6455_has_it(stream):
    for data in NO_TEXT:
        client = await stream()
        await client.until("welcome")
        client.connection.protocol._write_frame(True, TEXT, data)
        assert await client.closed() == 1007


NO_MSGPACK = {
    "nothing": b"",
    "half an array": b"\x93\x01",
    "a map": MSGPACK.encode({"type": "ping"}),
    "bytes": MSGPACK.encode([{"type": "ping", "n": b"x"}]),
    "a timestamp": b"\x91\xd6\xff\x00\x00\x00\x00",
    "an extension": b"\x91\xd4\x05\x00",
    "NaN": MSGPACK.encode([{"type": "ping", "n": float("nan")}]),
    "a number as key": b"\x91\x81\x01\x01",
    "a text that is not UTF-8": b"\x91\xa1\xff",
    "trailing bytes": b"\x90\x90",
    "an array said to be huge": b"\xdd\xff\xff\xff\xff",
    "nested deep": b"\x91" * 60_000,
}


@pytest.mark.gen_test
async def test_binary_that_is_no_array_of_frames_is_4000(stream):
    for what, data in NO_MSGPACK.items():
        client = await stream(codec="msgpack")
        await client.until("welcome")
        await client.raw(data)
        assert await client.closed() == 4000, what
        assert client.frames[-1]["type"] == "bye", what


@pytest.mark.gen_test
async def test_messages_of_the_other_kind_are_4000(stream):
    for codec, hello in (("json", True), ("json", False), ("msgpack", True), ("msgpack", False)):
        client = await stream(codec=codec, hello=None if hello else False)
        await client.raw(JSON.encode([{"type": "hello"}]), binary=codec == "json")
        assert await client.closed() == 4000, (codec, hello)


@pytest.mark.gen_test
async def test_messages_over_the_limit_are_4004_before_they_are_sent(port, settings, node):
    for greeted, limit in ((False, settings.hello_bytes), (True, settings.message_bytes)):
        for length in (limit + 1, 2**40, 2**63 - 1):
            client = await RawSocket.open(port)
            if greeted:
                client.write(frame(HELLO))
            client.write(frame(b"", length=length))
            assert await client.close_code() == 4004, (greeted, length)
            client.close()
    await eventually(lambda: node.clients() == 0)


@pytest.mark.gen_test
async def test_a_client_that_sends_too_much_gets_to_read_why(port, settings):
    client = await RawSocket.open(port)
    client.write(frame(HELLO))
    client.write(frame(b" " * (20 * settings.message_bytes)))
    assert await client.close_code() == 4004
    client.close()


@pytest.mark.gen_test
async def test_fragments_are_counted_together(port, settings):
    client = await RawSocket.open(port)
    client.write(frame(HELLO))
    piece = b" " * (settings.message_bytes // 2)
    client.write(frame(piece, fin=False) + frame(piece, 0, fin=False) + frame(piece, 0))
    assert await client.close_code() == 4004
    client.close()


@pytest.mark.gen_test
async def test_messages_at_the_limit_are_read(stream, settings):
    client = await stream(hello=False)
    await client.raw(HELLO.ljust(settings.hello_bytes))
    await client.until("welcome")
    await client.raw(b'[{"type": "ping", "n": 1}]'.ljust(settings.message_bytes))
    await client.until("pong", n=1)


@pytest.mark.gen_test
async def test_a_message_in_fragments_is_one_message(port):
    client = await RawSocket.open(port)
    client.write(frame(HELLO[:5], fin=False) + frame(b"", PING) + frame(HELLO[5:], 0))
    opcode, data = await client.read()
    while opcode != TEXT:
        opcode, data = await client.read()
    assert JSON.decode(data)[0]["type"] == "welcome"
    client.close()


@pytest.mark.gen_test
async def test_frames_against_rfc_6455_end_the_connection(port, node):
    for what, data in {
        "reserved bits": b"\xf1\x80\0\0\0\0",
        "an unknown opcode": frame(b"", 0x5),
        "a continuation of nothing": frame(b"x", 0),
        "a fragmented ping": frame(b"", PING, fin=False),
        "a long ping": frame(b"x" * 126, PING),
        "a message within a message": frame(b"[", fin=False) + frame(b"[]"),
    }.items():
        client = await RawSocket.open(port)
        client.write(data)
        assert await client.close_code() == 1002, what
        client.close()
    await eventually(lambda: node.clients() == 0)


@pytest.mark.gen_test
async def test_a_client_that_vanishes_in_the_middle_of_a_frame_is_gone(port, node):
    client = await RawSocket.open(port)
    client.write(frame(HELLO) + frame(b"x" * 10, length=1000))
    await client.read()
    client.close()
    await eventually(lambda: node.clients() == 0)


@pytest.mark.gen_test
async def test_empty_messages_are_harmless(stream):
    client = await stream()
    await client.raw(b"[]")
    await client.send({"type": "ping", "n": 1})
    await client.until("pong")


@pytest.mark.gen_test
async def test_a_flood_of_subscribes_in_one_message_is_bounded(stream, node):
    client = await stream()
    await client.send(*({"type": "subscribe", "sub": n + 1, "job": "x"} for n in range(10_000)))
    assert await client.closed() == 4101
    assert not node.hub._topics


@pytest.mark.gen_test
async def test_binary_hello_on_json_is_4000(port):
    client = await RawSocket.open(port)
    client.write(frame(HELLO, BINARY))
    assert await client.close_code() == 4000
    client.close()


@pytest.mark.gen_test
async def test_commands_before_a_bad_frame_in_one_message_leave_nothing(stream, node):
    """Their tasks end before they began; a coroutine nobody awaited would be a warning, and fail this test."""
    for _ in range(5):
        client = await stream()
        await client.until("welcome")
        await client.send({"type": "submit", "id": 1, "task": "forever", "sub": 1}, {"type": "cancel", "id": 2}, {})
        assert await client.closed() == 4000
    gc.collect()
    await eventually(lambda: not node.hub._topics)
