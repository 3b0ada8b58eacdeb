"""Progress on demand, through a whole node: who looks makes a job speak often, and nobody else."""

import asyncio

import pytest
from web import eventually

from server.job import JobState
from server.protocol import Submission
from server.window import Match


class Ear:
    """Somebody who watches."""

    def notify(self):
        """News."""


class Reports:
    """Counts the reports of one job that leave a node."""

    def __init__(self, node, monkeypatch):
        self.made = 0
        self._report = node.broker.report
        monkeypatch.setattr(node.broker, "report", self)

    async def __call__(self, reports, **options):
        self.made += len(reports)
        return await self._report(reports, **options)

    async def within(self, seconds):
        """How many leave in so long."""
        before, loop = self.made, asyncio.get_running_loop()
        passed = loop.create_future()
        loop.call_later(seconds, passed.set_result, None)
        await passed
        return self.made - before


@pytest.fixture
def reports(node, monkeypatch):
    return Reports(node, monkeypatch)


async def chatting(node):
    """A job that has something new every 10 ms."""
    job = await node.queue.submit(Submission(task="steps", args={"count": 10_000, "pause_s": 0.01}))
    await eventually(lambda: job.id in node.worker._held and node.worker._held[job.id].voice.stored)
    return job


@pytest.mark.gen_test(timeout=20)
async def test_a_job_that_nobody_watches_speaks_once_a_second(node, reports):
    await chatting(node)
    assert await reports.within(2.5) in (2, 3)


@pytest.mark.gen_test(timeout=20)
async def test_a_job_speaks_often_as_soon_as_somebody_watches_it(node, reports):
    job = await chatting(node)
    topic, ear = node.hub.topic(job.id), Ear()
    node.hub.watch(topic, ear)
    assert await reports.within(0.6) >= 4
    topic.unwatch(ear)


@pytest.mark.gen_test(timeout=20)
async def test_who_submits_and_watches_hears_it_often_from_the_first_word_on(node, stream, reports):
    client = await stream()
    await client.send(
        {"type": "submit", "id": 1, "task": "steps", "args": {"count": 60, "pause_s": 0.01}, "sub": 1, "log": "all"}
    )
    await client.until("end", timeout_s=10)
    assert reports.made >= 5


@pytest.mark.gen_test(timeout=20)
async def test_a_feed_shows_a_job_moving_once_a_second(node, reports):
    window, ear = node.hub.feeds.window(Match(), 10), Ear()
    node.hub.feeds.follow(window, ear)
    await chatting(node)
    assert await reports.within(2.5) in (2, 3)
    assert window.jobs[0].progress["done"] > 50
    window.unwatch(ear)


@pytest.mark.gen_test(timeout=20)
async def test_a_job_is_slow_again_when_nobody_watches_any_more(node, reports, monkeypatch):
    monkeypatch.setattr("server.vigil.MARK_S", 0.3)
    job = await chatting(node)
    topic, ear = node.hub.topic(job.id), Ear()
    node.hub.watch(topic, ear)
    await reports.within(0.3)
    topic.unwatch(ear)
    await reports.within(1.0)
    assert await reports.within(1.5) in (1, 2)


@pytest.mark.gen_test(timeout=20)
async def test_an_end_that_the_store_shows_as_running_is_told_again_by_the_beat(node):
    job = await node.queue.submit(Submission(task="add", args={"a": 1}))
    await eventually(lambda: job.id in node.worker._memory)
    voice = node.worker._memory._told[job.id].voice
    client, tag = node.broker.connector.connect_blocking(), node.broker.keys.tag
    client.hset(f"{tag}:job:{job.id}", "state", "running")
    client.hdel(f"{tag}:job:{job.id}", "result")
    client.sadd(f"{tag}:leased:{node.id}", job.id)
    client.close()
    assert voice.closed
    await eventually(lambda: _state(node, job.id, JobState.SUCCEEDED), 5)
    assert (await node.broker.detail(job.id)).result == 2


async def _state(node, job_id, state):
    return (await node.broker.detail(job_id)).job.state is state
