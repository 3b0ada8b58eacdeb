"""handlers/secure.py: the same promises on the IOStream of a TLS connection."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from peer import Recorder, client_frame, close_frame, request, until
from served import Served, server_context, serving
from tornado.ioloop import IOLoop

from handlers.frames import Opcode, build
from handlers.secure import SecureConnection

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode
LARGE = build(BINARY, bytes(range(256)) * 8192)


@pytest.fixture
def served(io_loop: IOLoop) -> Iterator[Served]:
    """A server with TLS."""
    with serving(io_loop, send_bytes=4096, ssl_options=server_context()) as served:
        yield served


class Client:
    """A client with TLS that reads only when it is asked to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, served: Served, behind: bytes = b"") -> "tuple[Client, Recorder]":
        """After the handshake, with bytes in the record of the request."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(*served.address, ssl=context, limit=4096)
        writer.write(request() + behind)
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        assert isinstance(served.connections[-1], SecureConnection)
        return cls(reader, writer), served.recorders[-1]

    async def frame(self) -> tuple[int, bytes]:
        """The next frame."""
        first, size = await self.reader.readexactly(2)
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8))
        return first & 0x0F, await self.reader.readexactly(size)

    async def end(self) -> None:
        """The server has ended the stream, and so do we."""
        with suppress(ConnectionError, ssl.SSLError):
            assert await self.reader.read() == b""
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


@pytest.mark.gen_test
async def test_messages_go_both_ways(served: Served) -> None:
    client, recorder = await Client.open(served)
    client.writer.write(client_frame(TEXT, "grüße".encode()) + client_frame(PING, b"?"))
    assert await client.frame() == (PONG, b"?")
    assert recorder.texts == ["grüße"]
    assert recorder.connection.send(build(TEXT, b"and back"))
    assert await client.frame() == (TEXT, b"and back")
    await client.close()
    await until(lambda: recorder.codes == [1006])


@pytest.mark.gen_test
async def test_bytes_in_the_record_of_the_handshake_are_the_first_that_are_parsed(served: Served) -> None:
    client, recorder = await Client.open(served, client_frame(TEXT, b"first") + client_frame(TEXT, b"second")[:4])
    client.writer.write(client_frame(TEXT, b"second")[4:])
    await until(lambda: recorder.texts == ["first", "second"])
    await client.close()


@pytest.mark.gen_test
async def test_a_remainder_goes_before_pong_farewell_and_close(served: Served) -> None:
    client, recorder = await Client.open(served)
    assert recorder.connection.send(LARGE) is False
    with pytest.raises(RuntimeError, match="pending"):
        recorder.connection.send(LARGE)
    client.writer.write(client_frame(PING, b"1") + client_frame(PING, b"2") + client_frame(TEXT, b"read"))
    await until(lambda: recorder.texts)
    recorder.connection.close(4100, farewell=build(TEXT, b"bye"))
    frames = [await client.frame() for _ in range(4)]
    assert frames[0] == (BINARY, LARGE[10:])
    assert frames[1:] == [(PONG, b"2"), (TEXT, b"bye"), (CLOSE, (4100).to_bytes(2))]
    client.writer.write(close_frame(4100))
    await client.end()
    await until(lambda: recorder.codes == [4100])


@pytest.mark.gen_test
async def test_writable_is_told_once_when_a_remainder_is_gone(served: Served) -> None:
    client, recorder = await Client.open(served)
    begun = recorder.connection.last_write_progress
    recorder.connection.send(LARGE)
    assert await client.frame() == (BINARY, LARGE[10:])
    await until(lambda: recorder.writable)
    assert (recorder.writable, recorder.connection.pending) == (1, 0)
    assert recorder.connection.last_write_progress > begun
    recorder.connection.send(build(TEXT, b"then"))
    assert await client.frame() == (TEXT, b"then")
    await client.close()


@pytest.mark.gen_test
async def test_a_long_message_is_read_whole(served: Served) -> None:
    client, recorder = await Client.open(served)
    client.writer.write(client_frame(BINARY, b"z" * 500_000))
    await until(lambda: recorder.messages == [(b"z" * 500_000, True)])
    await client.close()


@pytest.mark.gen_test
async def test_the_peers_close_is_answered(served: Served) -> None:
    client, recorder = await Client.open(served)
    client.writer.write(close_frame(4321))
    assert await client.frame() == (CLOSE, (4321).to_bytes(2))
    await client.end()
    await until(lambda: recorder.codes == [4321])


@pytest.mark.gen_test
async def test_a_bad_frame_is_refused_while_more_is_being_sent(served: Served) -> None:
    client, recorder = await Client.open(served)
    client.writer.write(client_frame(TEXT, b"x" * 10, mask=None) + bytes(1_000_000))
    assert await client.frame() == (CLOSE, (1002).to_bytes(2) + b"frames from a client are masked")
    await client.end()
    await until(lambda: recorder.codes == [1002])


@pytest.mark.gen_test
async def test_while_paused_nothing_comes(served: Served) -> None:
    client, recorder = await Client.open(served)
    recorder.react = lambda data: recorder.connection.pause()
    for text in (b"1", b"2"):
        client.writer.write(client_frame(TEXT, text))
    await until(lambda: recorder.messages)
    client.writer.write(client_frame(TEXT, b"3"))
    for number in range(1, 4):
        await until(lambda number=number: len(recorder.messages) == number)
        recorder.connection.resume()
    assert recorder.texts == ["1", "2", "3"]
    await client.close()


@pytest.mark.gen_test
async def test_a_peer_that_never_answers_our_close_is_ended_in_time(served: Served) -> None:
    served.close_s = 0.1
    client, recorder = await Client.open(served)
    recorder.connection.send(LARGE)
    recorder.connection.close(4200)
    await until(lambda: recorder.codes == [4200])
    await client.close()


@pytest.mark.gen_test
async def test_after_the_end_nothing_is_used(served: Served) -> None:
    client, recorder = await Client.open(served)
    connection: Any = recorder.connection
    connection.abort()
    assert recorder.codes == [1006]
    assert connection.send(build(TEXT, b"x")) is False
    connection.ping()
    connection.resume()
    connection.close(4000)
    connection.abort()
    await client.close()
    assert recorder.codes == [1006]


@pytest.mark.gen_test
async def test_the_end_of_the_stream_waits_for_the_record_that_the_kernel_has_not_taken(served: Served) -> None:
    client, recorder = await Client.open(served)
    wire: Any = recorder.connection._socket
    frame, sent = build(BINARY, bytes(1000)), 0
    while not wire._stream.writing():
        assert recorder.connection.send(frame)
        sent += 1
    with pytest.raises(BlockingIOError):
        wire.send(frame)
    wire.shutdown(socket.SHUT_WR)
    for _ in range(sent):
        assert await client.frame() == (BINARY, bytes(1000))
    await client.end()
    await until(lambda: recorder.codes == [1006])


@pytest.mark.gen_test
async def test_a_stream_that_tornado_closes_is_the_end(served: Served) -> None:
    client, recorder = await Client.open(served)
    wire: Any = recorder.connection._socket
    wire._stream.close()
    await until(lambda: recorder.codes == [1006])
    await client.close()
