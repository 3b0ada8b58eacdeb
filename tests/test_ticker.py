"""The beat: who is alive by counters that move, and a thread that beats whatever the loop does."""

import threading

import pytest
from storing import opened, own_redis, wait_for

from server.broker import Ticker
from server.broker.connection import Connector
from server.broker.ticker import Leases, Service
from server.job import JobState

LEASE_S, GAP_S = 4.0, 2.5


@pytest.fixture
def leases():
    return Leases(LEASE_S, GAP_S)


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


def test_a_counter_that_moves_is_alive(leases):
    for i in range(20):
        assert leases.look({"w": i}, now=float(i)) == []


def test_a_counter_that_stands_still_for_the_lease_is_lost(leases):
    assert [leases.look({"w": 7, "me": i}, now=float(i)) for i in range(6)] == [[], [], [], [], [("w", 7)], [("w", 7)]]


def test_the_wait_begins_at_the_first_look_and_not_at_zero(leases):
    assert leases.look({"w": 7}, now=1_000_000.0) == []


def test_a_gap_in_our_own_looks_begins_every_wait_anew(leases):
    leases.look({"w": 7}, now=0.0)
    leases.look({"w": 7}, now=2.0)
    assert leases.look({"w": 7}, now=4.6) == []
    assert leases.look({"w": 7}, now=7.0) == []
    assert leases.look({"w": 7}, now=8.5) == []
    assert leases.look({"w": 7}, now=8.7) == [("w", 7)]


def test_a_counter_that_moved_once_begins_its_wait_anew(leases):
    for now, counter in ((0.0, 1), (2.0, 1), (3.5, 2), (5.5, 2), (7.0, 2)):
        assert leases.look({"w": counter}, now) == []
    assert leases.look({"w": 2}, now=7.5) == [("w", 2)]


def test_a_counter_that_went_back_has_moved(leases):
    for now, counter in ((0.0, 9), (2.0, 9), (3.9, 1), (4.1, 1)):
        assert leases.look({"w": counter}, now) == []


def test_a_process_that_was_forgotten_and_came_back_is_new(leases):
    leases.look({"w": 7}, now=0.0)
    leases.look({}, now=2.0)
    assert leases.look({"w": 7}, now=4.0) == []


def test_each_process_has_a_wait_of_its_own(leases):
    leases.look({"a": 1}, now=0.0)
    leases.look({"a": 1, "b": 1}, now=2.0)
    assert leases.look({"a": 1, "b": 1}, now=4.0) == [("a", 1)]
    assert leases.look({"a": 2, "b": 1}, now=6.0) == [("b", 1)]


class Beats:
    """A ticker and what it hands over."""

    def __init__(self, store, settings=None, process="me-00000001", connector=None):
        self.beats, self.refusals = [], []
        self.ticker = Ticker(
            connector or store.broker.connector,
            store.broker.keys,
            settings or store.settings,
            process,
            lambda: {"id": process},
            Service(("*",), ("add",)),
            self.beats.append,
            self.refusals.append,
        )

    def __enter__(self):
        self.ticker.start()
        return self

    def __exit__(self, *_):
        self.ticker.stop()


@pytest.mark.gen_test
async def test_it_beats_while_the_loop_is_blocked(store):
    with Beats(store) as beats:
        wait_for(lambda: len(beats.beats) >= 3)
    counters = [beat.counters["me-00000001"] for beat in beats.beats]
    assert counters == list(range(1, len(counters) + 1))
    assert await store.broker.nodes() == {"me-00000001": {"id": "me-00000001"}}


@pytest.mark.gen_test
async def test_it_hears_itself_on_its_own_channel(store):
    with store.listening() as heard, Beats(store) as beats:
        wait_for(lambda: beats.beats)
        assert "worker:me-00000001" in [channel for channel, _ in heard.messages()]


@pytest.mark.gen_test
@pytest.mark.expects_log("worker dead is lost; 1 of its jobs were taken back")
async def test_the_jobs_of_a_worker_that_beats_no_more_are_taken_back(store):
    lease = await store.running("dead")
    store.tick("dead")
    with Beats(store) as beats:
        wait_for(lambda: beats.beats and "dead" not in beats.beats[-1].counters)
    job = await store.job(lease.id)
    assert (job.state, job.attempt) == (JobState.QUEUED, 2)


@pytest.mark.gen_test
async def test_a_worker_that_beats_keeps_its_jobs(store):
    lease = await store.running("alive-01")
    with Beats(store) as beats, Beats(store, process="alive-01"):
        wait_for(lambda: len(beats.beats) * store.settings.beat_s > 2 * store.settings.lease_s)
    assert (await store.job(lease.id)).state is JobState.RUNNING


@pytest.mark.gen_test
async def test_a_job_that_is_due_soon_brings_the_beat_forward(store):
    slow = store.settings.model_copy(update={"beat_s": 30.0})
    job = await store.submit(delay_s=0.1)
    with Beats(store, slow):
        wait_for(lambda: store.ids("ready:default/add") == {job.id})


@pytest.mark.gen_test
async def test_it_forgets_what_has_ended_too_long_ago_over_many_calls(store, monkeypatch):
    monkeypatch.setattr("server.broker.ticker.SWEEP", 2)
    for _ in range(9):
        await store.ended()
    with Beats(store, store.settings.model_copy(update={"keep_ended": 3})):
        wait_for(lambda: len(store.ids("ended")) == 3)


@pytest.mark.gen_test
async def test_a_long_sweep_does_not_delay_the_beat(store, monkeypatch):
    beats = Beats(store, store.settings.model_copy(update={"keep_ended": 0}))
    asked = []

    def slow(name, *arguments):
        asked.append(name)
        threading.Event().wait(0.02)
        return 100  # there is always more

    monkeypatch.setattr(beats.ticker, "_call", slow)
    beats.ticker._sweep(store.tick(keep=-1))
    assert 1 < len(asked) <= 4  # half a beat of 0.1 s


@pytest.fixture
def small_store(io_loop, settings):
    """A store on a Redis of its own."""
    with own_redis() as url:
        yield from opened(io_loop, settings.model_copy(update={"redis": url, "keep_below_percent": 50}))


@pytest.mark.expects_log("worker w1 is lost")  # it ended these jobs, and never beats
@pytest.mark.gen_test
async def test_when_memory_is_short_ended_jobs_go(small_store):
    for _ in range(5):
        await small_store.ended()
    with Beats(small_store) as beats:
        wait_for(lambda: len(beats.beats) >= 6)
        assert len(small_store.ids("ended")) == 5
        small_store.redis.config_set("maxmemory", int(small_store.redis.info("memory")["used_memory"] * 1.5))
        wait_for(lambda: not small_store.ids("ended"))


@pytest.mark.gen_test
async def test_without_redis_it_says_why_and_goes_on_when_it_is_back(store, tmp_path):
    socket = tmp_path / "late" / "redis.sock"
    with Beats(store, connector=Connector(f"unix://{socket}", 1.0)) as beats:
        wait_for(lambda: len(beats.refusals) >= 2)
        assert "Redis is away" in beats.refusals[0].message
        assert beats.beats == []
        with own_redis(socket=socket):
            wait_for(lambda: len(beats.beats) >= 2)


@pytest.mark.gen_test
async def test_scripts_that_redis_forgot_are_sent_again(store):
    with Beats(store) as beats:
        wait_for(lambda: beats.beats)
        store.redis.script_flush()
        known = len(beats.beats)
        wait_for(lambda: len(beats.beats) >= known + 2)
    assert beats.refusals == []


@pytest.mark.gen_test
async def test_a_store_that_has_gone_back_is_noticed_and_gives_no_jobs_for_a_while(store):
    with Beats(store) as beats:
        wait_for(lambda: beats.beats)
        assert not store.redis.exists(store.key("recovering"))
        store.redis.delete(store.key("store"))
        wait_for(lambda: store.redis.exists(store.key("recovering")))


@pytest.mark.gen_test
async def test_a_store_that_is_emptied_gets_a_name_it_never_had(store):
    names = set()
    with Beats(store) as beats:
        for _ in range(3):
            store.redis.delete(store.key("store"))
            seen = len(beats.beats)
            wait_for(lambda seen=seen: len(beats.beats) > seen + 1)
            names.add(beats.beats[-1].store)
    assert len(names) == 3
