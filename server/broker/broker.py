"""The broker: every change of a job as one script call. Async calls go through one pipeline."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Container, Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from server.broker.connection import Connector
from server.broker.inquiry import Inquiry, no_job
from server.broker.keys import Keys
from server.broker.pipeline import Pipeline
from server.broker.record import Change, changes_of, detail_of, job_of, pack, unpack
from server.broker.rows import lease_of, lease_row, report_row, submission_row, submitted_of, verdict_row
from server.broker.script import script
from server.broker.values import (
    RECOVERY_BEATS,
    Lease,
    ListWish,
    LogPiece,
    NewJob,
    Page,
    Report,
    ReportAnswer,
    Submitted,
    Verdict,
)
from server.broker.wire import Argument
from server.codec import MSGPACK
from server.errors import Conflict, StartupError, WindsockError
from server.job import Job, JobDetail
from server.pace import History
from server.settings import Durability, Settings

MIN_REDIS = (6, 2)
MAX_LOOK = 1000  # entries a page of a list with several filters looks at
CLAIM_BYTES = 4 * 1024 * 1024  # a claim takes no more once its arguments are this long together
WAIT_MS = 1000  # durability "wait": how long for a replica
Answer = TypeVar("Answer")


class Broker:
    """The way to the store. Duties in call order: open, submit, claim, report, finish, read, close."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.keys = Keys(settings.namespace)
        self.connector = Connector(url, settings.redis_timeout_s)
        self._settings = settings
        wait = settings.durability is Durability.WAIT
        self._pipeline = Pipeline(self.connector, self.keys.tag, wait_ms=WAIT_MS if wait else None)
        self.inquiry = Inquiry(self._call)
        self.store = ""  # name of the store, as last seen
        self.version = ""  # of Redis

    async def open(self) -> None:
        """Connect, and make sure that this Redis will do.

        Raises:
            StartupError: it is too old, or not set up for the durability asked for.
            Unavailable: it is away.
        """
        await self._check_server()
        self._pipeline.start()
        name, _ = await self._call("open", secrets.token_hex(4))
        self.store = name.decode()

    async def _check_server(self) -> None:
        connection = await self.connector.connect()
        try:
            await connection.send_command("INFO", "server")
            info = (await connection.read_response(disable_decoding=True)).decode()
            found = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
            self.version = found.get("valkey_version") or found.get("redis_version", "0")
            if tuple(int(part) for part in found.get("redis_version", "0").split(".")[:2]) < MIN_REDIS:
                raise StartupError(f"Redis {self.version} is too old: Windsock needs 6.2 or newer")
            if self._settings.durability is Durability.ALWAYS:
                await connection.send_command("CONFIG", "GET", "appendfsync")
                if b"always" not in await connection.read_response(disable_decoding=True):
                    raise StartupError("durability=always: this Redis has not `appendfsync always`; set it there")
        finally:
            await connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Fail what waits and close the connection."""
        await self._pipeline.stop()

    def _call(self, name: str, *arguments: Argument, durable: bool = False) -> "asyncio.Future[Any]":
        return self._pipeline.call(script(name), *arguments, durable=durable)

    # the road of a job

    def submit(self, jobs: Sequence[NewJob], *, claimed: bool = False) -> Awaitable[list[Submitted | WindsockError]]:
        """Store, enqueue and announce; one answer for each. An id that exists gives the job as it is.

        The call is made now. `claimed`: a claim follows it in the same turn of the loop, so nobody is woken.
        """
        settings = self._settings
        packed = pack([submission_row(job) for job in jobs])
        bounds = (settings.max_ready_sets, settings.queue_limit, round(settings.idempotency_s * 1000))
        reply = self._call("submit", packed, *bounds, "claimed" if claimed else "", durable=True)

        def read(answers: Any) -> list[Submitted | WindsockError]:
            rows = zip(unpack(answers), jobs, strict=True)
            return [submitted_of(row, new, self.store, settings) for row, new in rows]

        return _UnderWay(reply, read)

    def claim(
        self,
        worker: str,
        request: str,
        count: int,
        queues: Sequence[str],
        tasks: Sequence[str],
        signature: str,
        limits: Mapping[str, int] = MappingProxyType({}),
        seen: tuple[str, int] = ("", 0),
    ) -> Awaitable[list[Lease]]:
        """Lease up to `count` waiting jobs. The same `request` answers the same jobs. The call is made now.

        Args:
            limits: of tasks that have one: how many of their jobs may run at once.
            seen: name and sequence number of the store; one that has gone back gives no jobs for `RECOVERY_BEATS`.
        """
        reply = self._call(
            "claim",
            worker,
            self._settings.name,
            request,
            count,
            pack(queues),
            pack(tasks),
            signature,
            CLAIM_BYTES,
            pack(dict(limits)),
            *seen,
            int(RECOVERY_BEATS * self._settings.beat_s * 1000),
        )
        return _UnderWay(reply, lambda rows: [lease_of(row, request, self.store) for row in unpack(rows)])

    async def report(self, reports: Sequence[Report], *, ending: bool = False) -> list[ReportAnswer]:
        """Take down how far jobs are; one answer for each. `ending`: an end waits for it, so memory may be full."""
        packed = pack([report_row(report) for report in reports])
        reply = await self._call("report", packed, *self._log_kept, "ending" if ending else "")
        return [ReportAnswer(code.decode(), last, state.decode(), seen) for code, last, state, seen in unpack(reply)]

    async def finish(self, verdicts: Sequence[Verdict]) -> list[ReportAnswer]:
        """End attempts or give them back; one answer for each."""
        packed = pack([verdict_row(verdict) for verdict in verdicts])
        known = self._settings
        history = (known.history, round(known.history_s * 1000))
        reply = await self._call("finish", packed, *self._log_kept, *history, durable=True)
        return [ReportAnswer(code.decode(), last) for code, last in unpack(reply)]

    @property
    def _log_kept(self) -> tuple[int, int, int]:
        """How much of a log, as scripts take it: entries, bytes, ms."""
        known = self._settings
        return known.log_keep, known.log_keep_bytes, round(known.log_keep_s * 1000)

    async def cancel(self, job_id: str) -> Job:
        """Ask a job to end.

        Raises:
            NotFound, Conflict: no such job; it has ended.
        """
        code, *rest = unpack(await self._call("cancel", job_id))
        if code == b"gone":
            raise no_job(job_id)
        job = job_of(rest[0], self.store)
        if code == b"ended":
            raise Conflict(f"job {job_id} has ended already: {job.state}")
        if rest[1]:
            await self.fell()
        return job

    async def fell(self) -> None:
        """Cancel what is below jobs that were cancelled or have failed, until nothing is left of it."""
        while await self._call("fell"):
            pass

    async def seal(self, group: str, process: str) -> Job | None:
        """A group has all its jobs: it ends when they have. The group, None where there is none."""
        record = unpack(await self._call("seal", group, process, durable=True))
        return job_of(record, self.store) if record else None

    async def pause(self, job_id: str, token: str) -> None:
        """A job waits for its children: it gives up its place under its limit."""
        await self._call("pause", job_id, token)

    async def resume(self, job_id: str, token: str) -> bool:
        """Whether a job that has waited has its place under its limit again; else its worker is told when it has."""
        return bool(await self._call("resume", job_id, token) != b"later")

    async def delete(self, job_id: str) -> None:
        """Forget an ended job.

        Raises:
            NotFound, Conflict: no such job; it has not ended.
        """
        code = await self._call("delete", job_id)
        if code == b"gone":
            raise no_job(job_id)
        if code == b"running":
            raise Conflict(f"job {job_id} has not ended; cancel it first")

    async def reassert(self, worker: str, store: str, seq: int, leases: Sequence[Lease]) -> list[str]:
        """Hold jobs (again) that a store which may have gone back has lost or shows as waiting.

        Args:
            store, seq: as the worker saw them last.

        Returns:
            ok, ended, fenced or gone for each.
        """
        packed = pack([lease_row(lease) for lease in leases])
        reply = await self._call("reassert", worker, self._settings.name, store, seq, packed, durable=True)
        return [code.decode() for code in unpack(reply)]

    async def ticked(self, schedules: Sequence[str]) -> tuple[int, list[int]]:
        """The store's time (ms), and of each schedule the last tick that was handed in.

        Of one that is new to the store everything up to now counts as handed in.
        """
        now, last = unpack(await self._call("schedules", pack(list(schedules))))
        return now, last

    async def watch(self, job_ids: Sequence[str], lasts_s: float) -> None:
        """Somebody looks at these jobs: their runners tell of them often for `lasts_s`."""
        await self._call("watch", pack(list(job_ids)), round(lasts_s * 1000))

    # reading

    async def fetch(self, job_ids: Sequence[str]) -> tuple[int, list[Job | None]]:
        """The moment (sequence number) and the jobs, None where there is none."""
        seq, rows = unpack(await self._call("fetch", pack(job_ids), ""))
        return seq, [job_of(row[0], self.store) if row else None for row in rows]

    async def dropped(self, parent: str, job_ids: Sequence[str]) -> set[str]:
        """Those of the children of a job that has not ended that were deleted, or have expired."""
        rows = unpack(await self._call("dropped", parent, pack(list(job_ids))))
        return {job_id for job_id, dropped in zip(job_ids, rows, strict=True) if dropped}

    async def detail(self, job_id: str) -> JobDetail:
        """A job with its arguments and outcome.

        Raises:
            NotFound: there is none.
        """
        _, (row,) = unpack(await self._call("fetch", pack([job_id]), "detail"))
        if not row:
            raise no_job(job_id)
        return detail_of(row, self.store)

    async def page(self, wish: ListWish, limit: int, before: str | None = None, *, counts: bool = False) -> Page:
        """One page, newest first."""
        packed = pack([wish.states, wish.index, wish.values, wish.others])
        look = max(MAX_LOOK, limit + 1)
        reply = await self._call("list", packed, limit, before or "", look, "counts" if counts else "")
        seq, records, following, counted = unpack(reply)
        return Page(
            seq=seq,
            jobs=[job_of(record, self.store) for record in records],
            next=following.decode() if following else None,
            counts={counted[i].decode(): counted[i + 1] for i in range(0, len(counted), 2)} if counted else None,
        )

    async def log(self, job_id: str, after: int, most: int, max_bytes: int) -> LogPiece:
        """The log from offset `after` + 1 on.

        Raises:
            NotFound: no such job.
        """
        piece = unpack(await self._call("log", job_id, after, most, max_bytes))
        if piece is False:
            raise no_job(job_id)
        first, last, entries = piece
        return LogPiece(first, last, [(offset, entry or None, gap or None) for offset, entry, gap in entries])

    async def nodes(self) -> dict[str, dict[str, Any]]:
        """The processes alive by id, as they described themselves."""
        flat = unpack(await self._call("nodes"))
        return {flat[i].decode(): MSGPACK.decode(flat[i + 1]) for i in range(0, len(flat), 2)}

    async def histories(self, tasks: Sequence[str]) -> list[History]:
        """How long jobs of these tasks took of late."""
        rows = unpack(await self._call("durations", pack(list(tasks))))
        return [History(int(one) / 1000 for one in row) for row in rows]

    # workers

    async def enlist(self, worker: str, lanes: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Make a worker known, so that submits can wake it: for each lane its signature and QUEUE/TASK pairs."""
        await self._call("enlist", worker, pack(lanes))

    async def retire(self, worker: str) -> None:
        """Submits stop waking this worker."""
        await self._call("retire", worker)

    async def release(self, worker: str, job_id: str) -> None:
        """Give back a job that is leased to this worker though it does not hold it."""
        await self._call("release", worker, job_id)

    async def rescue(self, worker: str, seen: str = "", most: int = 200) -> int:
        """Take back all jobs of a worker and forget it; how many there were."""
        total, left = 0, 1
        while left:
            _, requeued, ended, left = await self._call("rescue", worker, seen, most)
            total += requeued + ended
        return total

    def changes(self, message: bytes, among: Container[str] | None = None) -> tuple[int, list[Change]]:
        """What a message on the events channel says, of all jobs or of those among these."""
        return changes_of(message, self.store, among)


class _UnderWay(Generic[Answer]):
    """A call that has been made, and what its reply is read as."""

    __slots__ = ("_read", "_reply")

    def __init__(self, reply: "asyncio.Future[Any]", read: Callable[[Any], Answer]) -> None:
        self._reply = reply
        self._read = read

    def __await__(self) -> Generator[Any, Any, Answer]:
        return self._read((yield from self._reply.__await__()))
