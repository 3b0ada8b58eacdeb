"""A short run of the chaos suite; `make chaos` runs it for long. And the proxy and the accounts that it rests upon."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from chaos.events import events_of, lines_of
from chaos.faults import FAULTS
from chaos.proxy import Proxy
from chaos.reader import Heard, Ledger
from chaos.run import fault_of

TESTS = Path(__file__).parent
SECONDS = 40  # no round begins after so many
KINDS = ["kill_node", "kill_worker", "client_cut_after", *(name for name in FAULTS if name.startswith("redis_"))]
SEED = int(os.environ.get("CHAOS_SEED", "1"))


@pytest.mark.timeout(150)
def test_a_few_rounds_lose_nothing_and_tell_nothing_twice() -> None:
    words = [sys.executable, "-m", "chaos.run", "--seed", str(SEED), "--rounds", str(len(KINDS))]
    words += ["--seconds", str(SECONDS), *(word for kind in KINDS for word in ("--fault", kind))]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    ran = subprocess.run(words, env=env, capture_output=True, text=True, timeout=140, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(": ok\n") >= 3, ran.stdout


def test_every_kind_of_fault_comes_once_in_a_row_and_a_seed_brings_the_same_again() -> None:
    kinds = list(FAULTS)
    row = [fault_of(7, number, kinds) for number in range(1, len(kinds) + 1)]
    assert sorted(row) == sorted(kinds)
    assert row == [fault_of(7, number, kinds) for number in range(1, len(kinds) + 1)]
    assert row != [fault_of(8, number, kinds) for number in range(1, len(kinds) + 1)]


# the proxy


Talk = Callable[[Proxy, asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def through_proxy(talk: Talk) -> None:
    """Run `talk` with a connection through a proxy to a server that echoes."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        proxy = await Proxy(server.sockets[0].getsockname()[:2]).start()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        try:
            await asyncio.wait_for(talk(proxy, reader, writer), 10)
        finally:
            writer.transport.abort()
            await proxy.stop()
            server.close()
            await asyncio.sleep(0.05)  # for the echoes to see their end

    asyncio.run(main())


def test_fine_weather_carries_everything() -> None:
    async def talk(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = os.urandom(500_000)
        writer.write(data)
        assert await reader.readexactly(len(data)) == data
        assert proxy.connections == 1

    through_proxy(talk)


def test_delay_keeps_bytes_back_for_so_long() -> None:
    async def talk(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.up.delay_s = proxy.down.delay_s = 0.15
        began = time.monotonic()
        writer.write(b"late")
        assert await reader.readexactly(4) == b"late"
        assert time.monotonic() - began >= 0.3

    through_proxy(talk)


def test_throttle_lets_through_so_many_bytes_a_second() -> None:
    async def talk(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.down.bytes_per_s = 100_000
        began = time.monotonic()
        writer.write(bytes(50_000))
        await reader.readexactly(50_000)
        assert time.monotonic() - began >= 0.25

    through_proxy(talk)


def test_swallowed_bytes_leave_a_hole_that_nothing_follows_on_this_connection() -> None:
    async def talk(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.down.swallows = True
        writer.write(b"lost")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        proxy.clear()
        writer.write(b"after the hole")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        again, hers = await asyncio.open_connection("127.0.0.1", proxy.port)
        hers.write(b"new")
        assert await again.readexactly(3) == b"new"
        hers.close()

    through_proxy(talk)


def test_cut_after_lets_exactly_so_many_bytes_through() -> None:
    async def talk(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.down.cut_after = 1234
        writer.write(bytes(5000))
        assert len(await reader.read(-1)) == 1234

    through_proxy(talk)


def test_reset_is_a_reset_and_cut_is_an_end() -> None:
    async def reset(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x")
        await reader.readexactly(1)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)

    async def cut(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x")
        await reader.readexactly(1)
        proxy.cut()
        assert await reader.read(1) == b""

    through_proxy(reset)
    through_proxy(cut)


# the accounts


def frame(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "sub": 1, **fields}


def job(version: int, offset: int, state: str = "running") -> dict[str, Any]:
    return {"id": "J", "state": state, "attempt": 1, "started_at": 1, "cursor": f"s-1.{version}.{offset}"}


@pytest.mark.parametrize(
    ("kind", "frames"),
    [
        ("twice", [frame("log", first=1, entries=[{}], cursor="s-1.5.1")] * 2),
        ("hole", [frame("log", first=2, entries=[{}], cursor="s-1.5.2")]),
        ("version back", [frame("update", job=job(4, 0), cursor="s-1.4.0")]),
        ("order", [frame("update", job=job(6, 0, "failed"), cursor="s-1.6.0")]),
        ("hole", [frame("end", job=job(6, 3, "failed"), last=3, cursor="s-1.6.0")]),
        ("end twice", [frame("end", job=job(6, 0, "failed"), last=0, cursor="s-1.6.0")] * 2),
        ("cursor", [frame("log", first=1, entries=[{}], cursor="s-1.5.2")]),
    ],
)
def test_a_reader_notices(kind: str, frames: list[dict[str, Any]]) -> None:
    ledger, heard = Ledger("me"), Heard("J")
    heard.phase = "opening"
    ledger.take(heard, frame("snapshot", job=job(5, 0), how="fresh", cursor="s-1.5.0"))
    ledger.take(heard, frame("live"))
    assert not ledger.problems
    for one in frames:
        ledger.take(heard, one)
    assert kind in [problem.partition(":")[0] for problem in ledger.problems]


def test_a_job_that_the_store_lost_is_no_problem_in_a_round_that_loses_data_and_one_in_any_other() -> None:
    gone = frame("error", code="not_found", message="no such job", retryable=False)
    for forgets in (False, True):
        ledger, heard = Ledger("me", forgets=forgets), Heard("J")
        heard.phase = "opening"
        ledger.take(heard, gone)
        assert heard.unknown is forgets
        assert bool(ledger.problems) is not forgets


def test_a_new_beginning_is_no_problem_in_a_round_that_loses_data_and_one_in_any_other() -> None:
    for forgets in (False, True):
        ledger, heard = Ledger("me", forgets=forgets), Heard("J", entries={1: {}}, position=1, cursor="s-1.4.1")
        heard.phase = "opening"
        ledger.take(heard, frame("snapshot", job=job(5, 0), how="reset", log_from=1, cursor="s-1.5.0"))
        assert heard.entries == {}
        assert bool(ledger.problems) is not forgets


# streams over HTTP


async def chunks(text: str) -> AsyncIterator[bytes]:
    """Lines as a response has them; the last may be cut off."""
    for line in text.encode().splitlines(keepends=True):
        yield line


def read(stream: Callable[[AsyncIterator[bytes]], AsyncIterator[Any]], text: str) -> list[Any]:
    async def whole() -> list[Any]:
        return [one async for one in stream(chunks(text))]

    return asyncio.run(whole())


EVENT = 'event: log\nid: s-1.5.1\ndata: {"type": "log", "cursor": "s-1.5.1"}\n\n'


def test_an_event_that_was_cut_off_never_came() -> None:
    wanted = [("s-1.5.1", {"type": "log", "cursor": "s-1.5.1"})]
    assert read(events_of, "retry: 1000\n\n" + EVENT) == wanted
    for cut in range(1, len(EVENT)):
        assert read(events_of, EVENT + EVENT[:cut]) == wanted


def test_an_event_whose_id_or_name_is_not_its_frames_is_told() -> None:
    for wrong in (EVENT.replace("id: s", "id: x"), EVENT.replace("event: log", "event: gap")):
        with pytest.raises(ValueError, match="carries"):
            read(events_of, wrong)


def test_a_line_of_ndjson_that_was_cut_off_never_came() -> None:
    line = '{"type": "live"}\n'
    for cut in range(len(line)):
        assert read(lines_of, line + line[:cut]) == [(None, {"type": "live"})]
