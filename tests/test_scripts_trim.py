"""What of a log is kept: so many entries, so many bytes, for so long; what has gone is told as a gap."""

import time

import pytest
from storing import opened, told

from server.codec import MSGPACK


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


def limit(store, **update):
    store.broker._settings = store.settings.model_copy(update=update)


@pytest.mark.gen_test
async def test_a_log_over_its_count_loses_its_oldest_entries_and_shows_the_gap(store):
    limit(store, log_keep=100)
    lease = await store.running()
    for first in range(1, 401, 10):
        await store.report(lease, first, [str(i) for i in range(first, first + 10)])
        assert store.redis.xlen(store.key(f"log:{lease.id}")) <= 100
    entries, gaps = await told(store, lease.id)
    kept = min(entries)
    assert 301 <= kept <= 312
    assert entries == {i: str(i) for i in range(kept, 401)}
    assert gaps == [(1, kept - 1, "trimmed")]
    assert (await store.broker.log(lease.id, 0, 0, 0)).first == kept


@pytest.mark.gen_test
async def test_a_log_over_its_bytes_loses_its_oldest_entries(store):
    limit(store, log_keep_bytes=10_000)
    lease = await store.running()
    for first in range(1, 101, 5):
        await store.report(lease, first, ["x" * 400] * 5)
        size = sum(len(fields[b"e"]) for _, fields in store.redis.xrange(store.key(f"log:{lease.id}")))
        assert size <= 10_000
        assert size == int(store.redis.hget(store.key(f"job:{lease.id}"), "log_bytes"))
    entries, gaps = await told(store, lease.id)
    assert max(entries) == 100
    assert gaps == [(1, min(entries) - 1, "trimmed")]


@pytest.mark.gen_test
async def test_a_report_larger_than_the_whole_log_leaves_its_last_entries(store):
    limit(store, log_keep=10)
    lease = await store.running()
    await store.report(lease, 1, [str(i) for i in range(1, 1001)])
    entries, gaps = await told(store, lease.id)
    assert list(entries) == list(range(992, 1001))
    assert gaps == [(1, 991, "trimmed")]


@pytest.mark.gen_test
async def test_entries_that_are_too_old_go_when_the_job_says_more(store):
    limit(store, log_keep_s=3600)
    lease, now_ms = await store.running(), time.time_ns() // 1_000_000
    written = [now_ms - 7_200_000] * 300 + [now_ms] * 2
    entries = [MSGPACK.encode({"at": at, "level": "info", "text": str(i)}) for i, at in enumerate(written, 1)]
    await store.report(lease, 1, entries=entries)
    await store.report(lease, 303, ["a"])
    left, gaps = await told(store, lease.id)
    assert list(left) == [301, 302, 303]
    assert gaps == [(1, 300, "trimmed")]
    size = sum(len(fields[b"e"]) for _, fields in store.redis.xrange(store.key(f"log:{lease.id}")))
    assert size == int(store.redis.hget(store.key(f"job:{lease.id}"), "log_bytes"))


@pytest.mark.gen_test
async def test_the_last_entry_stays_however_old_it_is(store):
    limit(store, log_keep_s=3600)
    lease = await store.running()
    await store.report(lease, 1, entries=[MSGPACK.encode({"at": at, "level": "info", "text": "x"}) for at in (1, 2)])
    assert list((await told(store, lease.id))[0]) == [2]


@pytest.mark.gen_test
async def test_the_last_entry_stays_however_large_it_is(store):
    limit(store, log_keep_bytes=1024)
    lease = await store.running()
    await store.report(lease, 1, ["a", "x" * 5000])
    assert list((await told(store, lease.id))[0]) == [2]


@pytest.mark.gen_test
async def test_what_was_trimmed_before_a_lost_gap_is_a_gap_of_its_own(store):
    limit(store, log_keep=5)
    lease = await store.running()
    await store.report(lease, 1, ["a", "b"])
    await store.report(lease, 6, ["f"], lost=True)
    await store.report(lease, 7, ["g", "h"])
    entries, gaps = await told(store, lease.id)
    assert entries == {6: "f", 7: "g", 8: "h"}
    assert gaps == [(1, 2, "trimmed"), (3, 5, "lost")]
