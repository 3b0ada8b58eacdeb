"""What the store has to do for a call, with few jobs stored and with very many: it should not matter.

Compared are the commands that Redis ran inside the scripts, and the shortest time that Redis itself took for one call.
`WINDSOCK_MANY_JOBS` says how many jobs are many; `-s` shows the table.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import redis
from plenty import Plenty
from storing import Store, own_redis, report_of, sets_as_they_should_be
from web import Api, having
from weighing import Call, Cost, weigh

from server.broker import Broker, Lease, ListWish, Verdict
from server.job import JobState
from server.settings import Settings

FEW = 4000  # more of each kind than the calls use up
MANY = int(os.environ.get("WINDSOCK_MANY_JOBS", "200000"))
TIMES = 20  # calls of each kind; the shortest counts, for the machine may be busy
GROWTH, SLACK_US = 4, 60  # deeper trees, colder memory
SHARES = {  # how much of the store looks like which model
    "succeeded": 0.4,
    "failed": 0.2,
    "cancelled": 0.1,
    "queued": 0.2,
    "scheduled": 0.05,
    "held back": 0.05,
}
STATES = tuple(state.value for state in JobState)
LIMITS = {"sub": 1}
NAMESPACE = "many"
pytestmark = pytest.mark.timeout(120 + MANY / 1000)


class Room:
    """A store, and the jobs that the copies are made of."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.plenty = Plenty(store.redis, store.tag)
        self.models: dict[str, str] = {}
        self.limited: Lease  # it runs, and its limit is full
        self._holders: list[str] = []

    async def furnish(self) -> None:
        """One real job of each kind."""
        store = self.store
        for state, tag in (("succeeded", "a"), ("failed", "b"), ("cancelled", "a")):
            lease = await store.running(tags=(tag,), queue="big")
            await store.finish(lease, state)
            self.models[state] = lease.id
        self.models["scheduled"] = (await store.submit("mul", delay_s=86_400.0)).id
        await store.submit("sub", limit="sub")
        (self.limited,) = await store.claim(tasks=["sub"], limits=LIMITS)
        self.models["held back"] = (await store.submit("sub", limit="sub")).id
        self.models["queued"] = (await store.submit("mul", tags=("a",))).id

    def fill(self, total: int) -> None:
        """Copies, until there are that many jobs."""
        add = total - self.plenty.count
        for kind, share in SHARES.items():
            self.plenty.add(self.models[kind], round(add * share))

    def holder(self) -> str:
        """A worker that holds nothing yet."""
        self._holders.append(f"holder-{len(self._holders) + 1}")
        return self._holders[-1]

    async def leave(self) -> None:
        """Nobody holds anything any more."""
        for worker in ("w1", "p1", *self._holders):
            await self.store.broker.rescue(worker)

    # calls; each makes ready what it needs

    async def page(self, index: str = "all", value: str = "", *, deep: bool = False, **more: Any) -> Call:
        states = more.pop("states", STATES)
        wish = ListWish(states, index, (value,), more.get("others", []))
        before = self.plenty.id(self.plenty.count // 2) if deep else None
        return lambda: self.store.broker.page(wish, 50, before, counts=not more)

    async def submit(self) -> Call:
        return lambda: self.store.submit("mul")

    async def claim(self, count: int) -> Call:
        worker = self.holder()
        return lambda: self.store.claim(worker, count, tasks=["mul"])

    async def report(self) -> Call:
        (lease,) = await self.store.claim(self.holder(), tasks=["mul"])
        return lambda: self.store.report(lease, 1, ["line"], progress={"done": 1})

    async def finish(self, state: str) -> Call:
        (lease,) = await self.store.claim(self.holder(), tasks=["mul"])
        verdict = Verdict(report_of(lease), JobState(state), None)
        return lambda: self.store.broker.finish([verdict])

    async def let_in(self) -> Call:
        async def finish_and_claim() -> None:
            await self.store.finish(self.limited)
            (self.limited,) = await self.store.claim(tasks=["sub"], limits=LIMITS)

        return finish_and_claim

    async def cancel(self) -> Call:
        job = await self.store.submit("mul", delay_s=600.0)
        return lambda: self.store.broker.cancel(job.id)

    async def detail(self) -> Call:
        job = await self.store.submit("mul")  # its position is behind all that wait
        return lambda: self.store.broker.detail(job.id)

    async def delete(self) -> Call:
        job = await self.store.submit("mul", delay_s=600.0)
        await self.store.broker.cancel(job.id)
        return lambda: self.store.broker.delete(job.id)

    async def rescue(self) -> Call:
        worker = self.holder()
        await self.store.claim(worker, 10, tasks=["mul"])
        return lambda: self.store.broker.rescue(worker)

    async def tick(self) -> Call:
        return self._script(lambda: self.store.tick(tasks=["mul"]))

    async def sweep(self, most: int) -> Call:
        return self._script(lambda: self.store.sweep(keep=0 if most else 10**9, most=most or 100))

    @staticmethod
    def _script(run: Callable[[], object]) -> Call:
        async def call() -> None:
            run()

        return call


Prepare = Callable[[Room], Coroutine[Any, Any, Call]]
OPERATIONS: dict[str, Prepare] = {  # by name: makes ready for one call
    "first page, counts": lambda room: room.page(),
    "deep page, counts": lambda room: room.page(deep=True),
    "page of a state": lambda room: room.page(states=("failed",), deep=True),
    "page of a task": lambda room: room.page("task", "add", deep=True),
    "page of a queue": lambda room: room.page("queue", "big", deep=True),
    "page of a tag": lambda room: room.page("tag", "a", deep=True),
    "page of two filters, nothing fits": lambda room: room.page("tag", "a", others=[("queue", ["none"])], deep=True),
    "submit": lambda room: room.submit(),
    "claim 1": lambda room: room.claim(1),
    "claim 20": lambda room: room.claim(20),
    "report": lambda room: room.report(),
    "finish": lambda room: room.finish("succeeded"),
    "give back": lambda room: room.finish("queued"),
    "finish, and let the next in": lambda room: room.let_in(),
    "cancel": lambda room: room.cancel(),
    "read one that waits": lambda room: room.detail(),
    "delete": lambda room: room.delete(),
    "rescue 10": lambda room: room.rescue(),
    "beat": lambda room: room.tick(),
    "sweep nothing": lambda room: room.sweep(0),
    "sweep 20": lambda room: room.sweep(20),
}


class Figures:
    """What each operation cost with few jobs and with many."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.few: dict[str, Cost] = {}
        self.many: dict[str, Cost] = {}

    async def take(self) -> None:
        """Fill the store and weigh, twice."""
        await self.room.furnish()
        self.room.fill(FEW)
        await self._weigh_all(self.few)
        self.room.fill(MANY)
        await self._weigh_all(self.many)
        await self.room.leave()

    async def _weigh_all(self, costs: dict[str, Cost]) -> None:
        for name, prepare in OPERATIONS.items():
            costs[name] = await weigh(self.room.store.redis, [await prepare(self.room) for _ in range(TIMES)])

    def table(self) -> str:
        """For people."""
        stored = self.room.store.redis.info("memory")["used_memory"] / (self.room.plenty.count or 1)
        lines = [f"{self.room.plenty.count} jobs, {stored:.0f} bytes each; microseconds: least, median, most"]
        for name in OPERATIONS:
            few, many = (
                f"{cost.least_us:7}{cost.median_us:7}{cost.most_us:7}" for cost in (self.few[name], self.many[name])
            )
            commands = self.many[name].commands.total() / TIMES
            lines.append(f"{name:36}{few}  |{many}  | {commands:7.1f} commands")
        return "\n".join(lines)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """A redis-server for this file."""
    with own_redis() as url:
        yield url


@pytest.fixture(scope="module")
def figures(redis_url: str) -> Iterator[Figures]:
    loop = asyncio.new_event_loop()
    settings = Settings(redis=redis_url, namespace=NAMESPACE, name="test")
    broker, client = Broker(redis_url, settings), redis.Redis.from_url(redis_url, protocol=2)
    loop.run_until_complete(broker.open())
    made = Figures(Room(Store(broker, settings, client)))
    loop.run_until_complete(made.take())
    print("\n" + made.table())
    yield made
    client.close()
    loop.run_until_complete(broker.close())
    loop.close()


@pytest.mark.parametrize("name", OPERATIONS)
def test_redis_does_the_same_for_a_call_however_many_jobs_are_stored(figures: Figures, name: str) -> None:
    assert figures.many[name].commands == figures.few[name].commands


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_command_looks_through_all_jobs(figures: Figures, name: str) -> None:
    few, many = figures.few[name], figures.many[name]
    assert many.least_us <= GROWTH * few.least_us + SLACK_US


# through the door


@pytest.mark.gen_test(timeout=60)
@pytest.mark.usefixtures("figures")
@having(namespace=NAMESPACE, worker=False)
async def test_a_list_is_paged_and_counted_to_the_last_of_many_jobs(api: Api, figures: Figures) -> None:
    store = figures.room.store.redis
    counts = {state: store.zcard(f"{{{NAMESPACE}}}:index:{state}:all") for state in STATES}
    first = (await api.get("/api/jobs?limit=500")).value
    assert first["counts"] == counts
    assert sum(counts.values()) > MANY * 0.9
    failed = await all_ids(api, f"/api/jobs?limit=500&state=failed&before={figures.room.plenty.id(MANY)}", 20)
    assert len(failed) == len(set(failed)) == 20 * 500
    assert failed == sorted(failed, reverse=True)
    last = (await api.get(f"/api/jobs?limit=500&state=failed&before={failed[-1]}")).value["jobs"]
    assert last[0]["id"] < failed[-1]
    oldest = store.zrange(f"{{{NAMESPACE}}}:index:failed:all", 0, 9)
    end = (await api.get(f"/api/jobs?state=failed&before={oldest[9].decode()}")).value
    assert [job["id"] for job in end["jobs"]] == [one.decode() for one in oldest[8::-1]]
    assert end["next"] is None


async def all_ids(api: Api, path: str, pages: int) -> list[str]:
    """The ids on so many pages, one after the other."""
    ids: list[str] = []
    following = path
    for _ in range(pages):
        page = (await api.get(following)).value
        ids += [job["id"] for job in page["jobs"]]
        following = f"{path.partition('&before')[0]}&before={page['next']}"
    return ids


@pytest.mark.gen_test
@pytest.mark.usefixtures("redis_url")
async def test_a_copy_is_in_all_sets_that_its_model_is_in(io_loop: Any, settings: Settings) -> None:
    broker, client = Broker(settings.redis or "", settings), redis.Redis.from_url(settings.redis or "", protocol=2)
    await broker.open()
    store = Store(broker, settings, client)
    plenty = Plenty(client, store.tag)
    models = [
        await store.ended("failed", tags=("a", "b")),
        await store.submit("mul", delay_s=600.0),
        await store.submit(),
    ]
    for model in models:
        plenty.add(model.id, 7)
    should, stored = sets_as_they_should_be(client, store.tag)
    assert should == stored
    assert sum(len(ids) for name, ids in stored.items() if name.endswith(":all")) == 24
    client.close()
    await broker.close()
