"""What a client still has to be told: batches, turns, and subscriptions that wait."""

import json

import pytest
from job_values import job

from server.feed_subscription import FeedSubscription
from server.job import JobState
from server.outbox import Outbox
from server.subscription import JobSubscription
from server.topic import Entry, Topic
from server.window import Match, Window


def encode(frame):
    return json.dumps(frame).encode()


@pytest.fixture
def outbox():
    return Outbox(encode, 1000, hidden_s=5.0)


def topic_of(entries=0, size=100, **given):
    topic = Topic("x")
    topic.apply(job(offset=entries, **given))
    topic.ring.extend(1, [Entry({"text": "x" * size}, size) for _ in range(entries)])
    return topic


def taken(outbox, now=0.0):
    """The next batch in short: type and subscription."""
    frames = [json.loads(data) for data in outbox.take(now)[0]]
    return [(frame["type"], frame.get("sub")) for frame in frames]


def test_an_empty_outbox_has_nothing_to_say(outbox):
    assert outbox.take(0) == ([], [])
    assert outbox.due_s is None


def test_replies_go_before_what_subscriptions_owe_and_in_order(outbox):
    outbox.add(JobSubscription(1, topic_of()))
    outbox.reply({"type": "ok", "id": 1})
    outbox.reply({"type": "ok", "id": 2})
    frames = [json.loads(data) for data in outbox.take(0)[0]]
    assert [frame.get("id", frame["type"]) for frame in frames] == [1, 2, "snapshot", "live"]


def test_a_batch_is_bounded_and_the_rest_comes_in_the_next(outbox):
    outbox.add(JobSubscription(1, topic_of(entries=50), log="all"))
    batches = []
    while batch := outbox.take(0)[0]:
        batches.append(batch)
    assert len(batches) > 5
    assert all(sum(map(len, batch)) < 2500 for batch in batches)


def test_replies_too_fill_a_batch(outbox):
    for i in range(10):
        outbox.reply({"type": "ok", "id": i, "pad": "x" * 300})
    assert [len(outbox.take(0)[0]) for _ in range(4)] == [3, 3, 3, 1]


def test_a_long_log_does_not_hold_back_the_others(outbox):
    outbox.add(JobSubscription(1, topic_of(entries=500), log="all"))
    outbox.add(JobSubscription(2, topic_of()))
    assert taken(outbox)[1] == ("snapshot", 2)


def test_a_held_subscription_says_nothing_before_it_is_released(outbox):
    subscription = JobSubscription(1, topic_of())
    outbox.add(subscription, held=True)
    outbox.touch(subscription)
    assert taken(outbox) == []
    outbox.release(1)
    assert taken(outbox) == [("snapshot", 1), ("live", 1)]


def test_a_subscription_that_ended_leaves_and_its_number_is_free(outbox):
    topic = topic_of(state=JobState.SUCCEEDED)
    topic.outcome = {"result": 1}
    subscription = JobSubscription(1, topic)
    outbox.add(subscription)
    batch, attention = outbox.take(0)
    assert [json.loads(data)["type"] for data in batch] == ["snapshot", "live", "end"]
    assert attention == [subscription]
    assert 1 not in outbox
    assert len(outbox) == 0


def test_after_an_unsubscribe_nothing_old_follows(outbox):
    subscription = JobSubscription(1, topic_of())
    outbox.add(subscription)
    assert outbox.pop(1) is subscription
    outbox.touch(subscription)
    assert taken(outbox) == []
    assert outbox.pop(1) is None
    outbox.release(1)
    assert taken(outbox) == []


def test_a_number_used_again_speaks_of_the_new_job_only(outbox):
    old = JobSubscription(1, topic_of())
    outbox.add(old)
    outbox.pop(1)
    outbox.add(JobSubscription(1, topic_of()))
    assert taken(outbox) == [("snapshot", 1), ("live", 1)]
    outbox.touch(old)
    assert taken(outbox) == []


def test_who_needs_a_read_is_named_and_rests(outbox):
    topic = topic_of()
    topic.apply(job(version=200, offset=5))
    subscription = JobSubscription(1, topic, log="all")
    outbox.add(subscription)
    _, attention = outbox.take(0)
    assert attention == [subscription]
    assert outbox.take(0) == ([], [])


def test_it_says_when_to_come_again(outbox):
    slow, fast = topic_of(), topic_of()
    outbox.add(JobSubscription(1, slow, rate=1))
    outbox.add(JobSubscription(2, fast, rate=4))
    outbox.take(0)
    for version in (101, 102):
        for topic in (slow, fast):
            topic.apply(job(version=version))
        outbox.touch_all()
        outbox.take(10.0)
    assert outbox.due_s == pytest.approx(0.25)
    outbox.touch_all()
    assert taken(outbox, now=10.3) == [("update", 2)]
    assert outbox.due_s == pytest.approx(0.7)


def test_a_hidden_page_is_told_rarely(outbox):
    topic = topic_of()
    outbox.add(JobSubscription(1, topic))
    outbox.take(0)
    outbox.hidden = True
    for version, now, wanted in ((101, 10.0, 1), (102, 12.0, 0), (103, 15.1, 1)):
        topic.apply(job(version=version))
        outbox.touch_all()
        assert len(outbox.take(now)[0]) == wanted


def test_a_feed_speaks_through_it_too(outbox):
    window = Window(Match(), 3)
    window.start_page()
    window.load(1, [job(id="1")], {"running": 1}, more=False)
    outbox.add(FeedSubscription(4, window))
    assert taken(outbox) == [("snapshot", 4), ("live", 4)]
    assert [one.number for one in outbox] == [4]
