"""The beat of a process: a thread of its own with its own connection, because user code may block the loop.

Once a second it raises the process's counter, sees the others', promotes due jobs, learns what to do, and takes back
the jobs of workers whose counter stands still. No wall clock decides about that.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.exceptions import NoScriptError, RedisError

from server.broker.connection import Connector, refusal
from server.broker.keys import Keys
from server.broker.record import pack, unpack
from server.broker.script import script
from server.broker.values import RECOVERY_BEATS
from server.codec import MSGPACK
from server.errors import Unavailable, WindsockError
from server.settings import Settings

log = logging.getLogger("windsock.ticker")
PROMOTE = 500  # due jobs a beat
SWEEP = 100  # ended jobs forgotten by one script call
EVICT = 1000  # ended jobs a beat gives up for memory
RESCUE = 200  # jobs taken back by one script call
LOOK_AT_MEMORY = 5  # beats
ASK_AGAIN = 5  # beats until sentinels that did not answer are asked again
MIN_WAIT_S = 0.005


@dataclass(frozen=True, slots=True)
class Beat:
    """What one tick answered."""

    store: str  # name of the store
    seq: int  # number of its last message
    counters: dict[str, int]  # beats of all processes
    due_ms: int | None  # until the next scheduled job
    cancels: frozenset[str]  # jobs of this worker that were asked to end
    leased: frozenset[str]  # jobs this worker holds in the store's eyes
    enlisted: bool  # whether the store knows this worker
    work: bool  # whether jobs wait that this worker could run
    full: bool  # whether Redis refuses writes for want of memory
    overdue: int  # ended jobs over age or count
    felling: int = 0  # jobs with children that are still to be cancelled
    asked: Sequence[bytes] = ()  # packed questions about jobs of this worker
    ended: Mapping[tuple[str, str, str], int] = field(default_factory=dict)  # that no worker counts: queue, task, state


@dataclass(frozen=True, slots=True)
class Service:
    """What the worker of a process serves; both empty when it runs no jobs."""

    queues: Sequence[str]
    tasks: Sequence[str]


class Leases:
    """Who is alive, by counters that move. Pure: counters and a monotonic time go in.

    A counter unchanged for `lease_s` means lost, but only if our own looks came without a gap: after one (Redis away,
    machine asleep) every wait begins anew.
    """

    def __init__(self, lease_s: float, gap_s: float) -> None:
        self._lease_s = lease_s
        self._gap_s = gap_s
        self._seen: dict[str, tuple[int, float]] = {}
        self._looked: float | None = None

    def look(self, counters: Mapping[str, int], now: float) -> list[tuple[str, int]]:
        """The processes that are lost, with the counter they stand at."""
        if self._looked is None or now - self._looked > self._gap_s:
            self._seen.clear()
        self._looked = now
        lost = []
        seen: dict[str, tuple[int, float]] = {}
        for process, counter in counters.items():
            before, since = self._seen.get(process, (counter, now))
            seen[process] = (counter, since) if before == counter else (counter, now)
            if now - seen[process][1] >= self._lease_s:
                lost.append((process, counter))
        self._seen = seen
        return lost


class Ticker:
    """Beats until told to stop. `on_beat(beat)` and `on_lost(refusal)` run in its thread: they must hand over."""

    def __init__(
        self,
        connector: Connector,
        keys: Keys,
        settings: Settings,
        process_id: str,
        describe: Callable[[], dict[str, Any]],
        service: Service,
        on_beat: Callable[[Beat], None],
        on_lost: Callable[[WindsockError], None],
    ) -> None:
        self._connector = connector
        self._keys = keys
        self._settings = settings
        self._id = process_id
        self._describe = describe
        self._service = service
        self._on_beat = on_beat
        self._on_lost = on_lost
        self._leases = Leases(settings.lease_s, max(2.5 * settings.beat_s, settings.lease_s / 2))
        self._client: redis.Redis | None = None
        self._stopping = threading.Event()
        self._beats = 0
        self._seen = ("", 0)  # name and sequence number of the store at the last beat
        self.on_asked: Callable[[bytes], tuple[str, int, bytes] | None] | None = None  # called in the thread
        self.rescued = 0  # jobs of lost processes taken back
        self._evict = False
        self._thread = threading.Thread(target=self._run, name="windsock-beat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no more; returns when the thread has ended."""
        self._stopping.set()
        self._thread.join(timeout=2 * self._settings.redis_timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            wait_s = self._settings.beat_s
            try:
                self._follow()
                beat = self._tick()
                if beat.due_ms is not None:
                    wait_s = min(wait_s, beat.due_ms / 1000)
                self._on_beat(beat)
                self._reply(beat)
                self._rescue(beat)
                self._fell(beat)
                self._sweep(beat)
            except (RedisError, OSError, Unavailable) as error:
                self._fail(error)
            except Exception:
                log.exception("a beat failed")
            self._stopping.wait(max(MIN_WAIT_S, wait_s - (time.monotonic() - started)))
        self._close()

    def _reply(self, beat: Beat) -> None:
        """Answer for a loop that is blocked."""
        for asked in beat.asked:
            if self.on_asked is not None and (answer := self.on_asked(asked)) is not None:
                self._call("answer", *answer)

    def _fail(self, error: Exception) -> None:
        self._close()
        try:
            reason = error if isinstance(error, WindsockError) else refusal(error)
        except RuntimeError:
            log.exception("a beat failed")
            return
        if not self._stopping.is_set():
            self._on_lost(reason)

    def _follow(self) -> None:
        """Leave a server that is the primary no longer though it may believe so; all connections follow the beat.

        Raises:
            Unavailable: it was left; the next beat goes to the new one.
        """
        if self._client is None:
            return
        if not self._connector.silent or self._beats % ASK_AGAIN == 0:
            self._connector.look()
        if self._connector.astray(self._client):
            raise Unavailable("the sentinels name another primary; going there")

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _call(self, name: str, *arguments: bytes | str | float) -> Any:
        if self._client is None:
            self._client = self._connector.connect_blocking()
        try:
            return self._client.evalsha(script(name).sha, 1, self._keys.tag, *arguments)
        except NoScriptError:
            return self._client.eval(script(name).source, 1, self._keys.tag, *arguments)  # type: ignore[arg-type]

    def _tick(self) -> Beat:
        settings = self._settings
        reply = self._call(
            "tick",
            self._id,
            MSGPACK.encode(self._describe()),
            secrets.token_hex(4),
            settings.keep_ended_s,
            settings.keep_ended,
            PROMOTE,
            pack(self._service.queues),
            pack(self._service.tasks),
            *self._seen,
            int(RECOVERY_BEATS * settings.beat_s * 1000),
        )
        self._beats += 1
        beat = _beat(unpack(reply))
        self._seen = (beat.store, beat.seq)
        return beat

    def _rescue(self, beat: Beat) -> None:
        for process, counter in self._leases.look(beat.counters, time.monotonic()):
            if process == self._id:
                continue
            left, total = 1, 0
            while left:
                code, requeued, ended, left = self._call("rescue", process, counter, RESCUE)
                total += requeued + ended
                self.rescued += requeued + ended
                if code == b"alive":
                    break
            else:
                log.warning("worker %s is lost; %d of its jobs were taken back", process, total)

    def _fell(self, beat: Beat) -> None:
        left, enough = beat.felling, time.monotonic() + self._settings.beat_s / 4
        while left and time.monotonic() < enough and not self._stopping.is_set():
            left = self._call("fell")

    def _sweep(self, beat: Beat) -> None:
        if self._beats % LOOK_AT_MEMORY == 1:
            self._evict = self._short_of_memory()
        if not (beat.overdue or self._evict):
            return
        settings = self._settings
        enough = time.monotonic() + settings.beat_s / 2  # the next beat must not be late: the rest goes after it
        evict, gone = (EVICT if self._evict else 0), SWEEP
        while gone == SWEEP and time.monotonic() < enough and not self._stopping.is_set():
            gone = self._call("sweep", settings.keep_ended_s, settings.keep_ended, evict, SWEEP)
            evict = max(0, evict - gone)

    def _short_of_memory(self) -> bool:
        assert self._client is not None
        info: Mapping[str, Any] = self._client.info("memory")
        limit = int(info.get("maxmemory", 0))
        return limit > 0 and int(info["used_memory"]) * 100 > limit * self._settings.keep_below_percent


def _beat(reply: Sequence[Any]) -> Beat:
    store, seq, beats, due, cancels, leased, enlisted, work, full, overdue, felling, asked, uncounted = reply
    return Beat(
        store=store.decode(),
        seq=seq,
        counters={beats[i].decode(): int(beats[i + 1]) for i in range(0, len(beats), 2)},
        due_ms=None if due is False else int(due),
        cancels=frozenset(one.decode() for one in cancels),
        leased=frozenset(one.decode() for one in leased),
        enlisted=enlisted,
        work=work,
        full=full,
        overdue=overdue,
        felling=felling,
        asked=asked,
        ended={_names(uncounted[i]): int(uncounted[i + 1]) for i in range(0, len(uncounted), 2)},
    )


def _names(field: bytes) -> tuple[str, str, str]:
    queue, task, state = field.decode().split("/")
    return queue, task, state
