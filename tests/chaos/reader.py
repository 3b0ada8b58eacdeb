"""A client that watches many jobs and one feed, resumes with its cursors after every loss, and keeps account.

It believes nothing: each rule of protocol.md section 3 (Order) that a frame breaks becomes a line in `problems`.
"""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgpack

Frame = dict[str, Any]
ENDED = ("succeeded", "failed", "cancelled")
FEED = 100_000  # the number of the feed's subscription
BACK_S = 0.15  # longest wait before the next try
DEAD_S = 2.0  # without a message: the server is gone (twice its heartbeat, and room for a busy machine)
OPEN_S = 2.0


@dataclass
class Heard:
    """What one client was told of one job, over all its connections."""

    job_id: str
    entries: dict[int, Any] = field(default_factory=dict)  # the log as assembled, by offset
    position: int = 0  # everything up to here came or was declared a gap
    gaps: list[tuple[int, int, str]] = field(default_factory=list)
    cursor: str | None = None  # the last one told
    version: int = 0
    attempt: int = 0
    ends: list[Frame] = field(default_factory=list)
    phase: str = "none"  # of the subscription now: none, opening, replay, live, ended
    ahead: bool = False  # of the node that it is connected to now
    resumes: int = 0
    resets: int = 0
    unknown: bool = False  # the server has no such job: the store lost it


class Ledger:
    """Takes in frames of jobs and checks them."""

    def __init__(self, name: str, *, forgets: bool = False) -> None:
        self.name = name
        self.forgets = forgets  # the store loses data in this round: resets are due, and jobs may be unknown
        self.jobs: dict[str, Heard] = {}
        self.problems: list[str] = []
        self.stale = False  # said on the connection that is open

    def problem(self, kind: str, heard: Heard, what: str, frame: Frame) -> None:
        """Something that must not be; `kind` is what such problems are counted by."""
        brief = {key: (value if key not in ("entries", "job") else "…") for key, value in frame.items() if key != "sub"}
        had = f"had version {heard.version} offset {heard.position}{' and was told stale' if self.stale else ''}"
        self.problems.append(f"{kind}: {self.name}: {heard.job_id}: {what}; {had}; frame {brief}")

    def take(self, heard: Heard, frame: Frame) -> None:
        """One frame of this job."""
        kind = frame["type"]
        if self.forgets and frame.get("code") == "not_found":
            heard.phase, heard.unknown = "ended", True
            return
        again = frame.get("how") == "reset" and heard.phase != "ended"  # may come in mid-stream
        if not again and (heard.phase == "ended" or (kind == "snapshot") is not (heard.phase == "opening")):
            self.problem("order", heard, f"{kind} in phase {heard.phase}", frame)
        if kind not in ("snapshot", "update", "log", "gap", "live", "end"):
            self.problem("error", heard, f"an {kind}", frame)
            return
        getattr(self, f"_{kind}")(heard, frame)
        if "cursor" in frame:
            heard.cursor = frame["cursor"]
            if int(frame["cursor"].rsplit(".", 1)[1]) != heard.position:
                self.problem("cursor", heard, "the cursor's offset is not where the log stands", frame)

    def _state(self, heard: Heard, frame: Frame, *, strict: bool) -> None:
        job = frame["job"]
        # A node whose link is away knows less than a client that comes from another one: counted by itself.
        if frame["type"] == "snapshot":
            heard.ahead = job["attempt"] < heard.attempt or int(job["cursor"].split(".")[1]) < heard.version
        back = "behind" if heard.ahead else "version back"
        if heard.ahead and self.forgets:
            return  # the store itself has gone back
        # The cursor of a snapshot of an ended job stands one below the end, which is still to come.
        version = int(job["cursor"].split(".")[1])
        if version < heard.version or (strict and version == heard.version):
            self.problem(back, heard, f"the version went back to {version} in {job['state']}", frame)
        if job["attempt"] < heard.attempt:
            self.problem(back, heard, f"the attempt went back from {heard.attempt} to {job['attempt']}", frame)
        if job["id"] != heard.job_id:
            self.problem("order", heard, f"of another job: {job['id']}", frame)
        heard.version = max(heard.version, int(frame["cursor"].split(".")[1]))
        heard.attempt = max(heard.attempt, job["attempt"])

    def _snapshot(self, heard: Heard, frame: Frame) -> None:
        heard.phase = "replay"
        wanted = "fresh" if heard.cursor is None else "resumed"
        if frame["how"] == "reset":
            heard.resets += 1
            heard.position = frame["log_from"] - 1
            heard.entries = {offset: entry for offset, entry in heard.entries.items() if offset <= heard.position}
        if frame["how"] != wanted and not (self.forgets and frame["how"] == "reset"):
            self.problem("reset", heard, f"a snapshot that is not {wanted} (held {heard.cursor})", frame)
        heard.resumes += frame["how"] == "resumed"
        self._state(heard, frame, strict=False)

    def _update(self, heard: Heard, frame: Frame) -> None:
        if frame["job"]["state"] in ENDED:
            self.problem("order", heard, "a terminal state in an update", frame)
        if heard.phase != "live":
            self.problem("order", heard, f"an update in phase {heard.phase}", frame)
        self._state(heard, frame, strict=True)

    def _log(self, heard: Heard, frame: Frame) -> None:
        first, entries = frame["first"], frame["entries"]
        if first != heard.position + 1 or not entries:
            self.problem("twice" if first <= heard.position else "hole", heard, "the log does not go on", frame)
        heard.entries.update(enumerate(entries, first))
        heard.position = first + len(entries) - 1

    def _gap(self, heard: Heard, frame: Frame) -> None:
        if frame["from"] != heard.position + 1 or frame["to"] < frame["from"]:
            self.problem("hole", heard, "a gap that does not follow", frame)
        heard.position = frame["to"]
        heard.gaps.append((frame["from"], frame["to"], frame["why"]))

    def _live(self, heard: Heard, frame: Frame) -> None:
        if heard.phase != "replay":
            self.problem("order", heard, f"live in phase {heard.phase}", frame)
        heard.phase = "live"

    def _end(self, heard: Heard, frame: Frame) -> None:
        if heard.phase != "live":
            self.problem("order", heard, f"an end in phase {heard.phase}", frame)
        heard.phase = "ended"
        heard.ends.append(frame)
        if len(heard.ends) > 1 or frame["job"]["state"] not in ENDED:
            self.problem("end twice", heard, f"end {len(heard.ends)}, state {frame['job']['state']}", frame)
        lost = self.forgets and frame["job"]["started_at"] is None  # set back to waiting, and cancelled there
        if frame["last"] != heard.position and not lost:
            self.problem("hole", heard, "the end came before the log was told", frame)
        self._state(heard, frame, strict=True)


class Feed:
    """A live list of jobs as told."""

    def __init__(self) -> None:
        self.jobs: dict[str, Frame] = {}
        self.counts: dict[str, int] = {}

    def take(self, frame: Frame) -> None:
        """A snapshot or an update of it."""
        if frame["type"] == "snapshot":
            self.jobs = {}
        for job in frame.get("jobs", ()):
            self.jobs[job["id"]] = job
        for gone in frame.get("gone", ()):
            self.jobs.pop(gone, None)
        if frame.get("counts") is not None:
            self.counts = {state: count for state, count in frame["counts"].items() if count}


class Reader:
    """One client over all its connections."""

    def __init__(self, ledger: Ledger, codec: str, url: Callable[[], str], tag: str, rng: random.Random) -> None:
        self.ledger = ledger
        self.feed = Feed()
        self.losses = 0
        self.hop_s: float | None = None  # it hangs up by itself after about so long, again and again
        self._codec = codec
        self._url = url
        self._tag = tag
        self._rng = rng
        self._numbers: dict[int, Heard] = {}
        self._wanted: list[Heard] = []
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None
        self.welcomed = False

    def start(self) -> None:
        """Connect, and again after every loss."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Hang up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def watch(self, job_ids: Sequence[str]) -> None:
        """Watch these too, from now on."""
        new = [Heard(job_id) for job_id in job_ids if job_id not in self.ledger.jobs]
        for heard in new:
            self.ledger.jobs[heard.job_id] = heard
        self._wanted += new
        if self.welcomed:
            with suppress(OSError, RuntimeError, aiohttp.ClientError):
                await self._send([self._subscribe(heard) for heard in new])

    @property
    def owed(self) -> list[Heard]:
        """Jobs whose end it does not know."""
        return [heard for heard in self._wanted if not heard.ends and not heard.unknown]

    def _subscribe(self, heard: Heard) -> Frame:
        number = len(self._numbers) + 1
        self._numbers[number] = heard
        heard.phase = "opening"
        frame = {"type": "subscribe", "sub": number, "job": heard.job_id, "log": "all", "rate": 20}
        return frame if heard.cursor is None else {**frame, "after": heard.cursor}

    async def _run(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    await self._connection(session)
                except (OSError, aiohttp.ClientError, TimeoutError):
                    pass
                finally:
                    self.welcomed = False
                self.losses += 1
                await asyncio.sleep(self._rng.uniform(0, BACK_S))

    async def _connection(self, session: aiohttp.ClientSession) -> None:
        self._numbers, self.ledger.stale = {}, False
        timeout = aiohttp.ClientWSTimeout(ws_close=0.05)
        connecting = session.ws_connect(
            f"{self._url()}/api/stream",
            protocols=[f"windsock.v1.{self._codec}"],
            timeout=timeout,
            max_msg_size=0,
            compress=0,
        )
        async with asyncio.timeout(OPEN_S):
            self._socket = socket = await connecting
        try:
            feed = {"type": "subscribe", "sub": FEED, "feed": {"tag": self._tag}, "limit": 200, "rate": 20}
            subscribes = [self._subscribe(heard) for heard in self.owed]
            await self._send([{"type": "hello", "subscribe": [feed, *subscribes]}])
            await self._listen(socket)
        finally:
            await socket.close()

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        loop = asyncio.get_running_loop()
        until = None if self.hop_s is None else loop.time() + self._rng.uniform(0.2, 2) * self.hop_s
        while until is None or loop.time() < until:
            message = await socket.receive(DEAD_S)
            if message.type is aiohttp.WSMsgType.BINARY:
                frames = msgpack.unpackb(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                frames = json.loads(message.data)
            else:
                return
            await self._take(frames)

    async def _take(self, frames: list[Frame]) -> None:
        for frame in frames:
            number, kind = frame.get("sub"), frame["type"]
            if not self.welcomed and kind not in ("welcome", "bye"):
                self.ledger.problems.append(f"order: {self.ledger.name}: {kind} before the welcome")
            if number == FEED:
                self.feed.take(frame)
            elif number is not None:
                self.ledger.take(self._numbers[number], frame)
            elif kind == "welcome":
                self.welcomed = True
                # what was wished for between the hello and the welcome
                await self._send([self._subscribe(heard) for heard in self.owed if heard not in self._numbers.values()])
            elif kind in ("stale", "fresh"):
                self.ledger.stale = kind == "stale"
            elif kind == "error":
                self.ledger.problems.append(f"error: {self.ledger.name}: {frame}")

    async def _send(self, frames: list[Frame]) -> None:
        if not frames:
            return
        assert self._socket is not None
        if self._codec == "msgpack":
            await self._socket.send_bytes(msgpack.packb(frames))
        else:
            await self._socket.send_str(json.dumps(frames))
