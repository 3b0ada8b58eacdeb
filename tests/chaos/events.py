"""A client over plain HTTP: one request for each job it follows, taken up again where it broke off.

Server-Sent Events are read as a browser's EventSource reads them (HTML standard, section 9.2): what was not closed by
an empty line never came, and the last id goes back as Last-Event-ID. NDJSON goes on with `after`.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp

from chaos.reader import BACK_S, DEAD_S, OPEN_S, Frame, Heard, Ledger

OF_A_JOB = ("snapshot", "update", "log", "gap", "live", "end", "error")
SHARE = 0.2  # of the jobs that it is told of
MAX_LINE_BYTES = 4 * 1024 * 1024


async def events_of(content: AsyncIterable[bytes]) -> AsyncIterator[tuple[str | None, Frame]]:
    """The events of a stream that came whole: id and data.

    Raises:
        ValueError: the event's name is not the frame's type, or its id is not the frame's cursor.
    """
    fields: dict[str, str] = {}
    async for line in content:
        if line != b"\n":
            if line.endswith(b"\n"):
                name, _, value = line.decode().rstrip("\n").partition(": ")
                fields[name] = value
            continue
        if "data" in fields:
            frame = json.loads(fields["data"])
            if (fields["event"], fields.get("id")) != (frame["type"], frame.get("cursor")):
                raise ValueError(f"event {fields['event']} with id {fields.get('id')} carries {str(frame)[:200]}")
            yield fields.get("id"), frame
        fields = {}


async def lines_of(content: AsyncIterable[bytes]) -> AsyncIterator[tuple[str | None, Frame]]:
    """The frames of an NDJSON stream that came whole, with their cursors."""
    async for line in content:
        if line.endswith(b"\n"):
            frame = json.loads(line)
            yield frame.get("cursor"), frame


class EventsReader:
    """Owns the requests of one client, all in one format."""

    def __init__(self, ledger: Ledger, kind: str, url: Callable[[], str], rng: random.Random) -> None:
        self.ledger = ledger
        self.losses = 0
        self._sse = kind == "sse"
        self._url = url
        self._rng = rng
        self._seen: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Begin with the jobs it was told of."""
        timeout = aiohttp.ClientTimeout(sock_connect=OPEN_S, sock_read=DEAD_S)
        self._session = aiohttp.ClientSession(
            timeout=timeout, connector=aiohttp.TCPConnector(limit=0, force_close=True), read_bufsize=MAX_LINE_BYTES
        )
        for heard in self.ledger.jobs.values():
            self._tasks.append(asyncio.create_task(self._follow(self._session, heard)))

    async def stop(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def watch(self, job_ids: Sequence[str]) -> None:
        """Follow some of these too, from now on."""
        for job_id in job_ids:
            if job_id in self._seen:
                continue
            self._seen.add(job_id)
            if self._rng.random() < SHARE:
                heard = self.ledger.jobs[job_id] = Heard(job_id)
                if self._session is not None:
                    self._tasks.append(asyncio.create_task(self._follow(self._session, heard)))

    @property
    def owed(self) -> list[Heard]:
        """Jobs whose end it does not know."""
        return [heard for heard in self.ledger.jobs.values() if not heard.ends and not heard.unknown]

    async def _follow(self, session: aiohttp.ClientSession, heard: Heard) -> None:
        while not heard.ends and not heard.unknown:
            try:
                await self._request(session, heard)
            except (OSError, aiohttp.ClientError, TimeoutError):
                pass
            except ValueError as error:
                self._problem("lines", heard, str(error))
            self.losses += not heard.ends
            await asyncio.sleep(self._rng.uniform(0, BACK_S))

    async def _request(self, session: aiohttp.ClientSession, heard: Heard) -> None:
        heard.phase = "opening"
        url, headers, query = f"{self._url()}/api/jobs/{heard.job_id}/events", {}, {"log": "all"}
        if not self._sse:
            headers["Accept"] = "application/x-ndjson"
        if heard.cursor is not None and self._sse:
            headers["Last-Event-ID"] = heard.cursor
        elif heard.cursor is not None:
            query["after"] = heard.cursor
        async with session.get(url, headers=headers, params=query) as answer:
            if answer.status == 200:
                await self._take(heard, answer.content)
            else:
                self._judge(heard, answer.status)

    def _judge(self, heard: Heard, status: int) -> None:
        if status == 404 and self.ledger.forgets:
            heard.unknown = True
        elif status < 500:
            self._problem("http", heard, f"the request was answered with {status} at cursor {heard.cursor}")

    async def _take(self, heard: Heard, content: AsyncIterable[bytes]) -> None:
        async for cursor, frame in events_of(content) if self._sse else lines_of(content):
            if frame["type"] in OF_A_JOB:
                self.ledger.take(heard, frame)
            if cursor is not None and cursor != heard.cursor:
                self._problem("cursor", heard, f"the id {cursor} is not the frame's cursor")

    def _problem(self, kind: str, heard: Heard, what: Any) -> None:
        self.ledger.problems.append(f"{kind}: {self.ledger.name}: {heard.job_id}: {what}")
