"""Everything together: one store, two nodes, workers, three clients, and a clock that goes on when it is told to."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import redis

from delivering.client import Watching
from delivering.clock import StillLoop, standing
from delivering.place import Place
from delivering.stage import Act, Stage
from delivering.truth import Truth
from server.broker.values import RECOVERY_BEATS
from server.codec import JSON, MSGPACK
from server.settings import Settings

UNSENT = 15
LOUD = logging.getLogger("windsock")
STEP_S = 0.25  # messages are delivered at least so often
TURNS = 300
MANY = 100
MOST_CALLS = 2000


class Complaints(logging.Handler):
    """Mistakes of the server's own, from its log."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        self.lines.append(self.format(record))


class World:
    """Owns all parts. Every change is made by `do`, which lets everything come to rest afterwards."""

    def __init__(self, url: str, namespace: str) -> None:
        self.loop = StillLoop()
        self._standing = contextlib.ExitStack()
        self._standing.enter_context(standing(self.loop.time))
        self._complaints = Complaints()
        LOUD.addHandler(self._complaints)
        self.settings = Settings(
            redis=url,
            namespace=namespace,
            log_keep=24,
            unsent_entries=UNSENT,
            sent_entries=UNSENT,
            batch_bytes=8192,
            commands_per_s=1e6,
            commands_burst=10**6,
        )
        self.redis = redis.Redis.from_url(url, protocol=2)
        self.tag = "{" + namespace + "}"
        self.stage = Stage()
        self.truth = Truth(self.redis, self.tag, self.stage)
        self.places: list[Place] = []
        self.stopping: set[asyncio.Task[None]] = set()
        self._recovering_since: float | None = None  # by the loop's clock
        self._pubsub = self.redis.pubsub()
        self._pubsub.psubscribe(self.tag + ":*")
        assert self._pubsub.get_message(timeout=5)["type"] == "psubscribe"
        self.nodes = [self.start(serves=True) for _ in range(2)]
        self.start(serves=False)
        homes = (self.nodes[0], self.nodes[1], self.nodes[0])
        codecs = (MSGPACK, JSON, MSGPACK)
        self.clients = [
            Watching(f"c{i}", codec, self.truth, home)
            for i, (codec, home) in enumerate(zip(codecs, homes, strict=True))
        ]
        for client in self.clients:
            self.do(client.connect, client.home)

    def start(self, *, serves: bool) -> Place:
        """One more process."""
        place = Place(self.settings, self.stage.registry, serves=serves)
        self.loop.run_until_complete(place.start())
        self.places.append(place)
        return place

    @property
    def alive(self) -> list[Place]:
        """The processes that run."""
        return [place for place in self.places if place.alive]

    @property
    def workers(self) -> list[Place]:
        """Those of them that run jobs."""
        return [place for place in self.alive if place.node.worker is not None]

    # time and quiet

    def do(self, what: Callable[..., Any], *arguments: Any) -> None:
        """Call something on the loop, then let everything come to rest; no time passes."""

        async def call() -> None:
            answer = what(*arguments)
            if asyncio.iscoroutine(answer):
                await answer
            await self._flow()

        self.loop.run_until_complete(call())

    def leave(self, ending: Any) -> None:
        """Let a process end on its own."""

        def begin() -> None:
            task = self.loop.create_task(ending)
            self.stopping.add(task)
            task.add_done_callback(self.stopping.discard)

        self.do(begin)

    def wait(self, seconds: float) -> None:
        """Time goes on."""
        self.loop.run_until_complete(self._wait(seconds))

    def later(self, seconds: float, what: Callable[..., Any], *arguments: Any) -> None:
        """Do something after a while."""
        self.loop.call_later(seconds, what, *arguments)

    async def _wait(self, seconds: float) -> None:
        until = self.loop.now + seconds
        while self.loop.now < until:
            step = min(until, self.loop.now + STEP_S)
            while (due := self.loop.next_timer) is not None and due <= step:
                self.loop.now = max(self.loop.now, due)
                await self._settle()
            self.loop.now = step
            self._age()
            await self._flow()

    def _age(self) -> None:
        """What expires in the store does so by the clock of this world."""
        key = self.tag + ":recovering"
        if not self.redis.exists(key):
            self._recovering_since = None
        elif self._recovering_since is None:
            self._recovering_since = self.loop.now
            self.redis.persist(key)
        elif self.loop.now >= self._recovering_since + RECOVERY_BEATS * self.settings.beat_s:
            self.redis.delete(key)
            self._recovering_since = None

    async def _flow(self) -> None:
        for _ in range(TURNS):
            await self._settle()
            self._hear()
            self.truth.look()
            moved = sum([place.ear.deliver(10**9) for place in self.alive if not place.ear.slow])
            await self._settle()
            moved += sum([client.receive() for client in self.clients if not client.lags])
            if not moved:
                assert not self._complaints.lines, self._complaints.lines
                return
        raise AssertionError("it does not come to rest")

    async def _settle(self) -> None:
        """Until nothing can happen but by a message or by time."""
        quiet = turns = 0
        enough = sum(place.way.calls for place in self.places) + MOST_CALLS
        while quiet < 3:
            await asyncio.sleep(0)
            calling = any(place.way.under_way for place in self.places)
            quiet = 0 if self.loop.busy or calling else quiet + 1
            turns = 0 if calling else turns + 1
            if turns > MANY:  # a wait that rounding makes shorter than the clock can show
                self.loop.now += 1e-6
            assert turns < 100 * MANY, "it does not come to rest"
            assert sum(place.way.calls for place in self.places) < enough, "calls without end"

    def _hear(self) -> None:
        """What Redis has published goes to all links that are up."""
        mark = f"{self.tag}:mark"
        self.redis.publish(mark, b"")
        while (message := self._pubsub.get_message(timeout=5)) is not None:
            channel = message["channel"].decode()
            if channel == mark:
                return
            for place in self.alive:
                place.ear.publish(channel, message["data"])
        raise AssertionError("Redis does not answer")

    # faults

    def may_lose(self, *, harsh: bool) -> bool:
        """Whether a lost tail is one that is promised to be made good: what it takes is known to who lives.

        Not promised (docs/design/delivery.md): ends that nobody could tell again, and jobs that another worker claims
        before theirs has looked. Nor, unless `harsh`, attempts whose worker is gone too: another one gets their number.
        """
        workers, truth = self.workers, self.truth
        if not truth.can_lose or len(workers) > 1:
            return False
        if not all(any(worker.remembers(job_id) for worker in workers) for job_id in truth.ends_at_risk):
            return False
        orphans = [
            job_id
            for job_id in truth.attempts_at_risk
            if not truth.jobs[job_id].ended and not any(worker.holds(job_id) for worker in workers)
        ]
        # A link that is down already does not tell its worker that Redis went away once more.
        return (harsh or not orphans) and all(worker.ear.up for worker in workers)

    def lose_tail(self, down_s: float) -> None:
        """The store goes back to what it had; every connection to it breaks."""

        def lose() -> None:
            for place in self.alive:
                place.way.broke()
                place.ear.cut(down_s)
            self.truth.lose()

        self.do(lose)

    def heal(self) -> None:
        """No fault any more; there is a worker."""
        for place in self.alive:
            self.do(place.heal)
        if not self.workers:
            self.start(serves=False)
        for client in self.clients:
            client.lags = False
            if client.socket is None:
                self.do(client.connect, client.home)
            else:
                self.do(client.socket.drain)

    # the end

    def end_jobs(self) -> None:
        """All jobs end by themselves, and this is told."""
        for _ in range(20):
            for act in list(self.stage.acts):
                self.do(self._end, act)
            if all(job.ended for job in self.truth.jobs.values()):
                return
            self.wait(1.0)
        raise AssertionError(f"jobs do not end: {self.truth.jobs}")

    @staticmethod
    def _end(act: Act) -> None:
        if not act.end.done():
            act.end.set_result({"said": act.said})

    def close(self) -> None:
        """Stop all processes, and leave nothing in the store."""
        self.loop.run_until_complete(self._close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        LOUD.removeHandler(self._complaints)
        self._standing.close()
        self._pubsub.close()
        keys = self.redis.keys(self.tag + ":*")
        if keys:
            self.redis.delete(*keys)
        self.redis.close()
        self.loop.close()

    async def _close(self) -> None:
        for client in self.clients:
            if client.socket is not None:
                client.socket.close()
        for task in list(self.stopping):
            task.cancel()
        await asyncio.gather(*self.stopping, return_exceptions=True)
        for place in self.places:
            await place.kill()
