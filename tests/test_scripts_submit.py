"""The script that takes jobs in, and the beat that promotes those which were to wait."""

import time

import pytest
from storing import new_id, new_job, opened, sets_as_they_should_be, wait_for

from server.broker import How, Submitted
from server.errors import QueueFull
from server.job import JobState
from server.protocol import IdempotencyKey
from server.sameness import Same


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


@pytest.mark.gen_test
async def test_a_submit_stores_the_job_as_it_was_given(store):
    job = await store.submit("mul", queue="big", priority=7, max_attempts=5, tags=("a:1", "b"), rerun_of="before")
    detail = await store.broker.detail(job.id)
    assert detail.job == job
    assert (job.task, job.queue, job.priority, job.max_attempts) == ("mul", "big", 7, 5)
    assert (job.tags, job.rerun_of, job.state, job.attempt) == (("a:1", "b"), "before", JobState.QUEUED, 1)
    assert detail.args == {"a": 1}


@pytest.mark.gen_test
async def test_a_submit_that_comes_twice_stores_the_job_once(store):
    new = new_job()
    with store.listening() as heard:
        first = await store.broker.submit([new])
        second = await store.broker.submit([new])
        assert [change.was for change in heard.changes()] == [None]
    assert first == second
    assert len(await store.claim(count=10)) == 1


@pytest.mark.gen_test
async def test_a_submit_of_an_id_that_has_moved_on_answers_where_it_stands(store):
    new = new_job()
    await store.broker.submit([new])
    (lease,) = await store.claim()
    (answer,) = await store.broker.submit([new])
    assert (answer.job.id, answer.job.state, answer.how) == (lease.id, JobState.RUNNING, How.ACCEPTED)


@pytest.mark.gen_test
async def test_a_batch_is_answered_in_its_order(store):
    jobs = [new_job(task) for task in ("add", "mul", "sub", "add")]
    answers = await store.broker.submit(jobs)
    assert [answer.job.id for answer in answers] == [job.id for job in jobs]


@pytest.mark.gen_test
async def test_a_timeout_reaches_who_claims(store):
    await store.submit(timeout_s=2.5)
    (lease,) = await store.claim()
    assert lease.timeout_s == 2.5


@pytest.mark.gen_test
async def test_a_delayed_job_is_not_claimed_before_a_beat_promotes_it(store):
    job = await store.submit(delay_s=0.1)
    assert job.state is JobState.SCHEDULED
    assert job.scheduled_at == job.created_at + 100
    assert await store.claim() == []
    with store.listening() as heard:
        wait_for(lambda: store.tick().due_ms is None)
        (change,) = heard.changes()
    assert (change.was, change.job.state) == (JobState.SCHEDULED, JobState.QUEUED)
    (lease,) = await store.claim()
    assert lease.id == job.id
    assert time.time() * 1000 >= job.scheduled_at


@pytest.mark.gen_test
async def test_a_beat_says_when_the_next_job_is_due(store):
    assert store.tick().due_ms is None
    await store.submit(delay_s=100)
    await store.submit(delay_s=50)
    assert 49_000 < store.tick().due_ms <= 50_000


@pytest.mark.gen_test
async def test_a_job_for_a_time_that_has_passed_is_queued_at_once(store):
    job = await store.submit(at=1_000)
    assert (job.state, job.scheduled_at) == (JobState.QUEUED, 1_000)


@pytest.mark.gen_test
async def test_a_beat_promotes_a_bounded_number_and_says_that_more_are_due(store):
    await store.broker.submit([new_job(delay_s=0.001) for _ in range(150)])
    beat = wait_for(lambda: (found := store.tick()).due_ms == 0 and found)
    assert beat.due_ms == 0
    assert len(store.ids("ready:default/add")) == 100
    store.tick()
    assert len(store.ids("ready:default/add")) == 150


@pytest.mark.gen_test
async def test_a_new_pair_of_queue_and_task_is_refused_when_too_many_wait(store, settings):
    store.broker._settings = settings.model_copy(update={"max_ready_sets": 2})
    await store.submit(queue="one")
    await store.submit(queue="two")
    new = new_job(queue="three")
    answers = await store.broker.submit([new, new_job(queue="two")])
    assert isinstance(answers[0], QueueFull)
    assert answers[1].job.queue == "two"
    assert (await store.broker.fetch([new.id]))[1] == [None]
    await store.claim(count=10)
    assert (await store.submit(queue="three")).queue == "three"


@pytest.mark.gen_test
async def test_the_position_in_the_queue_counts_those_before(store):
    await store.submit()
    second = await store.submit()
    await store.submit(priority=1)
    assert (await store.broker.detail(second.id)).position == 2


@pytest.mark.gen_test
async def test_who_asks_for_an_unknown_job_is_told_so(store):
    _, jobs = await store.broker.fetch([new_id(), (await store.submit()).id])
    assert jobs[0] is None
    assert jobs[1] is not None


def limited(store, settings, most):
    """Let at most so many wait in a queue."""
    store.broker._settings = settings.model_copy(update={"queue_limit": most})


@pytest.mark.gen_test
async def test_a_queue_takes_as_many_jobs_as_may_wait_and_not_one_more(store, settings):
    limited(store, settings, 5)
    await store.submit(delay_s=60)
    answers = await store.broker.submit([new_job(task) for task in ("add", "mul") * 3])
    assert [type(answer) for answer in answers] == [Submitted] * 4 + [QueueFull] * 2
    assert answers[-1].after_s > 0
    assert (await store.submit(queue="other")).queue == "other"
    assert store.redis.zcard(store.key("index:queued:queue:default")) == 4
    await store.claim()
    assert [type(answer) for answer in await store.broker.submit([new_job(), new_job()])] == [Submitted, QueueFull]


@pytest.mark.gen_test
async def test_a_refused_job_of_a_full_queue_leaves_nothing(store, settings):
    limited(store, settings, 1)
    await store.submit()
    before = store.redis.dbsize()
    refused = new_job(tags=("a",), same=Same("u", "c", 60), key=IdempotencyKey("k", "idempotency_key"), body="b")
    (answer,) = await store.broker.submit([refused])
    assert isinstance(answer, QueueFull)
    assert store.redis.dbsize() == before


@pytest.mark.gen_test
async def test_many_jobs_in_one_call_are_in_all_their_indexes(store):
    jobs = [new_job(task, tags=("a", task)) for task in ("add", "mul") * 3000]
    answers = await store.broker.submit(jobs)
    assert len(answers) == 6000
    should, stored = sets_as_they_should_be(store.redis, store.tag)
    assert stored == should


@pytest.mark.gen_test
async def test_a_delayed_job_of_a_unique_task_is_noted_like_any_other(store):
    await store.broker.submit([new_job(same=Same("u", None, 0), delay_s=60), new_job(same=Same("v", None, 0))])
    should, stored = sets_as_they_should_be(store.redis, store.tag)
    assert stored == should
