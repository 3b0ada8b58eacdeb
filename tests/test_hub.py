"""The hub: what is watched is shared, what was missed is read anew, and nothing stays behind."""

import asyncio

import pytest
from storing import new_job
from web import eventually

from server.codec import MSGPACK
from server.protocol import Submission
from server.topic import Topic
from server.window import Match


class Ear:
    """Somebody who watches."""

    def __init__(self):
        self.told = 0

    def notify(self):
        self.told += 1


@pytest.fixture
def submit(node):
    async def submit(task="add", args=None, **fields):
        args = {"a": 1} if args is None and task == "add" else args or {}
        return await node.queue.submit(Submission(task=task, args=args, **fields))

    return submit


def watch(node, job):
    ear, topic = Ear(), node.hub.topic(job.id)
    node.hub.watch(topic, ear)
    return ear, topic


class Deaf:
    """Messages of the events channel are lost while it is open."""

    def __init__(self, node):
        self._hub = node.hub
        self._real = node.hub.on_message
        self.lost = 0

    def __enter__(self):
        self._hub.on_message = self._lose
        return self

    def _lose(self, data):
        self.lost += 1

    def __exit__(self, *_):
        self._hub.on_message = self._real


@pytest.mark.gen_test
async def test_watchers_of_a_job_share_its_topic(node, submit):
    job = await submit(delay_s=60)
    (one, topic), (two, same) = watch(node, job), watch(node, job)
    assert same is topic
    await eventually(lambda: topic.loaded)
    await node.queue.cancel(job.id)
    await eventually(lambda: topic.job.ended)
    assert one.told
    assert two.told
    topic.unwatch(one)
    assert node.hub.topic(job.id) is topic
    topic.unwatch(two)
    assert node.hub.topic(job.id) is not topic


@pytest.mark.gen_test
async def test_who_leaves_is_told_no_more(node, submit):
    job = await submit(delay_s=60)
    (one, topic), (two, _) = watch(node, job), watch(node, job)
    await eventually(lambda: topic.loaded)
    topic.unwatch(one)
    told = one.told
    await node.queue.cancel(job.id)
    await eventually(lambda: topic.job.ended)
    assert one.told == told
    assert two.told
    topic.unwatch(two)


@pytest.mark.gen_test
async def test_a_job_that_does_not_exist_is_missing(node):
    topic, ear = Topic("nobody"), Ear()
    node.hub.watch(topic, ear)
    await eventually(lambda: topic.missing)
    assert ear.told
    topic.unwatch(ear)


@pytest.mark.gen_test
async def test_a_missed_message_is_noticed_at_the_next_one_and_made_good(node, submit):
    job = await submit(delay_s=60)
    ear, topic = watch(node, job)
    window = node.hub.feeds.window(Match(), 10)
    node.hub.feeds.follow(window, ear)
    await eventually(lambda: topic.loaded and window.loaded)
    await submit(delay_s=60)
    await eventually(lambda: node.hub._seq is not None)
    with Deaf(node) as deaf:
        await node.queue.cancel(job.id)
        await eventually(lambda: deaf.lost)
    assert not topic.job.ended
    await submit(delay_s=60)  # another job's message, with a number too high
    await eventually(lambda: topic.job.ended)
    await eventually(lambda: window.counts == {**window.counts, "cancelled": 1, "scheduled": 2})
    topic.unwatch(ear)
    window.unwatch(ear)


@pytest.mark.gen_test
async def test_a_step_back_is_noticed_too(node, submit):
    job = await submit(delay_s=60)
    ear, topic = watch(node, job)
    await eventually(lambda: topic.loaded)
    node.hub._seq = 10**9
    with Deaf(node) as deaf:
        await node.queue.cancel(job.id)
        await eventually(lambda: deaf.lost)
    await submit(delay_s=60)
    await eventually(lambda: topic.job.ended)
    topic.unwatch(ear)


@pytest.mark.gen_test
async def test_while_nobody_watches_messages_are_not_counted(node, submit):
    await submit(delay_s=60)
    job = await submit(delay_s=60)
    ear, topic = watch(node, job)
    await eventually(lambda: topic.loaded)
    resyncs = []
    node.hub.resync = lambda: resyncs.append(1)
    await submit(delay_s=60)
    await node.queue.cancel(job.id)
    await eventually(lambda: topic.job.ended)
    assert not resyncs
    topic.unwatch(ear)


@pytest.mark.gen_test
async def test_what_is_being_read_while_something_is_missed_is_read_again(node, submit, monkeypatch):
    job = await submit(delay_s=60)
    real_detail, real_page = node.broker.detail, node.broker.page
    gate, reads = asyncio.Event(), []

    async def held(read, *arguments, **named):
        answer = await read(*arguments, **named)
        reads.append(read)
        await gate.wait()
        return answer

    monkeypatch.setattr(node.broker, "detail", lambda *args: held(real_detail, *args))
    monkeypatch.setattr(node.broker, "page", lambda *args, **named: held(real_page, *args, **named))
    ear, topic = watch(node, job)
    window = node.hub.feeds.window(Match(), 10)
    node.hub.feeds.follow(window, ear)
    await eventually(lambda: len(reads) == 2)
    node.hub.on_down("cut")
    with Deaf(node) as deaf:
        await node.queue.cancel(job.id)
        await eventually(lambda: deaf.lost)
    node.hub.on_up()
    gate.set()
    await eventually(lambda: topic.job is not None and topic.job.ended)
    await eventually(lambda: window.loaded and window.counts["cancelled"] == 1)
    assert window.generation == 1
    assert not node.hub._reads.outdated
    topic.unwatch(ear)
    window.unwatch(ear)


@pytest.mark.expects_log("a read failed")
@pytest.mark.gen_test
async def test_a_read_that_fails_is_loud_and_hurts_nobody_else(node, submit, monkeypatch, caplog):
    one, two = await submit(delay_s=60), await submit(delay_s=60)
    real = node.broker.detail

    async def broken(job_id):
        if job_id == one.id:
            raise RuntimeError("a mistake of ours")
        return await real(job_id)

    monkeypatch.setattr(node.broker, "detail", broken)
    (ear, unread), (other, topic) = watch(node, one), watch(node, two)
    await eventually(lambda: topic.loaded)
    assert not unread.loaded
    assert "a read failed" in caplog.text
    unread.unwatch(ear)
    topic.unwatch(other)


@pytest.mark.gen_test
async def test_stop_ends_all_reads(node, submit, monkeypatch):
    async def never(job_id):
        await asyncio.Event().wait()

    job = await submit(delay_s=60)
    monkeypatch.setattr(node.broker, "detail", never)
    ear, topic = watch(node, job)
    assert node.hub._reads
    await node.hub.stop()
    await eventually(lambda: not node.hub._reads)
    topic.unwatch(ear)


# A second look, and marks.


@pytest.fixture
def often(settings):
    return settings.model_copy(update={"reread_s": 0.1})


@pytest.mark.gen_test
async def test_a_lost_message_that_nothing_follows_is_repaired_by_a_second_look(nodes, often):
    node = await nodes.start(often)
    job = await node.queue.submit(Submission(task="add", args={"a": 1}, delay_s=60))
    ear, topic = watch(node, job)
    window = node.hub.feeds.window(Match(), 10)
    node.hub.feeds.follow(window, ear)
    await eventually(lambda: topic.loaded and window.loaded)
    with Deaf(node) as deaf:
        await node.queue.cancel(job.id)
        await eventually(lambda: deaf.lost)
        await eventually(lambda: topic.job.ended and topic.outcome is not None)
        await eventually(lambda: window.counts["cancelled"] == 1 and window.jobs[0].ended)
    assert window.generation == 1  # followers keep what they have
    topic.unwatch(ear)
    window.unwatch(ear)


@pytest.mark.gen_test
async def test_a_second_look_is_one_call_and_tells_nobody_where_nothing_was_missed(node, submit, monkeypatch):
    watched = [watch(node, await submit(delay_s=60)) for _ in range(3)]
    await eventually(lambda: all(topic.loaded for _, topic in watched) and not node.hub._reads)
    told, calls, real = [ear.told for ear, _ in watched], [], node.broker.fetch

    async def fetch(job_ids):
        calls.append(job_ids)
        return await real(job_ids)

    monkeypatch.setattr(node.broker, "fetch", fetch)
    await node.hub.reread()
    assert [len(call) for call in calls] == [3]
    assert [ear.told for ear, _ in watched] == told
    for ear, topic in watched:
        topic.unwatch(ear)


@pytest.mark.gen_test
async def test_all_that_are_watched_in_a_turn_are_marked_by_one_call(node, submit, monkeypatch):
    jobs, calls, real = [await submit(delay_s=60) for _ in range(3)], [], node.broker.watch

    async def mark(job_ids, lasts_s):
        calls.append(sorted(job_ids))
        await real(job_ids, lasts_s)

    monkeypatch.setattr(node.broker, "watch", mark)
    watched = [watch(node, job) for job in [*jobs, *jobs]]
    await eventually(lambda: calls)
    assert calls == [sorted(job.id for job in jobs)]
    for ear, topic in watched:
        topic.unwatch(ear)


@pytest.mark.gen_test
async def test_the_marks_of_what_is_watched_are_renewed(nodes, settings, monkeypatch):
    monkeypatch.setattr("server.vigil.RENEW_S", 0.05)
    monkeypatch.setattr("server.vigil.MARK_S", 0.5)
    node = await nodes.start(settings)
    job = await node.queue.submit(Submission(task="add", args={"a": 1}, delay_s=60))
    ear, topic = watch(node, job)
    calls, real = [], node.broker.watch

    async def mark(job_ids, lasts_s):
        calls.append(list(job_ids))
        await real(job_ids, lasts_s)

    monkeypatch.setattr(node.broker, "watch", mark)
    await eventually(lambda: calls.count([job.id]) >= 3)
    topic.unwatch(ear)


@pytest.mark.gen_test
async def test_a_job_unknown_while_the_store_settles_is_looked_for_once_more(node, submit):
    """Redis was away and has lost it: its runner tells it again a moment later, and nobody is told that it is gone."""
    node.hub.on_down("cut")
    node.hub.on_up()
    topic, ear, gone = Topic("later"), Ear(), []
    ear.notify = lambda: gone.append(topic.missing)
    node.hub.watch(topic, ear)
    await eventually(lambda: topic.loading)
    await node.broker.submit([new_job("add", id="later", args=MSGPACK.encode({"a": 1}))])
    await eventually(lambda: topic.job is not None, timeout_s=10)
    assert True not in gone
    topic.unwatch(ear)


@pytest.mark.gen_test
async def test_a_job_that_a_client_has_seen_is_looked_for_once_more(node):
    topic, ear = Topic("seen"), Ear()
    topic.expected = True
    node.hub.watch(topic, ear)
    await eventually(lambda: topic.loading)
    assert not topic.missing
    await eventually(lambda: topic.missing, timeout_s=10)
    topic.unwatch(ear)
