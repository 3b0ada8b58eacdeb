"""What one client is told of a job: the order of frames, cursors that can be handed back, and a log without a hole."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from job_values import job
from members import Desk
from members import Reader as Sharer

from server.codec import MSGPACK
from server.cursor import Cursor
from server.job import JobState
from server.job_subscription import JobSubscription
from server.topic import Entry, Run, Topic, runs

ROOM = 10_000


def entry(number):
    """A log entry that says its number."""
    return Entry({"n": number}, 50)


def topic_of(offset=0, **given):
    """A loaded topic with all of its log in the ring."""
    topic = Topic("x")
    topic.apply(job(offset=offset, **given))
    topic.ring.extend(1, [entry(i) for i in range(1, offset + 1)])
    return topic


def say(topic, offset=None, **given):
    """A newer summary, and entries up to `offset`."""
    offset = topic.ring.tail if offset is None else offset
    first = topic.ring.tail + 1
    topic.apply(job(**{"version": topic.job.version + 1, "offset": offset, **given}))
    topic.ring.extend(first, [entry(i) for i in range(first, offset + 1)])


def take(subscription, now=0.0, room=ROOM, hidden_s=None):
    """All frames that are owed now."""
    found = []
    while (frame := subscription.next(now, room, hidden_s)) is not None:
        found.append(frame)
    return found


def kinds(frames):
    return [frame["type"] for frame in frames]


def logged(frames):
    """Offsets of all entries in frames, checked against what they say."""
    found = []
    for frame in frames:
        if frame["type"] == "log":
            numbers = [one["n"] for one in frame["entries"]]
            assert numbers == list(range(frame["first"], frame["first"] + len(numbers)))
            found += numbers
    return found


def test_nothing_is_said_before_the_job_is_known():
    topic = Topic("x")
    subscription = JobSubscription(1, topic)
    assert subscription.next(0, ROOM) is None
    topic.apply(job())
    assert kinds(take(subscription)) == ["snapshot", "live"]


def test_an_unknown_job_is_an_error_and_nothing_follows():
    topic = Topic("x")
    topic.missing = True
    subscription = JobSubscription(7, topic)
    (frame,) = take(subscription)
    assert (frame["type"], frame["sub"], frame["code"]) == ("error", 7, "not_found")


def test_a_job_the_store_lost_for_good_is_an_error_in_mid_stream():
    topic = topic_of()
    subscription = JobSubscription(1, topic)
    take(subscription)
    topic.job, topic.missing = None, True
    assert kinds(take(subscription)) == ["error"]


def test_without_a_wish_for_the_log_only_summaries_come():
    topic = topic_of(offset=5)
    subscription = JobSubscription(1, topic)
    frames = take(subscription)
    say(topic, 9)
    frames += take(subscription, now=1)
    assert kinds(frames) == ["snapshot", "live", "update"]
    assert frames[0]["cursor"] == "s1-1.100.0"
    assert frames[-1]["job"]["cursor"] == "s1-1.101.9"
    assert frames[-1]["cursor"] == "s1-1.101.0"


def test_the_whole_log_comes_between_snapshot_and_live():
    frames = take(JobSubscription(1, topic_of(offset=5), log="all"))
    assert kinds(frames) == ["snapshot", "log", "live"]
    assert (frames[0]["how"], logged(frames)) == ("fresh", [1, 2, 3, 4, 5])
    assert [frame["cursor"] for frame in frames[:2]] == ["s1-1.100.0", "s1-1.100.5"]


@pytest.mark.parametrize(("wish", "wanted"), [(2, [4, 5]), (0, []), (99, [1, 2, 3, 4, 5])])
def test_the_last_n_entries_come_without_a_gap(wish, wanted):
    topic = topic_of(offset=5)
    subscription = JobSubscription(1, topic, log=wish)
    frames = take(subscription)
    assert "gap" not in kinds(frames)
    assert logged(frames) == wanted
    say(topic, 6)
    assert logged(take(subscription, now=1)) == [6]


def test_a_long_log_comes_in_pieces_that_fit_the_room():
    subscription = JobSubscription(1, topic_of(offset=50), log="all")
    frames = take(subscription, room=500)
    assert logged(frames) == list(range(1, 51))
    assert kinds(frames) == ["snapshot", *["log"] * 5, "live"]


def test_what_is_not_at_hand_is_asked_for_and_goes_on_when_it_comes():
    topic = topic_of(offset=5)
    topic.ring.skip(8)
    topic.apply(job(version=200, offset=8))
    subscription = JobSubscription(1, topic, log="all")
    assert kinds(take(subscription)) == ["snapshot"]
    assert (subscription.behind, subscription.offset) == (True, 0)
    subscription.take(runs(1, 8, 0, [(i, entry(i), None) for i in range(1, 9)]))
    frames = take(subscription)
    assert (kinds(frames), logged(frames)) == (["log", "live"], list(range(1, 9)))


def test_gaps_are_told_with_their_reason():
    topic = topic_of()
    topic.apply(job(version=200, offset=6))
    subscription = JobSubscription(1, topic, log="all")
    take(subscription)
    subscription.take(runs(3, 6, 0, [(3, entry(3), None), (5, None, 4), (6, entry(6), None)]))
    frames = take(subscription)
    assert kinds(frames) == ["gap", "log", "gap", "log", "live"]
    assert [(f["from"], f["to"], f["why"]) for f in frames if f["type"] == "gap"] == [(1, 2, "trimmed"), (4, 5, "lost")]
    assert [frame["cursor"] for frame in frames[:-1]] == [f"s1-1.200.{offset}" for offset in (2, 3, 5, 6)]


def test_entries_the_store_announced_and_then_lost_are_a_gap():
    topic = topic_of()
    topic.apply(job(version=200, offset=6))
    subscription = JobSubscription(1, topic, log="all")
    take(subscription)
    subscription.take([])
    (gap, live) = take(subscription)
    assert (gap["from"], gap["to"], gap["why"], live["type"]) == (1, 6, "lost", "live")


def test_updates_come_no_more_often_than_asked_for_and_the_last_one_always():
    topic = topic_of()
    subscription = JobSubscription(1, topic, rate=2)
    take(subscription)
    say(topic)
    assert kinds(take(subscription, now=10.0)) == ["update"]
    say(topic)
    say(topic)
    assert take(subscription, now=10.1) == []
    assert subscription.due_s == pytest.approx(0.4)
    (frame,) = take(subscription, now=10.5)
    assert frame["job"]["cursor"] == "s1-1.103.0"
    assert take(subscription, now=20.0) == []
    assert subscription.due_s is None


def test_a_hidden_page_waits_but_not_for_the_end():
    topic = topic_of()
    subscription = JobSubscription(1, topic)
    take(subscription)
    say(topic)
    assert kinds(take(subscription, now=10, hidden_s=5)) == ["update"]
    say(topic)
    assert take(subscription, now=14, hidden_s=5) == []
    say(topic, state=JobState.SUCCEEDED)
    topic.outcome = {"result": 1}
    assert kinds(take(subscription, now=14, hidden_s=5)) == ["end"]


def test_the_end_comes_after_the_whole_log_and_with_its_outcome():
    topic = topic_of()
    subscription = JobSubscription(1, topic, log="all")
    take(subscription)
    say(topic, 3, state=JobState.SUCCEEDED)
    topic.outcome = {"result": 7}
    frames = take(subscription, now=1)
    assert kinds(frames) == ["log", "end"]
    assert (frames[1]["job"]["result"], frames[1]["last"]) == (7, 3)
    assert frames[1]["cursor"] == frames[1]["job"]["cursor"]
    assert take(subscription, now=2) == []


def test_the_end_waits_for_its_outcome():
    topic = topic_of()
    subscription = JobSubscription(1, topic)
    take(subscription)
    say(topic, state=JobState.FAILED)
    assert take(subscription, now=1) == []
    topic.outcome = {"error": {"code": "exception"}}
    assert kinds(take(subscription, now=1)) == ["end"]


def test_an_ended_job_tells_its_end_to_everyone_who_comes():
    topic = topic_of(offset=2, state=JobState.FAILED)
    topic.outcome = {"error": None}
    assert kinds(take(JobSubscription(1, topic, log="all"))) == ["snapshot", "log", "live", "end"]
    assert kinds(take(JobSubscription(1, topic, after="s1-1.100.2", log="all"))) == ["snapshot", "live", "end"]


def test_no_cursor_before_the_end_is_the_end_s():
    topic = topic_of(offset=2, state=JobState.FAILED)
    topic.outcome = {"error": None}
    *before, end = take(JobSubscription(1, topic, log="all"))
    assert end["cursor"] == "s1-1.100.2"
    assert end["cursor"] not in [frame.get("cursor") for frame in before]


@pytest.mark.parametrize(
    ("after", "how", "log_from", "wanted"),
    [
        ("s1-1.90.3", "resumed", None, [4, 5]),
        ("s1-1.90.5", "resumed", None, []),
        ("s1-1.90.9", "resumed", None, []),  # the store lost its tail; what was seen is not sent again
        ("s2-1.90.3", "reset", 1, [1, 2, 3, 4, 5]),
        ("s1-2.90.3", "reset", 1, [1, 2, 3, 4, 5]),
        ("garbage", "reset", 1, [1, 2, 3, 4, 5]),
    ],
)
def test_a_cursor_decides_where_the_log_goes_on(after, how, log_from, wanted):
    subscription = JobSubscription(1, topic_of(offset=5), after=after, log="all")
    subscription.catch_up()  # the store says the same as the topic
    frames = take(subscription)
    assert (frames[0]["how"], frames[0].get("log_from")) == (how, log_from)
    assert logged(frames) == wanted


@pytest.mark.parametrize("after", ["s1-1.101.3", "s1-2.150.3"])
def test_a_client_that_has_seen_more_elsewhere_waits_until_this_node_has_it(after):
    topic = topic_of(offset=5)
    subscription = JobSubscription(1, topic, after=after, log="all")
    assert take(subscription) == []
    assert subscription.ahead
    topic.apply(job(version=160, attempt=2, attempt_firsts=(1, 6), offset=6))
    subscription.catch_up()
    frames = take(subscription)
    assert frames[0]["how"] == "resumed"
    assert frames[0]["job"]["attempt"] == 2


def test_entries_of_an_attempt_the_topic_does_not_know_yet_wait_for_it():
    topic = Topic("x")
    topic.apply(job(offset=3))
    topic.ring.skip(3)
    subscription = JobSubscription(1, topic, log="all")
    take(subscription)
    subscription.take([Run(1, [entry(i) for i in range(1, 10)])])  # the store has more: 4 to 9 are attempt 2's
    assert logged(take(subscription, now=1.0)) == [1, 2, 3]
    topic.apply(job(version=110, attempt=2, attempt_firsts=(1, 4), offset=9))
    frames = take(subscription, now=2.0)
    assert "snapshot" not in [frame["type"] for frame in frames]


def test_a_cursor_past_the_new_attempt_s_first_entry_is_set_back():
    topic = topic_of(offset=8, attempt=2, attempt_firsts=(1, 6))
    frames = take(JobSubscription(1, topic, after="s1-1.90.7", log="all"))
    assert (frames[0]["how"], frames[0]["log_from"], logged(frames)) == ("reset", 6, [6, 7, 8])
    frames = take(JobSubscription(1, topic, after="s1-1.90.5", log="all"))
    assert (frames[0]["how"], logged(frames)) == ("resumed", [6, 7, 8])


def test_a_cursor_keeps_its_offset_where_no_log_is_wanted():
    frames = take(JobSubscription(1, topic_of(offset=5), after="s1-1.90.3"))
    assert kinds(frames) == ["snapshot", "live"]
    assert frames[0]["cursor"] == "s1-1.100.3"


def test_a_new_attempt_is_a_plain_update_and_the_log_goes_on():
    topic = topic_of(offset=3)
    subscription = JobSubscription(1, topic, log="all")
    take(subscription)
    say(topic, 5, attempt=2, attempt_firsts=(1, 4))
    frames = take(subscription, now=1)
    assert (kinds(frames), logged(frames)) == (["update", "log"], [4, 5])
    assert frames[-1]["cursor"] == "s1-2.101.5"


def test_a_client_that_saw_what_the_store_lost_with_its_writer_is_set_back_in_mid_stream():
    topic = topic_of(offset=8)
    subscription = JobSubscription(1, topic, log="all")
    take(subscription)
    topic.apply(job(version=200, offset=5, attempt=2, attempt_firsts=(1, 6)))
    frames = take(subscription, now=1)
    assert (kinds(frames), frames[0]["how"], frames[0]["log_from"]) == (["snapshot", "live"], "reset", 6)
    say(topic, 7, attempt=2, attempt_firsts=(1, 6))
    assert logged(take(subscription, now=2)) == [6, 7]


def test_another_store_sets_a_client_back_to_the_beginning():
    topic = topic_of(offset=8)
    subscription = JobSubscription(1, topic, log="all")
    take(subscription)
    topic.apply(job(version=50, store="s2", offset=0))
    frames = take(subscription, now=1)
    assert (frames[0]["how"], frames[0]["log_from"], frames[0]["cursor"]) == ("reset", 1, "s2-1.50.0")
    say(topic, 2, store="s2")
    assert logged(take(subscription, now=2)) == [1, 2]


class Store:
    """The job and its log as they are stored."""

    def __init__(self):
        self.job = job(version=100)
        self.log = {}  # offset: number of the entry, None where it is stored as lost
        self.first = 1  # first offset kept
        self.numbers = 0

    def step(self, **given):
        self.job = job(
            **{
                "version": self.job.version + 1,
                "attempt": self.job.attempt,
                "attempt_firsts": self.job.attempt_firsts,
                "offset": len(self.log),
                **given,
            }
        )

    def rows(self, after, most):
        """What `log.lua` answers."""
        found, offset = [], max(after + 1, self.first)
        while offset <= len(self.log) and len(found) < most:
            start = offset
            while self.log[offset] is None and self.log.get(offset + 1, 0) is None:
                offset += 1
            number = self.log[offset]
            found.append((offset, None, start) if number is None else (offset, entry(number), None))
            offset += 1
        return runs(self.first, len(self.log), after, found)


class Reader:
    """A client: what it has applied, over all its connections."""

    def __init__(self):
        self.cursor = None
        self.offset = 0
        self.log = {}  # offset: number of the entry, None for a gap
        self.version = 0
        self.phase = "none"
        self.ends = 0

    def connect(self):
        self.phase = "opening"

    def apply(self, frame):
        getattr(self, f"on_{frame['type']}")(frame)
        if "cursor" in frame:
            assert Cursor.parse(frame["cursor"]).offset == self.offset
            self.cursor = frame["cursor"]

    def on_snapshot(self, frame):
        assert self.phase == "opening" or frame["how"] == "reset"
        self.phase = "replay"
        if frame["how"] == "reset":
            self.log = {offset: number for offset, number in self.log.items() if offset < frame["log_from"]}
            self.offset = frame["log_from"] - 1
        self.see(frame, strictly=False)

    def see(self, frame, strictly):
        version = Cursor.parse(frame["job"]["cursor"]).version
        assert version > self.version or (version == self.version and not strictly)
        self.version = version

    def on_log(self, frame):
        assert self.phase in ("replay", "live")
        assert frame["first"] == self.offset + 1
        for one in frame["entries"]:
            self.offset += 1
            assert self.offset not in self.log
            self.log[self.offset] = one["n"]

    def on_gap(self, frame):
        assert self.phase in ("replay", "live")
        assert frame["from"] == self.offset + 1 <= frame["to"]
        for offset in range(frame["from"], frame["to"] + 1):
            self.log[offset] = None
        self.offset = frame["to"]

    def on_live(self, frame):
        assert self.phase == "replay"
        self.phase = "live"

    def on_update(self, frame):
        assert self.phase == "live"
        assert frame["job"]["state"] not in ("succeeded", "failed", "cancelled")
        self.see(frame, strictly=True)

    def on_end(self, frame):
        assert self.phase == "live"
        self.see(frame, strictly=False)
        assert frame["last"] == self.offset
        self.phase = "ended"
        self.ends += 1


class Watch(RuleBasedStateMachine):
    """A job that runs, a node that may miss messages, a client that is cut off at any frame and comes back."""

    @initialize(pieces=st.sampled_from([120, 300, 10_000]))
    def open(self, pieces):
        self.store = Store()
        self.reader = Reader()
        self.pieces = pieces  # room of a batch
        self.now = 0.0
        self.topic = None
        self.connect(same_node=False)

    def announce(self, first=None, heard=True, heavy=False):
        """Tell the node of the last step; `first`: of the entries that travel with it."""
        if not heard:
            return
        self.topic.apply(self.store.job)
        if first is None or heavy:
            self.topic.ring.skip(self.store.job.offset)
        else:
            numbers = [self.store.log[offset] for offset in range(first, len(self.store.log) + 1)]
            self.topic.ring.extend(first, [entry(number) for number in numbers])

    def running(self):
        return not self.store.job.ended

    # the job

    @precondition(running)
    @rule(count=st.integers(0, 5), heard=st.booleans(), heavy=st.booleans())
    def report(self, count, heard, heavy):
        first = len(self.store.log) + 1
        for offset in range(first, first + count):
            self.store.numbers += 1
            self.store.log[offset] = self.store.numbers
        self.store.step()
        self.announce(first if count else None, heard, heavy)

    @precondition(running)
    @rule(count=st.integers(1, 3), heard=st.booleans())
    def lose_unsent_entries(self, count, heard):
        first = len(self.store.log) + 1
        self.store.log.update(dict.fromkeys(range(first, first + count)))
        self.store.step()
        self.announce(None, heard)

    @rule(count=st.integers(1, 6))
    def trim(self, count):
        self.store.first = min(self.store.first + count, len(self.store.log) + 1)

    @precondition(running)
    @rule(lost=st.integers(0, 3), heard=st.booleans())
    def worker_is_lost_and_the_store_its_tail(self, lost, heard):
        kept = max(self.store.first - 1, len(self.store.log) - lost, 0)
        self.store.log = {offset: self.store.log[offset] for offset in range(1, kept + 1)}
        firsts = (*self.store.job.attempt_firsts, kept + 1)
        self.store.step(attempt=self.store.job.attempt + 1, attempt_firsts=firsts, state=JobState.QUEUED)
        self.announce(None, heard)

    @precondition(running)
    @rule(heard=st.booleans(), with_outcome=st.booleans())
    def end(self, heard, with_outcome):
        self.store.step(state=JobState.SUCCEEDED)
        self.announce(None, heard)
        if heard and with_outcome:
            self.topic.outcome = {"result": 1}

    # the node

    @rule()
    def resync(self):
        self.topic.apply(self.store.job)
        self.topic.ring.skip(self.store.job.offset)
        if self.store.job.ended:
            self.topic.outcome = {"result": 1}

    # the client

    def connect(self, *, same_node):
        if not same_node or self.topic is None:
            self.topic = Topic("x")
            self.resync()
        self.reader.connect()
        self.outbox, self.client = Desk(self.pieces), Sharer(MSGPACK)
        self.subscription = JobSubscription(
            1, self.topic, after=self.reader.cursor, log="all", rate=10**6, codec=MSGPACK
        )
        self.client.add(self.outbox, self.subscription)

    @rule(same_node=st.booleans())
    def cut(self, same_node):
        if self.reader.phase != "ended":
            self.connect(same_node=same_node)

    @rule(arrives=st.integers(0, 20), reads=st.booleans(), most=st.integers(1, 4))
    def take(self, arrives, reads, most):
        """A batch leaves; the client may be cut off in its middle."""
        self.now += 1
        self.outbox.touch(self.subscription)
        batch = self.outbox.taken(self.client, self.now)
        for frame in batch[:arrives]:
            self.reader.apply(frame)
        if arrives < len(batch):
            if self.reader.phase != "ended":
                self.connect(same_node=True)
        elif self.subscription.behind and reads:
            self.subscription.take(self.store.rows(self.subscription.offset, most))

    def teardown(self):
        if not hasattr(self, "reader"):
            return
        self.resync()
        for _ in range(200):
            self.take(10**6, True, 4)
        last = len(self.store.log)
        assert self.reader.ends == int(self.store.job.ended)
        assert self.reader.phase == ("ended" if self.store.job.ended else "live")
        if self.reader.ends == 0:
            assert self.reader.version == self.store.job.version
        assert sorted(self.reader.log) == list(range(1, last + 1))
        for offset, number in self.reader.log.items():
            assert number in (None, self.store.log[offset])
        kept = [offset for offset in range(self.store.first, last + 1) if self.store.log[offset] is not None]
        assert self.reader.ends or all(self.topic.ring.tail >= offset for offset in kept)


TestWhateverHappensAClientHasTheLogOnceAndInOrder = Watch.TestCase
TestWhateverHappensAClientHasTheLogOnceAndInOrder.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None
)
