"""When what clients are owed leaves: at once, in windows, in chunks; and what goes wrong with one hurts no other."""

import asyncio
import time

import pytest
from job_values import job
from members import Reader
from web import eventually

from server.fanout import CHUNK, Fanout
from server.job_subscription import JobSubscription
from server.metrics import Traffic
from server.protocol import CloseCode
from server.settings import Settings
from server.topic import Topic


class Wire(Reader):
    """A client and its connection in one: notes what is sent, and when."""

    def __init__(self, sent):
        super().__init__()
        self.transport = self.wire = self
        self.sent = sent
        self.takes = True
        self.messages = []
        self.ended = None
        self.on_send = lambda: None

    def send(self, message):
        self.sent.append(self)
        self.messages.append(self.codec.decode(message))
        self.on_send()
        return self.takes

    def end(self, code, reason):
        self.ended = code
        self.closed = True


class House:
    """A fanout, a topic, and clients that are live on it."""

    def __init__(self, count):
        self.traffic = Traffic()
        self.behind = []
        self.fanout = Fanout(Settings(), self.traffic, self.behind.append)
        self.topic = Topic("x")
        self.topic.apply(job(version=100))
        self.sent = []
        self.wires = [Wire(self.sent) for _ in range(count)]
        for wire in self.wires:
            self.add(wire)

    def add(self, wire):
        subscription = JobSubscription(1, self.topic, rate=10**6, traffic=self.traffic, due=self.fanout)
        self.topic.watchers[subscription] = None
        subscription.join(wire)
        subscription.merge()
        self.fanout.touch(wire.subscriptions[1])

    async def live(self):
        await eventually(lambda: all(wire.messages for wire in self.wires))
        await eventually(lambda: time.monotonic() > self.fanout._free_at)
        self.sent.clear()
        return self

    def news(self, version):
        self.topic.apply(job(version=version))
        self.topic.tell()


async def turns(count):
    """So many turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


async def house(count=1):
    return await House(count).live()


@pytest.mark.gen_test
async def test_the_first_news_after_a_pause_leaves_in_the_same_turn():
    one = await house()
    one.news(101)
    await turns(1)
    assert len(one.sent) == 1


@pytest.mark.gen_test
async def test_all_news_of_a_turn_leave_as_one():
    one = await house()
    for version in range(101, 111):
        one.news(version)
    await turns(2)
    assert [frame["type"] for frame in one.wires[0].messages[-1]] == ["update"]
    assert len(one.sent) == 1
    assert one.traffic.conflated == 9


@pytest.mark.gen_test
async def test_after_a_long_flush_the_next_one_waits_as_long_and_joins_what_came():
    one = await house()
    one.wires[0].on_send = lambda: time.sleep(0.02)
    began = time.monotonic()
    one.news(101)
    await turns(2)
    assert len(one.sent) == 1
    for version in (102, 103):
        one.news(version)
        await turns(3)
    assert len(one.sent) == 1
    await eventually(lambda: len(one.sent) == 2)
    assert time.monotonic() - began >= 0.04
    assert one.wires[0].messages[-1][0]["cursor"] == "s1-1.103.0"


@pytest.mark.gen_test
async def test_a_node_that_needs_all_its_time_for_flushing_takes_it():
    one = await house()
    one.wires[0].on_send = lambda: time.sleep(0.06)
    began = time.monotonic()
    for version in range(101, 111):
        one.news(version)
        await eventually(lambda told=version - 100: len(one.sent) == told)
    assert time.monotonic() - began < 10 * (0.06 + 0.03)


@pytest.mark.gen_test
async def test_a_window_is_bounded_however_long_a_flush_took():
    one = await house()
    one.wires[0].on_send = lambda: time.sleep(0.3)
    one.news(101)
    await turns(2)
    one.wires[0].on_send = lambda: None
    before = time.monotonic()
    one.news(102)
    await eventually(lambda: len(one.sent) == 2)
    assert time.monotonic() - before < 0.25


@pytest.mark.gen_test
async def test_a_big_fan_out_gives_the_loop_a_turn_every_so_many():
    one = await house(3 * CHUNK)
    one.news(101)
    told = []
    while not told or told[-1] < 3 * CHUNK:
        await turns(1)
        told.append(len(one.sent))
    assert sorted({count for count in told if count}) == [CHUNK, 2 * CHUNK, 3 * CHUNK]


@pytest.mark.gen_test
async def test_news_that_come_in_the_midst_of_a_fan_out_go_to_all():
    one = await house(3 * CHUNK)
    one.news(101)
    while not one.sent:
        await turns(1)
    assert len(one.sent) < 3 * CHUNK
    one.news(102)
    await eventually(lambda: all(wire.messages[-1][-1].get("cursor") == "s1-1.102.0" for wire in one.wires))
    for wire in one.wires:
        cursors = [frame["cursor"] for message in wire.messages[-2:] for frame in message if frame["type"] == "update"]
        assert cursors == ["s1-1.101.0", "s1-1.102.0"]


@pytest.mark.gen_test
async def test_one_that_goes_in_the_midst_of_a_fan_out_is_not_sent_to():
    one = await house(2 * CHUNK)
    one.news(101)
    while not one.sent:
        await turns(1)
    left = next(wire for wire in one.wires if wire not in one.sent)
    left.closed = True
    left.subscriptions[1].leave(left)
    one.fanout.forget(left)
    await eventually(lambda: len(one.sent) == 2 * CHUNK - 1)
    await turns(3)
    assert left not in one.sent


@pytest.mark.gen_test
async def test_one_that_takes_nothing_is_passed_over_until_it_can():
    one = await house(3)
    slow = one.wires[1]
    slow.takes = False
    one.news(101)
    await eventually(lambda: one.fanout.is_slow(slow))
    for count, version in enumerate((102, 103), 2):
        one.news(version)
        await eventually(lambda count=count: one.sent.count(one.wires[0]) == count)
    assert one.sent.count(slow) == 1
    slow.takes = True
    one.fanout.writable(slow)
    await eventually(lambda: one.sent.count(slow) == 2)
    assert slow.messages[-1][0]["cursor"] == "s1-1.103.0"
    assert slow.subscriptions[1] is one.wires[0].subscriptions[1]


@pytest.mark.expects_log("what it is owed cannot be sent")
@pytest.mark.gen_test
async def test_one_that_cannot_be_sent_to_is_ended_and_the_others_are_not():
    one = await house(3)

    def break_down():
        raise RuntimeError("broken")

    one.wires[1].on_send = break_down
    one.news(101)
    await eventually(lambda: len(one.sent) == 3)
    assert [wire.ended for wire in one.wires] == [None, CloseCode.OVERLOADED, None]


@pytest.mark.gen_test
async def test_after_stop_nothing_leaves():
    one = await house()
    one.news(101)
    one.fanout.stop()
    await turns(3)
    assert one.sent == []
