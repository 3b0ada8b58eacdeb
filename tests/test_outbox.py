"""What clients still have to be told: batches, turns, subscriptions that wait, and those that are shared."""

import json

import pytest
from job_values import job
from members import Desk, Reader

from server.codec import JSON, MSGPACK
from server.feed_subscription import FeedSubscription
from server.job import JobState
from server.job_subscription import JobSubscription
from server.topic import Entry, Topic
from server.window import Match, Window


@pytest.fixture
def outbox():
    return Desk()


@pytest.fixture
def reader():
    return Reader()


def topic_of(entries=0, size=100, **given):
    topic = Topic("x")
    topic.apply(job(offset=entries, **given))
    topic.ring.extend(1, [Entry({"text": "x" * size}, size) for _ in range(entries)])
    return topic


def watching(outbox, topic, count=1, number=1, **wish):
    """Readers that are live on a topic, and share a subscription."""
    readers = [Reader(wish.get("codec", JSON)) for _ in range(count)]
    for one in readers:
        one.add(outbox, JobSubscription(number, topic, due=outbox, **wish))
    outbox.taken(readers[0])
    return readers


def test_an_empty_outbox_has_nothing_to_say(outbox, reader):
    assert not outbox
    assert outbox.taken(reader) == []
    assert outbox.alarm is None


def test_replies_go_before_what_subscriptions_owe_and_in_order(outbox, reader):
    reader.add(outbox, JobSubscription(1, topic_of()))
    reader.reply(outbox, {"type": "ok", "id": 1}, {"type": "ok", "id": 2})
    assert [frame.get("id", frame["type"]) for frame in outbox.taken(reader)] == [1, 2, "snapshot", "live"]


def test_a_batch_is_bounded_and_the_rest_comes_in_the_next(outbox, reader):
    reader.add(outbox, JobSubscription(1, topic_of(entries=50), log="all"))
    batches = []
    while batch := outbox.taken(reader):
        batches.append(batch)
    assert len(batches) > 5
    assert all(len(json.dumps(batch)) < 2500 for batch in batches)


def test_replies_too_fill_a_batch(outbox, reader):
    reader.reply(outbox, *({"type": "ok", "id": i, "pad": "x" * 300} for i in range(10)))
    assert [len(outbox.taken(reader)) for _ in range(4)] == [4, 4, 2, 0]


def test_a_long_log_does_not_hold_back_the_others(outbox, reader):
    reader.add(outbox, JobSubscription(1, topic_of(entries=500), log="all"))
    reader.add(outbox, JobSubscription(2, topic_of()))
    assert outbox.short(reader)[1] == ("snapshot", 2)


def test_a_long_log_of_one_reader_does_not_hold_back_another(outbox, reader):
    reader.add(outbox, JobSubscription(1, topic_of(entries=500), log="all"))
    other = Reader()
    other.add(outbox, JobSubscription(2, topic_of()))
    assert outbox.short(other) == [("snapshot", 2), ("live", 2)]


def test_a_held_subscription_says_nothing_before_it_is_released(outbox, reader):
    subscription = reader.add(outbox, JobSubscription(1, topic_of()), held=True)
    assert outbox.short(reader) == []
    subscription.held = False
    outbox.touch(subscription)
    assert outbox.short(reader) == [("snapshot", 1), ("live", 1)]


def test_a_subscription_that_ended_leaves_and_its_number_is_free(outbox, reader):
    topic = topic_of(state=JobState.SUCCEEDED)
    topic.outcome = {"result": 1}
    reader.add(outbox, JobSubscription(1, topic))
    assert outbox.short(reader) == [("snapshot", 1), ("live", 1), ("end", 1)]
    assert reader.subscriptions == {}
    assert topic.watchers == {}


def test_after_an_unsubscribe_nothing_old_follows(outbox, reader):
    topic = topic_of()
    subscription = reader.add(outbox, JobSubscription(1, topic))
    subscription.leave(reader)
    outbox.touch(subscription)
    assert outbox.short(reader) == []
    assert (reader.subscriptions, topic.watchers) == ({}, {})


def test_who_needs_a_read_is_named_and_rests(outbox, reader):
    topic = topic_of()
    topic.apply(job(version=200, offset=5))
    subscription = reader.add(outbox, JobSubscription(1, topic, log="all"))
    assert outbox.short(reader) == [("snapshot", 1)]
    assert outbox.wanting == [subscription]
    assert outbox.short(reader) == []


def test_it_says_when_to_come_again(outbox, reader):
    slow, fast = topic_of(), topic_of()
    reader.add(outbox, JobSubscription(1, slow, rate=1, due=outbox))
    reader.add(outbox, JobSubscription(2, fast, rate=4, due=outbox))
    outbox.taken(reader)
    for version in (101, 102):
        for topic in (slow, fast):
            topic.apply(job(version=version))
            topic.tell()
        outbox.taken(reader, now=10.0)
    assert outbox.alarm == pytest.approx(10.25)
    assert outbox.short(reader, now=10.3) == [("update", 2)]
    assert outbox.alarm == pytest.approx(11.0)


def test_news_without_end_sets_one_alarm(outbox, reader):
    topic = topic_of()
    reader.add(outbox, JobSubscription(1, topic, rate=1, due=outbox))
    for version in range(101, 200):
        topic.apply(job(version=version))
        topic.tell()
        outbox.taken(reader, now=10.0)
    assert len(outbox._alarms) == 1


def test_a_hidden_page_is_told_rarely(outbox, reader):
    topic = topic_of()
    subscription = reader.add(outbox, JobSubscription(1, topic, due=outbox))
    outbox.taken(reader)
    subscription.hidden = True
    for version, now, wanted in ((101, 10.0, 1), (102, 12.0, 0), (103, 15.1, 1)):
        topic.apply(job(version=version))
        topic.tell()
        assert len(outbox.taken(reader, now)) == wanted


def test_a_feed_speaks_through_it_too(outbox, reader):
    window = Window(Match(), 3)
    window.start_page()
    window.load(1, [job(id="1")], {"running": 1}, more=False)
    reader.add(outbox, FeedSubscription(4, window))
    assert outbox.short(reader) == [("snapshot", 4), ("live", 4)]


def test_one_that_cannot_say_what_it_owes_does_not_stop_the_others(outbox, reader):
    broken = reader.add(outbox, JobSubscription(1, topic_of()))
    broken.topic.job = "rubbish"
    other = Reader()
    other.add(outbox, JobSubscription(1, topic_of()))
    assert outbox.short(other) == [("snapshot", 1), ("live", 1)]
    assert [one for one, _ in outbox.failed] == [broken]


# shared


def test_clients_at_one_point_share_a_subscription_and_the_very_same_bytes(outbox):
    topic = topic_of()
    readers = watching(outbox, topic, 3)
    assert len({id(one.subscriptions[1]) for one in readers}) == 1
    assert len(topic.watchers) == 1
    topic.apply(job(version=150))
    topic.tell()
    outbox.compose(5.0)
    messages = {id(outbox.batches[one].message(JSON)) for one in readers}
    assert len(messages) == 1


@pytest.mark.parametrize("wish", [{"number": 2}, {"rate": 1}, {"log": "all"}, {"codec": MSGPACK}])
def test_those_who_want_it_otherwise_do_not_share(outbox, wish):
    topic = topic_of()
    (one,), (other,) = watching(outbox, topic), watching(outbox, topic, **wish)
    number = wish.get("number", 1)
    assert one.subscriptions[1] is not other.subscriptions[number]
    topic.apply(job(version=150))
    topic.tell()
    outbox.compose(5.0)
    frames = [reader.codec.decode(outbox.batches[reader].message(reader.codec)) for reader in (one, other)]
    assert [frame["sub"] for (frame,) in frames] == [1, number]


def test_one_who_has_seen_less_is_told_all_and_then_shares(outbox):
    topic = topic_of(entries=3)
    (one,) = watching(outbox, topic, log="all")
    late = Reader()
    late.add(outbox, JobSubscription(1, topic, log="all", after="s1-1.100.1", due=outbox))
    frames = outbox.taken(late)
    assert [frame["type"] for frame in frames] == ["snapshot", "log", "live"]
    assert frames[1]["first"] == 2
    assert late.subscriptions[1] is one.subscriptions[1]


def test_a_slow_client_is_passed_over_and_told_the_newest_when_it_can_take_it(outbox):
    topic = topic_of()
    readers = watching(outbox, topic, 4)
    slow = readers[0]
    outbox.slow[slow] = None
    for version in (150, 160):
        topic.apply(job(version=version))
        topic.tell()
        outbox.compose(version)
        assert set(outbox.batches) == set(readers[1:])
        outbox.batches.clear()
    assert slow.subscriptions[1] is not readers[1].subscriptions[1]
    outbox.forget(slow)
    outbox.owe(slow)
    (frame,) = outbox.taken(slow, now=170.0)
    assert frame["cursor"] == "s1-1.160.0"
    assert slow.subscriptions[1] is readers[1].subscriptions[1]
    assert len(topic.watchers) == 1


def test_where_most_are_slow_the_few_others_go_on(outbox):
    topic = topic_of()
    readers = watching(outbox, topic, 4)
    outbox.slow.update(dict.fromkeys(readers[:3]))
    topic.apply(job(version=150))
    topic.tell()
    outbox.compose(5.0)
    assert set(outbox.batches) == {readers[3]}
    assert len(topic.watchers) == 2


def test_where_all_are_slow_nothing_is_made(outbox):
    topic = topic_of()
    readers = watching(outbox, topic, 3)
    outbox.slow.update(dict.fromkeys(readers))
    topic.apply(job(version=150))
    topic.tell()
    outbox.compose(5.0)
    assert (outbox.batches, len(topic.watchers)) == ({}, 1)


def test_all_updates_of_a_moment_are_one_batch_that_equals_share():
    outbox = Desk(10_000)
    topics = [topic_of() for _ in range(10)]
    readers = [Reader() for _ in range(3)]
    for number, topic in enumerate(topics, 1):
        for one in readers:
            one.add(outbox, JobSubscription(number, topic, due=outbox))
    outbox.taken(readers[0])
    for topic in topics:
        topic.apply(job(version=150))
        topic.tell()
    outbox.compose(5.0)
    assert [batch.count for batch in outbox.batches.values()] == [10, 10, 10]
    assert len({id(batch) for batch in outbox.batches.values()}) == 1
    frames = JSON.decode(outbox.batches[readers[0]].message(JSON))
    assert sorted(frame["sub"] for frame in frames) == list(range(1, 11))


def test_the_last_one_who_leaves_a_shared_subscription_takes_it_along(outbox):
    topic = topic_of()
    readers = watching(outbox, topic, 3)
    for one in readers:
        one.subscriptions[1].leave(one)
    assert (topic.watchers, topic.standing) == ({}, {})


def test_merged_subscriptions_keep_to_the_slower_pace(outbox):
    topic = topic_of()
    (one,) = watching(outbox, topic, rate=1)
    topic.apply(job(version=150))
    topic.tell()
    outbox.taken(one, now=10.0)
    (other,) = watching(outbox, topic, rate=1)
    topic.apply(job(version=160))
    topic.tell()
    assert outbox.taken(other, now=10.5) == []
    assert outbox.short(other, now=11.0) == [("update", 1)]


def test_feeds_at_one_revision_with_other_counts_do_not_share(outbox, reader):
    window = Window(Match(), 3)
    window.start_page()
    window.load(1, [job(id="1")], {"running": 1}, more=False)
    readers = [Reader(), Reader()]
    first = readers[0].add(outbox, FeedSubscription(1, window, due=outbox))
    outbox.taken(readers[0])
    outbox.slow[readers[0]] = None
    window.counts = {"running": 2}
    readers[1].add(outbox, FeedSubscription(1, window, due=outbox))
    outbox.taken(readers[1], now=5.0)
    assert first.members == {readers[0]: None}
    outbox.forget(readers[0])
    outbox.owe(readers[0])
    assert outbox.taken(readers[0], now=6.0)[0]["counts"] == {"running": 2}
    assert readers[0].subscriptions[1] is readers[1].subscriptions[1]


def test_one_that_hides_goes_alone_and_comes_back(outbox):
    topic = topic_of()
    readers = watching(outbox, topic, 3)
    hidden = readers[0]
    outbox.touch(hidden.subscriptions[1].look(hidden, hidden=True))
    for version, now, wanted in ((101, 10.0, 1), (102, 12.0, 0)):
        topic.apply(job(version=version))
        topic.tell()
        outbox.compose(now)
        assert (hidden in outbox.batches) is bool(wanted)
        assert readers[1] in outbox.batches
        outbox.batches.clear()
    outbox.touch(hidden.subscriptions[1].look(hidden, hidden=False))
    assert outbox.short(hidden, now=12.5) == [("update", 1)]
    assert hidden.subscriptions[1] is readers[1].subscriptions[1]


def test_one_that_parts_while_the_others_wait_for_a_read_asks_for_its_own(outbox):
    topic = topic_of()
    readers = watching(outbox, topic, 2, log="all")
    topic.apply(job(version=200, offset=5))
    topic.tell()
    outbox.compose(5.0)
    (shared,) = outbox.wanting
    shared.reading = True
    own = shared.look(readers[0], hidden=True)
    outbox.touch(own)
    outbox.compose(20.0)
    assert outbox.wanting == [shared, own]


# the last words


def test_the_last_words_hold_what_was_composed_and_what_is_owed(outbox, reader):
    topic = topic_of()
    others = watching(outbox, topic, 2)
    reader.add(outbox, JobSubscription(1, topic, due=outbox))
    outbox.taken(reader)
    reader.reply(outbox, {"type": "pong", "n": 1})
    outbox.compose(1.0)
    topic.apply(job(version=150))
    topic.tell()
    frames = [JSON.decode(frame) for frame in outbox.last(reader, 2.0)]
    assert [frame["type"] for frame in frames] == ["pong", "update"]
    assert reader not in outbox.batches
    assert outbox.short(others[0], now=3.0) == [("update", 1)]


def test_one_that_cannot_say_what_it_owes_has_last_words_all_the_same(outbox, reader):
    broken = reader.add(outbox, JobSubscription(1, topic_of()))
    broken.topic.job = "rubbish"
    reader.reply(outbox, {"type": "pong", "n": 1})
    assert [JSON.decode(frame)["type"] for frame in outbox.last(reader, 0.0)] == ["pong"]


def test_the_last_words_are_bounded_too(outbox, reader):
    reader.add(outbox, JobSubscription(1, topic_of(entries=500), log="all"))
    assert sum(map(len, outbox.last(reader, 0.0))) < 2500
