"""The script that ends attempts: once, with the rest of the log, or back to the queue."""

import pytest
from storing import OUTCOME, opened, report_of

from server.broker import Verdict
from server.codec import MSGPACK
from server.job import JobState


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


@pytest.mark.gen_test
@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
async def test_an_end_is_stored_with_its_outcome_and_releases_the_lease(store, state):
    lease = await store.running()
    error = MSGPACK.encode({"code": "exception", "message": "no"})
    outcome = {"succeeded": OUTCOME, "failed": error, "cancelled": None}[state]
    assert (await store.finish(lease, state, outcome)).code == "ok"
    detail = await store.broker.detail(lease.id)
    assert (detail.job.state, detail.job.finished_at) == (state, detail.job.updated_at)
    assert detail.result == (3 if state == "succeeded" else None)
    assert (detail.error or {}).get("code") == ("exception" if state == "failed" else None)
    assert store.ids("leased:w1") == set()


@pytest.mark.gen_test
async def test_an_end_is_announced_with_its_outcome(store):
    lease = await store.running()
    with store.listening() as heard:
        await store.finish(lease)
        (change,) = heard.changes()
    assert (change.was, change.job.state, change.outcome) == ("running", "succeeded", OUTCOME)


@pytest.mark.gen_test
async def test_a_large_outcome_is_stored_and_left_out_of_the_announcement(store):
    lease = await store.running()
    large = MSGPACK.encode("x" * 9000)
    with store.listening() as heard:
        await store.finish(lease, outcome=large)
        (change,) = heard.changes()
    assert change.outcome is None
    detail = await store.broker.detail(lease.id)
    assert (detail.result, detail.result_bytes) == ("x" * 9000, len(large))


@pytest.mark.gen_test
async def test_an_end_that_comes_twice_is_stored_and_announced_once(store):
    lease = await store.running()
    with store.listening() as heard:
        first = await store.finish(lease, texts=["bye"])
        ended = await store.job(lease.id)
        second = await store.finish(lease, texts=["bye"])
        assert len(heard.changes()) == 1
    assert (first.code, first.last) == (second.code, second.last) == ("ok", 1)
    assert await store.job(lease.id) == ended


@pytest.mark.gen_test
async def test_the_rest_of_the_log_and_the_last_progress_come_with_the_end(store):
    lease = await store.running()
    await store.report(lease, 1, ["a"])
    with store.listening() as heard:
        await store.finish(lease, first=2, texts=["b"], progress={"done": 2}, warnings=[{"code": "w"}])
        (change,) = heard.changes()
    assert (change.first, len(change.entries), change.offset) == (2, 1, 2)
    job = await store.job(lease.id)
    assert (job.progress, job.warnings, job.offset) == ({"done": 2}, ({"code": "w"},), 2)


@pytest.mark.gen_test
async def test_a_hole_before_the_rest_of_the_log_refuses_the_end(store):
    lease = await store.running()
    answer = await store.finish(lease, first=3, texts=["c"])
    assert (answer.code, answer.last) == ("hole", 0)
    assert (await store.job(lease.id)).state is JobState.RUNNING
    assert (await store.finish(lease, first=3, texts=["c"], lost=True)).code == "ok"


@pytest.mark.gen_test
async def test_another_token_is_fenced(store):
    lease = await store.running()
    await store.broker.rescue("w1")
    (again,) = await store.claim("w2")
    assert (await store.finish(lease)).code == "fenced"
    assert (await store.job(lease.id)).state is JobState.RUNNING
    assert (await store.finish(again, "failed", None)).code == "ok"


@pytest.mark.gen_test
async def test_a_verdict_after_the_job_was_ended_in_the_worker_s_stead_comes_too_late(store):
    lost = await store.running(max_attempts=1)
    asked = await store.running()
    await store.broker.cancel(asked.id)
    await store.broker.rescue("w1")
    assert (await store.finish(lost)).code == "fenced"
    assert (await store.finish(asked)).code == "fenced"
    assert (await store.job(lost.id)).state is JobState.FAILED
    assert (await store.job(asked.id)).state is JobState.CANCELLED


@pytest.mark.gen_test
async def test_a_job_given_back_gets_a_new_attempt_and_uses_none_up(store):
    lease = await store.running(max_attempts=1)
    for attempt in range(2, 6):
        assert (await store.finish(lease, "queued", None, first=lease.log_last + 1, texts=["x"])).code == "ok"
        job = await store.job(lease.id)
        assert (job.state, job.attempt, job.started_at, job.progress) == (JobState.QUEUED, attempt, None, None)
        (lease,) = await store.claim()
    assert (lease.attempt, lease.job.attempt_firsts) == (5, (1, 2, 3, 4, 5))


@pytest.mark.gen_test
async def test_a_job_given_back_keeps_its_place_in_the_queue(store):
    lease = await store.running()
    await store.submit()
    await store.finish(lease, "queued", None)
    assert [one.id for one in await store.claim()] == [lease.id]


@pytest.mark.gen_test
async def test_a_job_given_back_wakes_an_idle_worker(store):
    await store.enlist("w2")
    lease = await store.running("w1")
    await store.claim("w2")
    with store.listening() as heard:
        await store.finish(lease, "queued", None)
        assert "worker:w2" in [channel for channel, _ in heard.messages()]


@pytest.mark.gen_test
async def test_giving_back_a_job_that_was_to_end_cancels_it(store):
    lease = await store.running()
    await store.broker.cancel(lease.id)
    assert (await store.finish(lease, "queued", None)).code == "ok"
    assert (await store.job(lease.id)).state is JobState.CANCELLED
    assert (await store.finish(lease, "queued", None)).code == "ok"


@pytest.mark.gen_test
async def test_a_job_that_was_to_end_may_have_succeeded_first(store):
    lease = await store.running()
    await store.broker.cancel(lease.id)
    await store.finish(lease)
    assert (await store.job(lease.id)).state is JobState.SUCCEEDED


@pytest.mark.gen_test
async def test_verdicts_of_one_call_are_each_for_themselves(store):
    good, bad = await store.running(), await store.running()
    await store.broker.rescue("w1")
    (again, other) = await store.claim("w2", count=2)
    assert {again.id, other.id} == {good.id, bad.id}
    verdicts = [Verdict(report_of(lease), JobState.FAILED) for lease in (good, again, bad, other)]
    assert [answer.code for answer in await store.broker.finish(verdicts)] == ["fenced", "ok", "fenced", "ok"]
