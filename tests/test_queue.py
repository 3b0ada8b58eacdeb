"""The doorway for jobs, as handlers and sessions use it."""

import asyncio

import pytest
from web import eventually

from server.errors import Conflict, Invalid, NotFound, Unavailable
from server.job import JobState
from server.protocol import Submission
from server.queue import Watching
from server.window import Match
from windsock import task

GHOST = "01JDZZZZZZZZZZZZZZZZZZZZZZ"


@pytest.mark.gen_test
async def test_a_job_takes_what_its_task_says_and_what_it_is_given(node):
    plain = await node.queue.submit(Submission(task="slow"))
    given = await node.queue.submit(
        Submission(task="slow", queue="q", max_attempts=7, timeout_s=9.0, tags=["b", "a", "b"])
    )
    assert (plain.queue, plain.max_attempts, plain.tags) == ("default", 3, ())
    assert (given.queue, given.max_attempts, given.tags) == ("q", 7, ("b", "a"))
    assert (await node.queue.get(plain.id)).timeout_s == 0.2
    assert (await node.queue.get(given.id)).timeout_s == 9.0


@pytest.mark.gen_test
async def test_ids_are_in_the_order_of_submission(node):
    jobs = [await node.queue.submit(Submission(task="add", args={"a": 1}, delay_s=60)) for _ in range(50)]
    assert [job.id for job in jobs] == sorted({job.id for job in jobs})


@pytest.mark.gen_test
async def test_nothing_is_stored_of_a_refused_submit(node):
    for submission in (Submission(task="nobody"), Submission(task="add", args={"a": "x"})):
        with pytest.raises(Invalid):
            await node.queue.submit(submission)
    node.queue.submitting.refusing = lambda: Unavailable("not now")
    with pytest.raises(Unavailable):
        await node.queue.submit(Submission(task="add", args={"a": 1}))
    assert (await node.queue.page(Match(), 10)).jobs == []


@pytest.mark.gen_test
async def test_who_is_there_at_birth_sees_the_job_before_it_is_stored(node):
    submitting = node.queue.submitting
    new = submitting.prepare(Submission(task="add", args={"a": 1}))
    topic = node.hub.topic(new.id)
    async with Watching(node.hub, topic, unborn=True) as watching:
        assert topic.job is None
        submitted = await submitting.store(new, topic)
        assert topic.job == submitted.job
        assert await watching.until(lambda topic: topic.job.ended, 5)


@pytest.mark.gen_test
async def test_an_unknown_job_is_not_found_by_any_way(node):
    queue = node.queue
    for ask in (queue.get, queue.cancel, queue.rerun, queue.delete):
        with pytest.raises(NotFound):
            await ask(GHOST)
    with pytest.raises(NotFound):
        await queue.log(GHOST, 0, 10)
    with pytest.raises(NotFound):
        await queue.poll(GHOST, "x-1.1.1", 5)
    with pytest.raises(NotFound):
        await queue.ended(GHOST, 5)
    assert not node.hub._topics


@pytest.mark.gen_test
async def test_a_job_is_submitted_and_awaited(node):
    job, end = await node.queue.submit_and_wait(Submission(task="add", args={"a": 1}), 5)
    assert (job.id, end.result) == (end.job.id, 2)
    job, end = await node.queue.submit_and_wait(Submission(task="add", args={"a": 1}, delay_s=60), 0.01)
    assert (job.state, end) == (JobState.SCHEDULED, None)
    assert not node.hub._topics


@pytest.mark.gen_test
async def test_many_wait_for_the_same_news(node):
    job = await node.queue.submit(Submission(task="add", args={"a": 1}, delay_s=60))
    polls = [asyncio.ensure_future(node.queue.poll(job.id, str(job.cursor), 5)) for _ in range(50)]
    await eventually(lambda: node.hub._topics and len(node.hub._topics[job.id].watchers) == 50)
    await node.queue.cancel(job.id)
    answers = await asyncio.gather(*polls)
    assert {answer.job.state for answer in answers} == {JobState.CANCELLED}
    assert not node.hub._topics


@pytest.mark.gen_test
async def test_a_poll_that_is_given_up_leaves_nothing(node):
    job = await node.queue.submit(Submission(task="add", args={"a": 1}, delay_s=60))
    poll = asyncio.ensure_future(node.queue.poll(job.id, str(job.cursor), 60))
    await eventually(lambda: job.id in node.hub._topics)
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)
    assert not node.hub._topics


@pytest.mark.gen_test
async def test_a_rerun_repeats_all_that_was_asked_for(node):
    asked = Submission(
        task="add", args={"a": 5}, queue="q", priority=4, tags=["x"], max_attempts=2, timeout_s=8.0, delay_s=60
    )
    old = await node.queue.submit(asked)
    with pytest.raises(Conflict):
        await node.queue.rerun(old.id)
    await node.queue.cancel(old.id)
    new = await node.queue.get((await node.queue.rerun(old.id)).id)
    job = new.job
    assert (job.queue, job.priority, job.tags, job.max_attempts) == ("q", 4, ("x",), 2)
    assert (new.timeout_s, new.args, job.rerun_of) == (8.0, {"a": 5}, old.id)
    assert job.state is not JobState.SCHEDULED


@pytest.mark.gen_test
async def test_a_rerun_of_a_task_that_is_gone_is_refused(node, monkeypatch):
    old = await node.queue.submit(Submission(task="add", args={"a": 5}, delay_s=60))
    await node.queue.cancel(old.id)
    monkeypatch.setattr(node.registry, "get", lambda name: (_ for _ in ()).throw(Invalid.field("task", "gone")))
    with pytest.raises(Invalid):
        await node.queue.rerun(old.id)


@pytest.mark.gen_test
async def test_a_job_has_the_priority_of_its_task_unless_it_is_given_one(node):
    @task(priority=-3)
    async def humble() -> None: ...

    node.registry.add_functions([humble])
    assert (await node.queue.submit(Submission(task="humble"))).priority == -3
    assert (await node.queue.submit(Submission(task="humble", priority=0))).priority == 0
