"""One process: what it owns, and the order in which it starts, drains and stops.

Start: private Redis → broker → (its owner takes back what the last one left) → link → worker → beat.
Stop is the same backwards: the beat goes on until the jobs have ended or were given back, Redis is shut down last.
"""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Any

from server.alarm import Alarm
from server.board import Board
from server.broker import Beat, Broker, Link, Ticker
from server.broker.embedded import EmbeddedRedis, alive, join
from server.broker.record import unpack
from server.broker.ticker import Service
from server.errors import StartupError, Unavailable, WindsockError
from server.gathering import Gathering
from server.hearing import hear
from server.hub import Hub
from server.inquiring import Inquiring
from server.lane import served
from server.metrics import Metrics
from server.opening import open_broker
from server.queue import Queue
from server.registry import Registry
from server.settings import Settings
from server.timetable import Timetable
from server.version import __version__
from server.worker import Worker

log = logging.getLogger("windsock.node")
STOP_REDIS_S = 10.0
DEAF_BEATS = 3
OPEN_S = 10.0  # how long a shared Redis may take to be there at start


class Node:
    """Owns the parts of a process and wires them.

    Duties in call order: `start`, `ready`, `drain`, `stop`.
    """

    def __init__(self, settings: Settings, registry: Registry, *, serves: bool, incarnation: str | None = None) -> None:
        self.settings = settings
        self.registry = registry
        self.id = f"{settings.name}-{incarnation or secrets.token_hex(4)}"  # the worker's id too
        self._serves = serves  # HTTP and WebSocket: it needs every event
        self._embedded: EmbeddedRedis | None = None
        self._ticker: Ticker | None = None
        self._link: Link | None = None
        self.worker: Worker | None = None
        self.metrics = Metrics()
        self._started_at = time.time_ns() // 1_000_000
        self._beat: tuple[Beat, float] | None = None  # the last one and when it came
        self._away: WindsockError | None = None  # why the last beat failed
        self._unheard = 0  # own beats that did not come back through the link
        self._lateness_s = 0.0  # of the loop, at the last beat
        self.alarm = Alarm(settings, self.metrics)
        self.draining = False
        self.clients: Callable[[], int] = lambda: 0
        self.children: Callable[[], list[dict[str, Any]]] = list  # worker processes; called from the beat's thread too
        self.on_worn: Callable[[], None] = lambda: None  # the worker has run as many jobs as it should

    async def start(self) -> None:
        """Start all parts; a failed start closes what was opened.

        Raises:
            StartupError: what is wrong and what to do.
        """
        try:
            await self._open_broker()
            await self._open_rooms()
        except BaseException:
            await self.stop()
            raise

    async def _open_broker(self) -> None:
        self.broker = Broker(await self._redis_url(), self.settings)
        await open_broker(self.broker, self.settings, OPEN_S)
        if self._embedded is not None:
            await self._inherit()

    async def _redis_url(self) -> str:
        if self.settings.redis:
            return self.settings.redis
        if not self._serves:
            return await join(self.settings)
        self._embedded = embedded = EmbeddedRedis(self.settings)
        self.metrics.read_one("windsock_redis_restarts_total", lambda: embedded.restarts)
        await embedded.start()
        return embedded.url

    async def _inherit(self) -> None:
        """What the last owner left is taken back at once; workers of this machine that live keep their jobs."""
        for process, described in (await self.broker.nodes()).items():
            if not alive(described.get("pid")):  # else it joined and outlived the server; if it hangs, its lease ends
                await self.take_back(process)

    async def take_back(self, process: str) -> None:
        """Take back at once what a process held that is gone.

        Raises:
            Unavailable: Redis does not answer.
        """
        if taken := await self.broker.rescue(process):
            log.warning("%d jobs of %s, which was killed, are taken back", taken, process)

    async def _open_rooms(self) -> None:
        self.hub = Hub(self.broker, self.settings, self.metrics.traffic)
        self.asking = Inquiring(self.id, self.broker.inquiry, self.settings.answer_s)
        self.board = Board(self.hub, self.broker, self.describe)
        self.queue = Queue(self.broker, self.hub, self.registry, self.settings, self.metrics, self.id)
        self.queue.submitting.refusing = self._refusing
        self._timetable = Timetable(self.broker, self.queue.submitting, self.registry, self.metrics)
        if self.settings.worker:
            gathering = Gathering(self.broker, self.queue.submitting, self.settings)
            self.worker = Worker(self.id, self.broker, self.registry, self.settings, self.metrics, gathering)
            self.worker.on_worn = self.on_worn
            self.queue.submitting.expecting = self.worker.expecting
        keys, linked = self.broker.keys, asyncio.Event()
        channels = [keys.worker(self.id), *([keys.events] if self._serves else [])]

        def up() -> None:
            linked.set()
            self._on_up()

        self._link = link = Link(self.broker.connector, channels, self._on_message, up, self._on_down)
        self.metrics.read_one("windsock_link_up", lambda: link.up)
        self.metrics.read_one("windsock_link_losses_total", lambda: link.losses)
        self._link.start()
        self.hub.start()
        try:
            async with asyncio.timeout(OPEN_S):
                await linked.wait()
        except TimeoutError:
            raise StartupError(f"cannot subscribe to {', '.join(channels)}: {self._link.why or 'no answer'}") from None
        self._start_beat()
        self.alarm.start(self.worker)
        if self.worker is not None:
            await self.worker.start()
        self._timetable.start()

    def _start_beat(self) -> None:
        loop = asyncio.get_running_loop()

        def hand_over(call: Callable[..., None], *arguments: Any) -> None:
            try:
                loop.call_soon_threadsafe(call, *arguments)
            except RuntimeError:  # the loop has closed under a thread that was slow to stop
                log.info("a beat came after the end")

        self._ticker = ticker = Ticker(
            self.broker.connector,
            self.broker.keys,
            self.settings,
            self.id,
            self.describe,
            Service(self.settings.queues, served(self.registry, self.settings)) if self.worker else Service((), ()),
            lambda beat: hand_over(self._on_beat, beat, time.monotonic()),
            lambda reason: hand_over(self._on_lost, reason),
        )
        ticker.on_asked = self.worker.insight.from_beat if self.worker is not None else None
        self.metrics.read_one("windsock_jobs_rescued_total", lambda: ticker.rescued)
        self.metrics.read_one("windsock_loop_lag_seconds", lambda: max(0.0, self._lateness_s))
        ticker.start()

    # what comes in

    def _on_message(self, channel: str, data: bytes) -> None:
        if channel == self.broker.keys.events:
            self.hub.on_message(data)
            return
        kind, what = unpack(data)
        self._unheard = 0
        if kind == b"answer":
            self.asking.on_answer(*what)
        elif self.worker is not None:
            hear(self.worker, kind, what)

    def _on_up(self) -> None:
        self._unheard = 0
        self.hub.on_up()
        if self.worker is not None:
            self.worker.on_up()

    def _on_down(self, why: str) -> None:
        self.hub.on_down(why)
        if self.worker is not None:
            self.worker.on_doubt()

    def _on_beat(self, beat: Beat, sent: float) -> None:
        now = time.monotonic()
        self._lateness_s = now - sent
        self._beat = (beat, now)
        self._away = None
        for (queue, task, state), count in beat.ended.items():
            self.metrics.job(task, queue).add_ends(state, count)
        if beat.store != self.broker.store:
            was, self.broker.store = self.broker.store, beat.store
            log.warning("the store is another one (%s, was %s): its data was lost or replaced", beat.store, was)
            self.hub.resync()
        if self.worker is not None:
            self.worker.on_beat(beat)
        if self._lateness_s < self.settings.beat_s:  # after a stall the beats come first, and what was heard later
            self._unheard += 1
        if self._unheard > DEAF_BEATS and self._link is not None and self._link.up:
            self._unheard = 0
            self._link.suspect(f"{DEAF_BEATS} beats were not heard")

    def _on_lost(self, reason: WindsockError) -> None:
        if self._away is None:
            log.warning("the beat does not get through: %s", reason)
            self.hub.on_down(reason.message)
            if self._link is not None:
                self._link.suspect("the beat does not get through")  # when it is back, all is read anew
        self._away = reason
        if self.worker is not None:
            self.worker.on_doubt()

    # how it stands

    def ready(self) -> Unavailable | None:
        """Why this node can take no work now; None when it can."""
        if self.draining:
            return Unavailable("this node is draining", after_s=5.0)
        if self._away is not None:
            return Unavailable(self._away.message)
        patience_s = 2 * self.settings.beat_s + self.settings.redis_timeout_s
        if self._beat is None or time.monotonic() - self._beat[1] > patience_s:
            return Unavailable("Redis has not answered for a while")
        if self._beat[0].full:
            return Unavailable("Redis is full: raise its maxmemory or let ended jobs go sooner (keep_ended)")
        if self._link is not None and not self._link.up:
            return Unavailable("the Pub/Sub link to Redis is down")
        return self.queue.submitting.turned_away(within_s=2 * self.settings.beat_s)

    def _refusing(self) -> Unavailable | None:
        return Unavailable("this node is draining", after_s=5.0) if self.draining else None

    def describe(self) -> dict[str, Any]:
        """This process for the list of nodes. Called from the beat's thread: reads only."""
        return {
            "id": self.id,
            "name": self.settings.name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": __version__,
            "redis_version": self.broker.version,
            "started_at": self._started_at,
            "serves": self._serves,
            "clients": self.clients(),
            "subscriptions": sum(self.metrics.traffic.subscriptions.values()),
            **self.alarm.describe(self._lateness_s),
            "draining": self.draining,
            "worker": self.worker.describe() if self.worker is not None else None,
            "children": self.children(),
        }

    async def nodes(self) -> list[dict[str, Any]]:
        """All processes alive as they described themselves at their last beat, and this one as it is now.

        Raises:
            Unavailable: Redis does not answer.
        """
        return list({**await self.broker.nodes(), self.id: self.describe()}.values())

    # the end

    async def drain(self, grace_s: float) -> None:
        """Take no more work; let what runs end, then give it back."""
        self.draining = True
        if self.worker is not None:
            await self.worker.drain(grace_s)

    async def stop(self) -> None:
        """Stop all parts, the last started first."""
        self.draining = True
        if self.worker is not None:
            await self.worker.stop()
        ticker, self._ticker = self._ticker, None  # a failed start is stopped twice
        if ticker is not None:
            await asyncio.to_thread(ticker.stop)
            await self._farewell()
        if self.worker is not None:
            await self.worker.close()  # after the farewell: what is slow to close keeps no jobs from others
        self.alarm.stop()
        if self._link is not None:
            await self._link.stop()
        if hasattr(self, "hub"):
            await asyncio.gather(self._timetable.stop(), self.queue.groups.stop())
            await self.board.stop()
            await self.hub.stop()
        if hasattr(self, "broker"):
            await self.broker.close()
        if self._embedded is not None:
            await self._embedded.stop(STOP_REDIS_S)

    async def _farewell(self) -> None:
        """Leave nothing that others would have to wait for."""
        try:
            async with asyncio.timeout(2.0):
                for job_id in self.worker.held if self.worker is not None else ():
                    await self.broker.release(self.id, job_id)  # given back: uses up no attempt
                await self.broker.rescue(self.id)
        except (WindsockError, TimeoutError) as error:
            log.info("no farewell: %s", str(error) or "no answer in time")
