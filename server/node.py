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

from server.board import Board
from server.broker import Beat, Broker, Link, Ticker
from server.broker.connection import shown
from server.broker.embedded import EmbeddedRedis, alive, join
from server.broker.record import unpack
from server.broker.ticker import Service
from server.errors import StartupError, Unavailable, WindsockError
from server.hub import Hub
from server.metrics import Metrics
from server.queue import Queue
from server.registry import Registry
from server.settings import Settings
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

    def __init__(self, settings: Settings, registry: Registry, *, serves: bool) -> None:
        self.settings = settings
        self.registry = registry
        self.id = f"{settings.name}-{secrets.token_hex(4)}"  # name and incarnation; the worker's id too
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
        self.draining = False
        self.clients: Callable[[], int] = lambda: 0

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
        try:
            async with asyncio.timeout(OPEN_S):
                await self._until_open()
        except TimeoutError:
            if self._away is not None:
                raise StartupError(f"{self._away.message} (tried for {OPEN_S:g} s)") from None
            where = shown(self.settings.redis or "the private redis-server")
            raise StartupError(f"no answer from Redis at {where} within {OPEN_S:g} s") from None
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

    async def _until_open(self) -> None:
        while True:
            try:
                return await self.broker.open()
            except Unavailable as error:
                if self._away is None:
                    log.warning("waiting for Redis: %s", error)
                self._away = error
                await asyncio.sleep(0.2)

    async def _inherit(self) -> None:
        """What the last owner left is taken back at once; workers of this machine that live keep their jobs."""
        for process, described in (await self.broker.nodes()).items():
            if alive(described.get("pid")):
                continue  # a worker that joined and outlived the server; if it does not beat, its lease runs out
            taken = await self.broker.rescue(process)
            if taken:
                log.warning("%d jobs of %s, which was killed, are taken back", taken, process)

    async def _open_rooms(self) -> None:
        self.hub = Hub(self.broker, self.settings, self.metrics.traffic)
        self.board = Board(self.hub, self.broker, self.describe)
        self.queue = Queue(self.broker, self.hub, self.registry, self.settings, self.metrics)
        self.queue.refusing = self._refusing
        if self.settings.worker:
            self.worker = Worker(self.id, self.broker, self.registry, self.settings, self.metrics)
        channels = [self.broker.keys.worker(self.id)]
        if self._serves:
            channels.append(self.broker.keys.events)
        linked = asyncio.Event()

        def up() -> None:
            linked.set()
            self._on_up()

        self._link = link = Link(self.broker.connector, channels, self._on_message, up, self._on_down)
        self.metrics.read_one("windsock_link_up", lambda: link.up)
        self.metrics.read_one("windsock_link_losses_total", lambda: link.losses)
        self._link.start()
        self.hub.start()
        try:
            await asyncio.wait_for(linked.wait(), OPEN_S)
        except TimeoutError:
            raise StartupError(f"cannot subscribe to {', '.join(channels)}: {self._link.why or 'no answer'}") from None
        self._start_beat()
        if self.worker is not None:
            await self.worker.start()

    def _start_beat(self) -> None:
        loop = asyncio.get_running_loop()

        def hand_over(call: Callable[..., None], *arguments: Any) -> None:
            try:
                loop.call_soon_threadsafe(call, *arguments)
            except RuntimeError:  # the loop has closed under a thread that was slow to stop
                log.info("a beat came after the end")

        runs_jobs = self.worker is not None
        self._ticker = ticker = Ticker(
            self.broker.connector,
            self.broker.keys,
            self.settings,
            self.id,
            self.describe,
            Service(self.settings.queues if runs_jobs else (), self.registry.names if runs_jobs else ()),
            lambda beat: hand_over(self._on_beat, beat, time.monotonic()),
            lambda reason: hand_over(self._on_lost, reason),
        )
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
        if self.worker is not None and kind == b"claim":
            self.worker.on_wake(what.decode())
        elif self.worker is not None and kind == b"cancel":
            self.worker.on_cancel(what.decode())
        elif self.worker is not None and kind == b"watch":
            self.worker.on_watch([job_id.decode() for job_id in what])

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
        if beat.store != self.broker.store:
            log.warning(
                "the store is another one (%s, was %s): its data was lost or replaced",
                beat.store,
                self.broker.store,
            )
            self.broker.store = beat.store
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
        if (
            self._beat is None
            or time.monotonic() - self._beat[1] > 2 * self.settings.beat_s + self.settings.redis_timeout_s
        ):
            return Unavailable("Redis has not answered for a while")
        if self._beat[0].full:
            return Unavailable("Redis is full: raise its maxmemory or let ended jobs go sooner (keep_ended)")
        if self._link is not None and not self._link.up:
            return Unavailable("the Pub/Sub link to Redis is down")
        return self.queue.turned_away(within_s=2 * self.settings.beat_s)

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
            "loop_lag_ms": round(self._lateness_s * 1000, 1),
            "draining": self.draining,
            "worker": self.worker.describe() if self.worker is not None else None,
        }

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
        if self._ticker is not None:
            await asyncio.to_thread(self._ticker.stop)
            await self._farewell()
        if self._link is not None:
            await self._link.stop()
        if hasattr(self, "hub"):
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
