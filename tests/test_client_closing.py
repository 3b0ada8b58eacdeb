"""Streams that are closed: under somebody who waits, by who reads them, before they begin; and used afterwards."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from clients import served
from processes import ROOT, Server, lasting

import windsock
from windsock import End, Live, Log, Options, Update
from windsock.watching import EventStream

__all__ = ["lasting", "served"]

NO_DESCRIPTORS = """
import resource, sys, windsock
client = windsock.Client(sys.argv[1], retry_s=0)
stream = client.stream()  # what it imports is open by now
stream.close()
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
try:
    client.stream()
except OSError as error:
    print(error.strerror)
"""


@pytest.fixture
def client(served: Server) -> Iterator[windsock.Client]:
    with windsock.Client(served.url) as client:
        yield client


@pytest.fixture
def job(client: windsock.Client) -> Iterator[windsock.JobHandle]:
    """A job that lasts, of which nothing new is told."""
    handle = client.submit("count", Options(delay_s=3600), to=1)
    yield handle
    handle.cancel()


def run_async(url: str, work: Callable[[windsock.AsyncClient], Awaitable[Any]]) -> Any:
    """The work on a loop of its own, in a thread of its own: pytest-tornado keeps that of this one."""

    async def with_client() -> Any:
        async with windsock.AsyncClient(url) as client, asyncio.timeout(20):
            return await work(client)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(with_client())).result()


def test_who_waits_in_another_thread_is_told_that_there_are_no_more(
    client: windsock.Client, job: windsock.JobHandle
) -> None:
    stream = client.stream()
    stream.watch(job.id)
    live = threading.Event()
    told: list[Any] = []

    def read() -> None:
        for event in stream:
            told.append(event)
            if isinstance(event, Live):
                live.set()

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    assert live.wait(20)
    stream.close()
    reading.join(20)
    assert not reading.is_alive()
    assert [type(event) for event in told] == [Update, Live]


def test_who_waits_in_another_task_is_told_that_there_are_no_more(served: Server, job: windsock.JobHandle) -> None:
    async def work(client: windsock.AsyncClient) -> list[type]:
        stream = client.stream()
        stream.watch(job.id)
        live = asyncio.Event()
        told = []

        async def read() -> None:
            async for event in stream:
                told.append(type(event))
                if isinstance(event, Live):
                    live.set()

        reading = asyncio.create_task(read())
        await live.wait()
        await stream.close()
        await reading
        return told

    assert run_async(served.url, work) == [Update, Live]


def test_a_stream_that_is_closed_before_its_connection_begins_ends_too(served: Server, job: windsock.JobHandle) -> None:
    async def work(client: windsock.AsyncClient) -> None:
        stream = client.stream()
        stream.watch(job.id)
        reading = asyncio.ensure_future(anext(stream))
        asyncio.get_running_loop().call_soon(lambda: closing.append(asyncio.create_task(stream.close())))
        closing: list[asyncio.Task[None]] = []
        with pytest.raises(StopAsyncIteration):
            await reading
        await closing[0]

    run_async(served.url, work)


def test_who_closes_what_it_reads_has_no_further_events(client: windsock.Client) -> None:
    handle = client.submit("count", to=30)
    handle.wait(10)
    stream = client.stream()
    stream.watch(handle.id)
    logs = 0
    for event in stream:
        logs += isinstance(event, Log)
        if logs == 5:
            stream.close()
    assert logs == 5


def test_a_coroutine_that_closes_what_it_reads_has_no_further_events(served: Server) -> None:
    async def work(client: windsock.AsyncClient) -> int:
        handle = await client.submit("count", to=30)
        await handle.wait(10)
        stream = client.stream()
        stream.watch(handle.id)
        logs = 0
        async for event in stream:
            logs += isinstance(event, Log)
            if logs == 5:
                await stream.close()
        return logs

    assert run_async(served.url, work) == 5


def test_a_closed_stream_takes_nothing_more_and_has_no_events(client: windsock.Client) -> None:
    with client.stream() as stream:
        pass
    for add in (lambda: stream.watch("01NOSUCH"), lambda: stream.feed({}), stream.stats):
        with pytest.raises(RuntimeError, match="closed: make another one"):
            add()
    assert list(stream) == []
    stream.close()


def test_a_closed_async_stream_takes_nothing_more_and_has_no_events(served: Server) -> None:
    async def work(client: windsock.AsyncClient) -> list[Any]:
        async with client.stream() as stream:
            assert isinstance(stream, EventStream)
        with pytest.raises(RuntimeError, match="closed: make another one"):
            stream.stats()
        await stream.close()
        return [event async for event in stream]

    assert run_async(served.url, work) == []


def test_a_loop_that_was_left_and_taken_up_again_ends_once(client: windsock.Client) -> None:
    with client.stream() as stream:
        stream.watch(client.submit("count", to=20).id)
        for event in stream:
            if isinstance(event, Log):
                break
        assert isinstance(list(stream)[-1], End)
        stream.watch(client.submit("echo", value=1).id)
        assert isinstance(list(stream)[-1], End)


def test_without_a_descriptor_for_its_connection_a_stream_is_refused(served: Server) -> None:
    words = [sys.executable, "-c", NO_DESCRIPTORS, served.url]
    told = subprocess.run(words, check=False, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert told.stdout == "Too many open files\n"
