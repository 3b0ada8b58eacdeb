"""What jobs say on its way to the store: how often, in which pieces, and again when it did not arrive."""

import asyncio
import threading

import pytest
from storing import entry, opened

from server.errors import Unavailable
from server.job import JobState
from server.reading import piece_runs
from server.reporter import Reporter
from server.topic import Run


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


@pytest.fixture
def reporter(io_loop, store):
    async def make():
        return Reporter(store.broker, store.settings)

    reporter = io_loop.run_sync(make)
    yield reporter
    io_loop.run_sync(reporter.stop)


class Calls:
    """Counts calls of a method of the broker, and makes some of them fail."""

    def __init__(self, broker, name, monkeypatch):
        self.made = []
        self.failing = 0
        self._call = getattr(broker, name)
        monkeypatch.setattr(broker, name, self)

    async def __call__(self, items, **options):
        self.made.append(list(items))
        if self.failing:
            self.failing -= 1
            raise Unavailable("away")
        return await self._call(items, **options)


@pytest.fixture
def reports(store, monkeypatch):
    return Calls(store.broker, "report", monkeypatch)


@pytest.fixture
def finishes(store, monkeypatch):
    return Calls(store.broker, "finish", monkeypatch)


async def until(wanted, timeout_s=5.0):
    """Returns when `wanted()` (or what it awaits) is true."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        found = wanted()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert asyncio.get_running_loop().time() < deadline, "it does not come"
        await asyncio.sleep(0.005)


def voice_of(reporter, lease):
    """The voice of a lease, and what it was told when it was fenced."""
    fenced = []
    return reporter.open(lease, fenced.append), fenced


async def texts(store, job_id):
    """The log by offset; None for what was lost."""
    piece = await store.broker.log(job_id, 0, 10**6, 10**9)
    found = {}
    for one in piece_runs(piece, 0):
        for i, offset in enumerate(range(one.first, one.last + 1)):
            found[offset] = one.entries[i].value["text"] if isinstance(one, Run) else None
    return found


@pytest.mark.gen_test
async def test_the_first_word_leaves_at_once_and_the_last_one_arrives(store, reporter, reports):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    voice.progress.update(0, 1000)
    await until(lambda: reports.made)
    for i in range(1000):
        voice.progress.update(i + 1)
        if i % 50 == 0:
            await asyncio.sleep(0)
    await until(lambda: not reporter._dirty and reporter._flushing is None)
    assert (await store.job(lease.id)).progress["done"] == 1000
    assert len(reports.made) <= 10


@pytest.mark.gen_test
async def test_a_job_is_reported_no_more_often_than_every_flush_interval(store, reporter, reports):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    await store.broker.watch([lease.id], 10)
    loop = asyncio.get_running_loop()
    end = loop.time() + 0.5
    while loop.time() < end:
        voice.progress.advance()
        await asyncio.sleep(0.001)
    assert 2 <= len(reports.made) <= 0.5 / store.settings.flush_s + 2


async def chatter(voice, seconds):
    """Something new all the time, for so long."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        voice.progress.log("x")
        voice.progress.advance()
        await asyncio.sleep(0.001)


@pytest.mark.gen_test
async def test_a_job_that_nobody_watches_is_reported_once_a_second(store, reporter, reports):
    voice, _ = voice_of(reporter, await store.running())
    await chatter(voice, 1.3)
    assert len(reports.made) == 2


@pytest.mark.gen_test
async def test_the_end_of_a_job_that_nobody_watches_leaves_at_once(store, reporter, finishes):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    await chatter(voice, 0.1)
    began = asyncio.get_running_loop().time()
    await reporter.finish(voice, JobState.SUCCEEDED)
    assert asyncio.get_running_loop().time() - began < 0.5
    assert (await store.job(lease.id)).progress["done"] == len(await texts(store, lease.id))


@pytest.mark.gen_test
async def test_what_was_held_back_leaves_when_somebody_looks(store, reporter, reports):
    voice, _ = voice_of(reporter, await store.running())
    await chatter(voice, 0.1)
    assert len(reports.made) == 1
    reporter.hurry(voice)
    await until(lambda: len(reports.made) == 2, timeout_s=0.5)


@pytest.mark.gen_test
async def test_a_job_becomes_quick_with_the_report_that_finds_it_watched(store, reporter, reports):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    await chatter(voice, 0.1)
    await store.broker.watch([lease.id], 10)
    await until(lambda: len(reports.made) == 2)
    await chatter(voice, 0.5)
    assert len(reports.made) >= 5


@pytest.mark.gen_test
async def test_a_mark_that_runs_out_makes_a_job_slow_again(store, reporter, reports):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    await store.broker.watch([lease.id], 0.2)
    await chatter(voice, 0.5)
    seen = len(reports.made)
    assert seen >= 3
    await chatter(voice, 0.5)
    assert len(reports.made) <= seen + 1


@pytest.mark.gen_test
async def test_a_log_that_would_run_over_does_not_wait_its_second(store, reporter, reports):
    lease = await store.running()
    reporter._settings = store.settings.model_copy(update={"unsent_entries": 20})
    voice, _ = voice_of(reporter, lease)
    for i in range(1, 101):
        voice.progress.log(i)
        await until(lambda: not voice.progress.pressing)
    await until(lambda: not voice.progress.pending)
    assert None not in (await texts(store, lease.id)).values()
    assert len(reports.made) < 30


@pytest.mark.gen_test
async def test_all_that_have_something_to_say_are_in_one_call(store, reporter, reports):
    leases = [await store.running() for _ in range(20)]
    for lease in leases:
        voice_of(reporter, lease)[0].progress.log("x")
    await until(lambda: reports.made)
    assert [len(call) for call in reports.made] == [20]


@pytest.mark.gen_test
async def test_a_word_from_another_thread_is_heard(store, reporter):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    thread = threading.Thread(target=voice.progress.log, args=("from a thread",))
    thread.start()
    await until(lambda: _has(store, lease, {1: "from a thread"}))
    thread.join()


async def _has(store, lease, wanted):
    return await texts(store, lease.id) == wanted


@pytest.mark.gen_test
async def test_a_long_log_goes_in_pieces_and_without_a_pause(store, reporter, reports):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    for i in range(40):
        voice.progress.log(f"{i}" + "x" * 10_000)
    began = asyncio.get_running_loop().time()
    await until(lambda: not voice.progress.pending)
    assert asyncio.get_running_loop().time() - began < 1
    assert len(await texts(store, lease.id)) == 40
    assert all(sum(map(len, report.entries)) <= 64 * 1024 for (report,) in reports.made)


@pytest.mark.gen_test
async def test_while_redis_is_away_nothing_is_lost(store, reporter, reports):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    reports.failing = 2
    voice.warnings = [{"code": "slow"}]
    voice.progress.log("a")
    await until(lambda: len(reports.made) == 1)
    voice.progress.log("b")
    await until(lambda: _has(store, lease, {1: "a", 2: "b"}))
    assert (await store.job(lease.id)).warnings == ({"code": "slow"},)
    assert voice.warnings is None


@pytest.mark.gen_test
async def test_what_had_to_be_thrown_away_meanwhile_is_a_gap(store, reporter, reports):
    lease = await store.running()
    reporter._settings = store.settings.model_copy(update={"unsent_entries": 3})
    voice, _ = voice_of(reporter, lease)
    reports.failing = 1
    for i in range(1, 8):
        voice.progress.log(i)
    await until(lambda: not voice.progress.pending)
    assert await texts(store, lease.id) == {1: None, 2: None, 3: None, 4: None, 5: "5", 6: "6", 7: "7"}


@pytest.mark.gen_test
async def test_a_tail_the_store_has_lost_is_sent_again(store, reporter):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    for text in "abc":
        voice.progress.log(text)
    await until(lambda: not voice.progress.pending)
    lose_log(store, lease, "a")
    voice.progress.log("d")
    await until(lambda: _has(store, lease, {1: "a", 2: "b", 3: "c", 4: "d"}))


@pytest.mark.gen_test
async def test_it_is_sent_again_too_when_there_is_nothing_new_in_the_log(store, reporter):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    for text in "abc":
        voice.progress.log(text)
    await until(lambda: not voice.progress.pending)
    lose_log(store, lease, "a")
    voice.progress.update(1)
    await until(lambda: _has(store, lease, {1: "a", 2: "b", 3: "c"}))


def lose_log(store, lease, *kept):
    """The store has only the first entries."""
    store.redis.hset(store.key(f"job:{lease.id}"), "log_last", len(kept))
    store.redis.delete(store.key(f"log:{lease.id}"))
    for offset, text in enumerate(kept, 1):
        store.redis.xadd(store.key(f"log:{lease.id}"), {"e": entry(text)}, id=f"{offset}-0")


@pytest.mark.gen_test
async def test_a_tail_the_store_has_lost_becomes_a_gap_when_nobody_has_it_any_more(store, reporter):
    lease = await store.running()
    reporter._settings = store.settings.model_copy(update={"sent_entries": 0})
    voice, _ = voice_of(reporter, lease)
    for text in "abc":
        voice.progress.log(text)
    await until(lambda: not voice.progress.pending)
    lose_log(store, lease, "a")
    voice.progress.log("d")
    await until(lambda: not voice.progress.pending)
    found = await texts(store, lease.id)
    assert found == {1: "a", 2: None, 3: None, 4: "d"}


@pytest.mark.gen_test
async def test_an_attempt_that_was_fenced_is_told_once_and_says_no_more(store, reporter, reports):
    lease = await store.running()
    voice, fenced = voice_of(reporter, lease)
    await store.broker.rescue("w1")
    voice.progress.log("too late")
    await until(lambda: fenced)
    voice.progress.log("again")
    voice.progress.update(1)
    assert fenced == ["fenced"]
    assert reporter._dirty == {}
    assert len(reports.made) == 1


@pytest.mark.gen_test
async def test_an_attempt_of_a_job_that_is_gone_is_told_so(store, reporter):
    lease = await store.running()
    voice, fenced = voice_of(reporter, lease)
    store.redis.delete(store.key(f"job:{lease.id}"))
    voice.progress.update(1)
    await until(lambda: fenced == ["gone"])


@pytest.mark.gen_test
async def test_an_end_brings_what_was_not_yet_told(store, reporter, reports, finishes):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    voice.progress.update(3, 3)
    voice.progress.log("bye")
    answer = await reporter.finish(voice, JobState.SUCCEEDED, b"\x01", 1)
    assert (answer.code, answer.last) == ("ok", 1)
    job = await store.job(lease.id)
    assert (job.state, job.progress["done"]) == (JobState.SUCCEEDED, 3)
    assert await texts(store, lease.id) == {1: "bye"}
    assert (reports.made, len(finishes.made)) == ([], 1)


@pytest.mark.gen_test
async def test_an_end_with_a_long_log_sends_it_ahead_in_pieces(store, reporter, reports, finishes):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    for i in range(30):
        voice.progress.log(f"{i}" + "x" * 10_000)
    assert (await reporter.finish(voice, JobState.SUCCEEDED)).code == "ok"
    assert len(await texts(store, lease.id)) == 30
    assert len(reports.made) == 4
    assert len(finishes.made) == 1


@pytest.mark.gen_test
async def test_an_end_is_told_again_until_redis_takes_it(store, reporter, finishes):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    voice.warnings = [{"code": "slow"}]
    voice.progress.log("bye")
    finishes.failing = 3
    assert (await reporter.finish(voice, JobState.FAILED)).code == "ok"
    job = await store.job(lease.id)
    assert (job.state, job.warnings) == (JobState.FAILED, ({"code": "slow"},))
    assert await texts(store, lease.id) == {1: "bye"}


@pytest.mark.gen_test
async def test_an_end_after_the_store_lost_its_tail_comes_with_all_of_it(store, reporter):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    voice.progress.log("a")
    await until(lambda: not voice.progress.pending)
    lose_log(store, lease)
    voice.warnings = [{"code": "slow"}]
    voice.progress.log("b")
    assert (await reporter.finish(voice, JobState.SUCCEEDED)).code == "ok"
    assert await texts(store, lease.id) == {1: "a", 2: "b"}
    assert (await store.job(lease.id)).warnings == ({"code": "slow"},)


@pytest.mark.gen_test
async def test_ends_of_one_turn_leave_in_one_call(store, reporter, finishes):
    voices = [voice_of(reporter, await store.running())[0] for _ in range(10)]
    answers = await asyncio.gather(*(reporter.finish(voice, JobState.SUCCEEDED) for voice in voices))
    assert [answer.code for answer in answers] == ["ok"] * 10
    assert [len(call) for call in finishes.made] == [10]


@pytest.mark.gen_test
async def test_after_its_end_a_voice_is_not_heard(store, reporter, reports):
    lease = await store.running()
    voice, fenced = voice_of(reporter, lease)
    await reporter.finish(voice, JobState.SUCCEEDED)
    voice.progress.update(1)
    voice.progress.log("too late")
    assert reporter._dirty == {}
    assert (reports.made, fenced) == ([], [])


@pytest.mark.gen_test
@pytest.mark.expects_log("a report failed")
async def test_a_report_that_breaks_is_tried_again(store, reporter, monkeypatch):
    lease = await store.running()
    voice, _ = voice_of(reporter, lease)
    report, broken = store.broker.report, [True]

    async def breaking(items):
        if broken:
            broken.clear()
            raise RuntimeError("ours")
        return await report(items)

    monkeypatch.setattr(store.broker, "report", breaking)
    monkeypatch.setattr("server.reporter.MAX_RETRY_S", 0.05)
    voice.progress.log("a")
    await until(lambda: _has(store, lease, {1: "a"}))
