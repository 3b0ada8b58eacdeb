"""What the tests of the store share: a broker with shorthands, a look at the bare keys, a redis-server of one's own."""

import contextlib
import secrets
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgpack
import redis
from conftest import redis_program
from tornado.ioloop import IOLoop
from ulid import LaxMonotonicPolicy, ULIDGenerator

from server.broker import Beat, Broker, Change, Lease, NewJob, Report, ReportAnswer, Submitted, Verdict
from server.broker.record import pack, unpack
from server.broker.script import script
from server.broker.ticker import _beat
from server.codec import MSGPACK
from server.job import Job, JobState
from server.reading import piece_runs
from server.settings import Settings
from server.topic import Gap, Run

WRITTEN_AT = time.time_ns() // 1_000_000  # of all entries, ms: young enough to be kept
_ids = ULIDGenerator(policy=LaxMonotonicPolicy())
TASKS = ("add", "mul", "sub")
LANE = "lane"  # the signature of every worker here
OUTCOME = MSGPACK.encode(3)


def new_id() -> str:
    """An id that sorts behind all before it."""
    return str(_ids.generate())


def new_job(task: str = "add", **given: Any) -> NewJob:
    """A submission with what is given, the rest plain."""
    plain: dict[str, Any] = {
        "id": new_id(),
        "queue": "default",
        "args": MSGPACK.encode({"a": 1}),
        "priority": 0,
        "max_attempts": 3,
        "tags": (),
        "timeout_s": None,
        "delay_s": None,
        "at": None,
    }
    return NewJob(task=task, **{**plain, **given})


def entry(text: str) -> bytes:
    """A log entry as runners pack it."""
    return MSGPACK.encode({"at": WRITTEN_AT, "level": "info", "text": text})


def report_of(lease: Lease, first: int = 1, texts: Sequence[str] = (), **given: Any) -> Report:
    """What a runner says of a job it holds."""
    plain: dict[str, Any] = {"progress": None, "warnings": None, "entries": [entry(text) for text in texts]}
    return Report(lease.id, lease.token, first=first, **{**plain, **given})


class Store:
    """A broker in a namespace of its own, with shorthands for calls and a look at the bare keys."""

    def __init__(self, broker: Broker, settings: Settings, client: redis.Redis) -> None:
        self.broker = broker
        self.settings = settings
        self.redis = client
        self.tag = broker.keys.tag

    # the road of a job

    async def submit(self, task: str = "add", **given: Any) -> Job:
        """Submit one."""
        (answer,) = await self.broker.submit([new_job(task, **given)])
        assert isinstance(answer, Submitted), answer
        return answer.job

    async def claim(
        self,
        worker: str = "w1",
        count: int = 1,
        request: str | None = None,
        queues: Sequence[str] = ("*",),
        tasks: Sequence[str] = TASKS,
        limits: Mapping[str, int] = MappingProxyType({}),
    ) -> list[Lease]:
        """Claim for a worker."""
        return await self.broker.claim(worker, request or secrets.token_hex(8), count, queues, tasks, LANE, limits)

    async def running(self, worker: str = "w1", **given: Any) -> Lease:
        """A job that a worker holds."""
        job = await self.submit(**given)
        (lease,) = await self.claim(worker)
        assert lease.id == job.id
        return lease

    async def report(self, lease: Lease, first: int = 1, texts: Sequence[str] = (), **given: Any) -> ReportAnswer:
        """Report one."""
        (answer,) = await self.broker.report([report_of(lease, first, texts, **given)])
        return answer

    async def finish(
        self,
        lease: Lease,
        state: str = "succeeded",
        outcome: bytes | None = OUTCOME,
        delay_s: float = 0.0,
        **given: Any,
    ) -> ReportAnswer:
        """End one."""
        verdict = Verdict(report_of(lease, **given), JobState(state), outcome, len(outcome or b"") or None, delay_s)
        (answer,) = await self.broker.finish([verdict])
        return answer

    async def ended(self, state: str = "succeeded", **given: Any) -> Job:
        """A job that has ended."""
        lease = await self.running(**given)
        assert (await self.finish(lease, state)).code == "ok"
        return await self.job(lease.id)

    async def job(self, job_id: str) -> Job:
        """As it is now."""
        _, (job,) = await self.broker.fetch([job_id])
        assert job is not None
        return job

    async def enlist(self, *workers: str, tasks: Sequence[str] = TASKS) -> None:
        """Make workers known, that serve some tasks on every queue."""
        for worker in workers:
            await self.broker.enlist(worker, [(LANE, [f"*/{task}" for task in tasks])])

    # beneath the broker

    def run(self, name: str, *arguments: Any) -> Any:
        """Run a script by its name; the bare reply."""
        return self.redis.eval(script(name).source, 1, self.tag, *arguments)

    def tick(self, process: str = "p1", *, keep_s: float = 1e9, keep: int = 10**9, tasks: Sequence[str] = ()) -> Beat:
        """One beat of a process."""
        described = MSGPACK.encode({"id": process})
        reply = self.run("tick", process, described, "store", keep_s, keep, 100, pack(["*"]), pack(list(tasks)))
        return _beat(unpack(reply))

    def sweep(self, *, keep_s: float = 1e9, keep: int = 10**9, evict: int = 0, most: int = 100) -> int:
        """One call of the sweep."""
        return int(self.run("sweep", keep_s, keep, evict, most))

    def copy(self) -> dict[bytes, tuple[bytes, int]]:
        """All that is stored now: dumps, and how long (ms) they last."""
        keys = list(self.redis.scan_iter(f"{self.tag}:*"))
        return {key: (dumped, max(0, self.redis.pttl(key))) for key in keys if (dumped := self.redis.dump(key))}

    def put_back(self, copy: Mapping[bytes, tuple[bytes, int]]) -> None:
        """The store is as it was when the copy was made; whoever uses it meanwhile sees that in one step."""
        with self.redis.pipeline() as all_at_once:
            for key in self.redis.scan_iter(f"{self.tag}:*"):
                all_at_once.delete(key)
            for key, (dumped, lasts_ms) in copy.items():
                all_at_once.restore(key, lasts_ms, dumped)
            all_at_once.execute()

    def key(self, name: str) -> str:
        """A key of this namespace."""
        return f"{self.tag}:{name}"

    def ids(self, name: str) -> set[str]:
        """The members of a set or sorted set."""
        kind = self.redis.type(self.key(name))
        if kind == b"none":
            return set()
        members = self.redis.zrange(self.key(name), 0, -1) if kind == b"zset" else self.redis.smembers(self.key(name))
        return {one.decode() for one in members}

    @contextlib.contextmanager
    def listening(self) -> Iterator["Heard"]:
        """What is published in this namespace from here on."""
        pubsub = self.redis.pubsub()
        pubsub.psubscribe(f"{self.tag}:*")
        assert pubsub.get_message(timeout=5)["type"] == "psubscribe"
        yield Heard(self, pubsub)
        pubsub.close()


class Heard:
    """Messages of a namespace, read when they are asked for."""

    def __init__(self, store: Store, pubsub: Any) -> None:
        self._store = store
        self._pubsub = pubsub

    def messages(self) -> list[tuple[str, bytes]]:
        """Channel (without the namespace) and data of all that was published until now."""
        self._store.redis.publish(self._store.key("mark"), b"")
        found: list[tuple[str, bytes]] = []
        while True:
            message = self._pubsub.get_message(timeout=5)
            channel = message["channel"].decode().removeprefix(self._store.tag + ":")
            if channel == "mark":
                return found
            found.append((channel, message["data"]))

    def changes(self) -> list[Change]:
        """All changes that were announced until now."""
        return [
            change
            for channel, data in self.messages()
            if channel == "events"
            for change in self._store.broker.changes(data)[1]
        ]


def opened(io_loop: IOLoop, settings: Settings) -> Iterator[Store]:
    """The body of a fixture: a store, closed again."""
    broker = Broker(settings.redis or "", settings)
    io_loop.run_sync(broker.open, timeout=10)
    client = redis.Redis.from_url(settings.redis or "", protocol=2)
    yield Store(broker, settings, client)
    client.close()
    io_loop.run_sync(broker.close, timeout=10)


@contextlib.contextmanager
def own_redis(*options: str, socket: Path | None = None) -> Iterator[str]:
    """A redis-server that a test may do anything to; its URL."""
    folder = Path(tempfile.mkdtemp(prefix="windsock-own-"))
    path = socket or folder / "redis.sock"
    path.parent.mkdir(exist_ok=True)
    command = [redis_program(), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: _answers(path), 10)
        yield f"unix://{path}"
    finally:
        process.kill()
        process.wait(10)
        for used in {folder, path.parent}:
            shutil.rmtree(used, ignore_errors=True)


def _answers(path: Path) -> bool:
    with redis.Redis(unix_socket_path=str(path)) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def wait_for(wanted: Callable[[], Any], timeout_s: float = 5.0) -> Any:
    """What `wanted` answers as soon as it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := wanted()):
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)
    return found


def sets_as_they_should_be(client: redis.Redis, tag: str) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """All sets of jobs: as the jobs themselves say, and as they are stored."""
    should: dict[str, set[str]] = defaultdict(set)
    stored: dict[str, set[str]] = {}
    for key in client.scan_iter(f"{tag}:*", count=1000):
        kind, _, rest = key.decode().removeprefix(tag + ":").partition(":")
        if kind == "job":
            _file(should, rest, client.hgetall(key))
        elif kind in ("index", "ready", "scheduled", "leased", "ended"):
            members = client.smembers(key) if client.type(key) == b"set" else client.zrange(key, 0, -1)
            stored[key.decode().removeprefix(tag + ":")] = {one.decode() for one in members}
    return dict(should), stored


def _file(sets: dict[str, set[str]], job_id: str, fields: dict[bytes, bytes]) -> None:
    task, queue, tags, *more = msgpack.unpackb(fields[b"fixed"])
    state = fields[b"state"].decode()
    parents = [f"parent:{parent}" for parent in more[4:5]]
    for dimension in ("all", f"task:{task}", f"queue:{queue}", *(f"tag:{tag}" for tag in tags), *parents):
        sets[f"index:{state}:{dimension}"].add(job_id)
    if state == "queued":
        sets[f"ready:{queue}/{task}"].add(job_id)
        sets["ready"].add(f"{queue}/{task}")
    elif state == "scheduled":
        sets["scheduled"].add(job_id)
    elif state in ("running", "cancelling") and fields.get(b"tree") == b"group":
        return  # no worker holds it
    elif state in ("running", "cancelling"):
        sets[f"leased:{fields[b'worker'].decode()}"].add(job_id)
    else:
        sets["ended"].add(job_id)


async def told(store: Store, job_id: str, after: int = 0, most: int = 10_000) -> tuple[dict[int, Any], list[Any]]:
    """The log as a client is told of it: text by offset, and the gaps."""
    piece = await store.broker.log(job_id, after, most, 10**9)
    found = piece_runs(piece, after)
    entries = {
        run.first + i: one.value.get("text")
        for run in found
        if isinstance(run, Run)
        for i, one in enumerate(run.entries)
    }
    gaps = [(gap.first, gap.last, gap.why.value) for gap in found if isinstance(gap, Gap)]
    return entries, gaps
