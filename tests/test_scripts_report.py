"""The script that takes down how far jobs are: the fence, the log and its offsets, what is trimmed, versions."""

import pytest
from storing import entry, new_job, opened, report_of, told

from server.broker import Report
from server.codec import MSGPACK

FUTURE = 99_999_999_999_999  # ms; a version that Redis's clock will not reach


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


@pytest.mark.gen_test
async def test_progress_and_warnings_are_stored_and_announced(store):
    lease = await store.running()
    bar = {"done": 1, "total": 2, "unit": None, "note": "é"}
    with store.listening() as heard:
        answer = await store.report(lease, progress=bar, warnings=[{"code": "slow"}])
        (change,) = heard.changes()
    assert (answer.code, answer.last, answer.state) == ("ok", 0, "running")
    job = await store.job(lease.id)
    assert change.job == job
    assert (job.progress, job.warnings) == (bar, ({"code": "slow"},))


@pytest.mark.gen_test
async def test_what_is_not_given_stays_as_it_was(store):
    lease = await store.running()
    await store.report(lease, progress={"done": 1})
    await store.report(lease, texts=["x"])
    assert (await store.job(lease.id)).progress == {"done": 1}


@pytest.mark.gen_test
async def test_log_entries_are_stored_under_the_offsets_of_the_runner(store):
    lease = await store.running()
    assert (await store.report(lease, 1, ["a", "b"])).last == 2
    assert (await store.report(lease, 3, ["c"])).last == 3
    assert await told(store, lease.id) == ({1: "a", 2: "b", 3: "c"}, [])
    assert await told(store, lease.id, after=2) == ({3: "c"}, [])
    assert await told(store, lease.id, after=3) == ({}, [])


@pytest.mark.gen_test
async def test_new_entries_travel_with_the_announcement(store):
    lease = await store.running()
    await store.report(lease, 1, ["a"])
    with store.listening() as heard:
        await store.report(lease, 1, ["a", "b", "c"])
        await store.report(lease, 1, ["a", "b", "c"])
        new, nothing = heard.changes()
    assert (new.first, new.entries, new.offset) == (2, (entry("b"), entry("c")), 3)
    assert (nothing.first, nothing.entries, nothing.offset) == (None, (), 3)


@pytest.mark.gen_test
async def test_heavy_entries_are_left_out_of_the_announcement(store):
    lease = await store.running()
    with store.listening() as heard:
        await store.report(lease, 1, ["x" * 5000, "y" * 5000])
        (change,) = heard.changes()
    assert (change.first, change.entries, change.offset) == (None, (), 2)


@pytest.mark.gen_test
async def test_a_report_that_comes_twice_is_stored_once(store):
    lease = await store.running()
    report = report_of(lease, 1, ["a", "b"], progress={"done": 1})
    first, second = await store.broker.report([report, report])
    assert (first.code, first.last) == (second.code, second.last) == ("ok", 2)
    assert await told(store, lease.id) == ({1: "a", 2: "b"}, [])


@pytest.mark.gen_test
async def test_a_report_that_overlaps_adds_only_what_is_new(store):
    lease = await store.running()
    await store.report(lease, 1, ["a", "b"])
    assert (await store.report(lease, 2, ["b", "c"])).last == 3
    assert await told(store, lease.id) == ({1: "a", 2: "b", 3: "c"}, [])


@pytest.mark.gen_test
async def test_a_hole_is_refused_with_the_stored_tail_and_nothing_of_the_log_is_written(store):
    lease = await store.running()
    await store.report(lease, 1, ["a"])
    answer = await store.report(lease, 4, ["d"])
    assert (answer.code, answer.last) == ("hole", 1)
    assert await told(store, lease.id) == ({1: "a"}, [])
    assert (await store.report(lease, 2, ["b", "c", "d"])).last == 4


@pytest.mark.gen_test
@pytest.mark.parametrize("known", [1, 3])
async def test_entries_that_half_a_script_left_behind_are_taken_as_stored(store, known):
    lease = await store.running()
    await store.report(lease, 1, ["a", "b", "c"])
    store.redis.hset(store.key(f"job:{lease.id}"), "log_last", 1)
    assert (await store.report(lease, 2, ["b", "c", "d"], known=known)).last == 4
    assert await told(store, lease.id) == ({1: "a", 2: "b", 3: "c", 4: "d"}, [])


@pytest.mark.gen_test
async def test_what_nobody_has_any_more_is_stored_as_a_lost_gap(store):
    lease = await store.running()
    await store.report(lease, 1, ["a"])
    report = report_of(lease, 5, ["e"], lost=True)
    answers = await store.broker.report([report, report])
    assert [(answer.code, answer.last) for answer in answers] == [("ok", 5), ("ok", 5)]
    assert await told(store, lease.id) == ({1: "a", 5: "e"}, [(2, 4, "lost")])
    assert await told(store, lease.id, after=3) == ({5: "e"}, [(4, 4, "lost")])


@pytest.mark.gen_test
async def test_a_lost_gap_may_come_without_entries(store):
    lease = await store.running()
    assert (await store.report(lease, 4, [], lost=True)).last == 3
    assert await told(store, lease.id) == ({}, [(1, 3, "lost")])


@pytest.mark.gen_test
async def test_another_token_is_fenced(store):
    lease = await store.running()
    stranger = Report(lease.id, "other", {"done": 9}, None, 1, [entry("x")])
    (answer,) = await store.broker.report([stranger])
    assert (answer.code, answer.state) == ("fenced", "running")
    assert await told(store, lease.id) == ({}, [])
    assert (await store.job(lease.id)).progress is None


@pytest.mark.gen_test
async def test_after_the_end_a_report_is_fenced(store):
    lease = await store.running()
    await store.finish(lease)
    ended = await store.job(lease.id)
    answer = await store.report(lease, 1, ["late"])
    assert (answer.code, answer.state) == ("fenced", "succeeded")
    assert await store.job(lease.id) == ended


@pytest.mark.gen_test
async def test_an_unknown_job_is_gone(store):
    lease = await store.running()
    await store.finish(lease)
    await store.broker.delete(lease.id)
    assert (await store.report(lease)).code == "gone"
    assert (await store.finish(lease)).code == "gone"


@pytest.mark.gen_test
async def test_a_job_that_is_to_end_may_still_report_and_is_told(store):
    lease = await store.running()
    await store.broker.cancel(lease.id)
    answer = await store.report(lease, 1, ["tidying up"])
    assert (answer.code, answer.state) == ("ok", "cancelling")
    assert await told(store, lease.id) == ({1: "tidying up"}, [])


@pytest.mark.gen_test
async def test_the_log_goes_on_over_attempts(store):
    lease = await store.running()
    await store.report(lease, 1, ["a", "b"])
    await store.broker.rescue("w1")
    (again,) = await store.claim()
    assert (again.log_last, again.attempt, again.job.attempt_firsts) == (2, 2, (1, 3))
    await store.report(again, 3, ["c"])
    assert await told(store, lease.id) == ({1: "a", 2: "b", 3: "c"}, [])


@pytest.mark.gen_test
async def test_a_read_of_the_log_is_bounded_by_entries_and_bytes(store):
    lease = await store.running()
    await store.report(lease, 1, ["x" * 100] * 20)
    piece = await store.broker.log(lease.id, 0, 5, 10**9)
    assert ([row[0] for row in piece.entries], piece.first, piece.last) == ([1, 2, 3, 4, 5], 1, 20)
    assert len((await store.broker.log(lease.id, 0, 100, 300)).entries) == 2
    assert len((await store.broker.log(lease.id, 0, 100, 1)).entries) == 1


@pytest.mark.gen_test
async def test_one_call_reports_for_many_jobs_in_one_message(store):
    await store.broker.submit([new_job() for _ in range(20)])
    leases = await store.claim(count=20)
    with store.listening() as heard:
        answers = await store.broker.report([report_of(lease, 1, ["x"]) for lease in leases])
        messages = heard.messages()
    assert [answer.code for answer in answers] == ["ok"] * 20
    assert len(messages) == 1


@pytest.mark.gen_test
async def test_messages_are_numbered_without_a_gap(store):
    with store.listening() as heard:
        lease = await store.running()
        await store.report(lease)
        await store.finish(lease)
        numbers = [store.broker.changes(data)[0] for _, data in heard.messages()]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    assert store.tick().seq == numbers[-1]


@pytest.mark.gen_test
async def test_a_version_grows_even_when_the_clock_of_redis_goes_back(store):
    lease = await store.running()
    store.redis.hset(store.key(f"job:{lease.id}"), "version", FUTURE)
    await store.report(lease)
    assert (await store.job(lease.id)).version == FUTURE + 1
    await store.broker.cancel(lease.id)
    assert (await store.job(lease.id)).version == FUTURE + 2
    await store.finish(lease, "cancelled", None)
    assert (await store.job(lease.id)).version == FUTURE + 3


@pytest.mark.gen_test
async def test_every_step_within_one_millisecond_has_a_version_of_its_own(store):
    lease = await store.running()
    with store.listening() as heard:
        await store.broker.report([report_of(lease)] * 50)
        versions = [change.job.version for change in heard.changes()]
    assert versions == sorted(set(versions))
    assert len(versions) == 50


@pytest.mark.gen_test
async def test_an_emitted_value_comes_back_as_it_was(store):
    lease = await store.running()
    value = {"a": [1, 2.5, None, True, "é", {}], "n": -(2**63), "m": 2**64 - 1}
    await store.broker.report([Report(lease.id, lease.token, None, None, 1, [MSGPACK.encode({"value": value})])])
    piece = await store.broker.log(lease.id, 0, 10, 10**6)
    assert MSGPACK.decode(piece.entries[0][1]) == {"value": value}
