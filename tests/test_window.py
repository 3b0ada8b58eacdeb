"""The live window of a feed, against a plain look at all jobs."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from job_values import job

from server.feed_subscription import FeedSubscription
from server.job import TERMINAL, Job, JobState
from server.protocol import FeedFilter
from server.subscription import Phase
from server.window import Match, Window

STATES = st.sampled_from([JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED])
TASKS, TAGS = ("add", "mul"), ((), ("a",), ("a", "b"))
ROOM = 2000  # two summaries a batch


@pytest.mark.parametrize(
    ("given", "countable", "fits"),
    [
        ({}, True, True),
        ({"state": "running"}, True, True),
        ({"state": ["queued", "failed"]}, True, False),
        ({"task": "add"}, True, True),
        ({"task": ["add", "mul"]}, False, True),
        ({"task": "mul"}, True, False),
        ({"tag": ["a", "x"]}, False, True),
        ({"tag": "b"}, True, False),
        ({"tag": []}, False, False),
        ({"task": "add", "queue": "default"}, False, True),
        ({"task": "add", "queue": "other"}, False, False),
    ],
)
def test_a_filter_is_or_within_a_field_and_and_between(given, countable, fits):
    match = Match.of(FeedFilter(**given))
    assert (match.countable, match.fits(job(tags=("a",)))) == (countable, fits)


def window_of(*jobs, limit=3, more=False, match=None):
    """A window loaded with jobs, newest first."""
    window = Window(match or Match(), limit)
    window.start_page()
    window.load(10, list(jobs), dict(Counter(one.state.value for one in jobs)), more)
    return window


def ids(found):
    return [one.id for one in found]


def test_a_new_job_pushes_the_oldest_out():
    window = window_of(job(id="3"), job(id="2"), job(id="1"))
    assert window.apply(11, job(id="4"), None, False)
    assert ids(window.jobs) == ["4", "3", "2"]
    diff = window.since(3, 100)
    assert (ids(diff.jobs), diff.gone) == (["4"], ["1"])


def test_a_job_that_no_longer_fits_is_gone_and_the_next_one_is_wanted():
    running = Match(states=frozenset([JobState.RUNNING]))
    window = window_of(job(id="3"), job(id="2"), job(id="1"), more=True, match=running)
    window.apply(11, job(id="2", version=200, state=JobState.FAILED), JobState.RUNNING, False)
    assert ids(window.jobs) == ["3", "1"]
    assert (window.hungry, window.oldest) == (True, "1")
    window.start_page()
    window.fill(12, [job(id="0")], more=False)
    assert (ids(window.jobs), window.hungry) == (["3", "1", "0"], False)


def test_an_older_version_changes_nothing():
    window = window_of(job(id="1", version=200))
    assert not window.apply(11, job(id="1", version=150), JobState.RUNNING, False)
    assert window.jobs[0].version == 200


def test_a_deleted_job_leaves_the_window_and_the_counts():
    window = window_of(job(id="1", state=JobState.FAILED))
    window.apply(11, job(id="1", state=JobState.FAILED), JobState.FAILED, True)
    assert (window.jobs, window.counts["failed"]) == ([], 0)


def test_what_the_page_has_counted_already_is_not_counted_again():
    window = window_of(job(id="1"))
    assert not window.apply(10, job(id="1"), JobState.QUEUED, False)
    assert window.counts == {"running": 1}
    window.apply(11, job(id="2"), None, False)
    assert window.counts == {"running": 2}


def test_what_changes_while_a_page_is_read_is_not_lost():
    window = Window(Match(), 3)
    window.start_page()
    window.apply(9, job(id="1", version=101), JobState.QUEUED, False)
    window.apply(11, job(id="2"), None, False)
    window.load(10, [job(id="1", version=101)], {"running": 1}, more=False)
    assert ids(window.jobs) == ["2", "1"]
    assert window.counts == {"running": 2}


def test_a_second_look_changes_nothing_where_nothing_was_missed():
    jobs = [job(id="3"), job(id="2"), job(id="1")]
    window = window_of(*jobs, more=True)
    before = window.revision
    window.start_page()
    assert window.compare(11, jobs, dict(window.counts), more=True)
    assert (window.revision, window.generation) == (before, 1)


def test_a_second_look_brings_what_was_missed_without_a_new_snapshot():
    window = window_of(job(id="3"), job(id="2"), job(id="1"))
    before = window.revision
    window.start_page()
    found = [job(id="4"), job(id="3", version=101), job(id="1")]
    assert window.compare(20, found, {"running": 3, "failed": 1}, more=False)
    assert (ids(window.jobs), window.counts) == (["4", "3", "1"], {"running": 3, "failed": 1})
    diff = window.since(before, 100)
    assert (sorted(ids(diff.jobs)), diff.gone, window.generation) == (["3", "4"], ["2"], 1)


def test_a_client_too_far_behind_gets_a_new_snapshot():
    window = window_of(job(id="01"), limit=2)
    subscription = FeedSubscription(1, window, rate=10**6)
    assert [subscription.next(0, ROOM)["type"] for _ in range(2)] == ["snapshot", "live"]
    for i in range(2, 20):
        window.apply(10 + i, job(id=f"{i:02}"), None, False)
    frame = subscription.next(1, ROOM)
    assert (frame["type"], frame["how"]) == ("snapshot", "reset")
    assert [one["id"] for one in frame["jobs"]] == ["19", "18"]


def test_a_feed_is_told_no_more_often_than_it_asked_for():
    window = window_of(job(id="1"))
    subscription = FeedSubscription(1, window, rate=2)
    for _ in range(2):
        subscription.next(0, ROOM)
    window.apply(11, job(id="1", version=101), JobState.RUNNING, False)
    assert subscription.next(100.0, ROOM)["type"] == "update"
    window.apply(12, job(id="1", version=102), JobState.RUNNING, False)
    assert subscription.next(100.2, ROOM) is None
    assert subscription.due_s == pytest.approx(0.3)
    assert subscription.next(100.5, ROOM)["jobs"][0]["cursor"] == "s1-1.102.0"


def test_a_hidden_page_is_told_of_a_feed_rarely():
    window = window_of(job(id="1"))
    subscription = FeedSubscription(1, window, rate=10)
    for _ in range(2):
        subscription.next(0, ROOM)
    window.apply(11, job(id="1", version=101), JobState.RUNNING, False)
    assert subscription.next(100.0, ROOM, hidden_s=5)["type"] == "update"
    window.apply(12, job(id="1", version=102), JobState.RUNNING, False)
    assert subscription.next(104.0, ROOM, hidden_s=5) is None


class Table:
    """What a client makes of the frames of a feed."""

    def __init__(self, subscription):
        self.subscription = subscription
        self.jobs = {}
        self.counts = None
        self.live = False

    def pump(self, now, frames):
        """Take at most so many frames; whether there are no more."""
        for _ in range(frames):
            frame = self.subscription.next(now, ROOM)
            if frame is None:
                return True
            self.apply(frame)
        return False

    def apply(self, frame):
        if frame["type"] == "snapshot":
            self.jobs, self.live = {}, False
        if frame["type"] == "live":
            assert not self.live
            self.live = True
            return
        for gone in frame.get("gone", ()):
            self.jobs.pop(gone, None)
        for one in frame["jobs"]:
            known = self.jobs.get(one["id"])
            assert known is None or version(one) >= version(known), "a version went back"
            self.jobs[one["id"]] = one
        self.counts = frame["counts"]


def version(summary):
    return int(summary["cursor"].split(".")[1])


class Feed(RuleBasedStateMachine):
    """A store, a window that hears of it late, and two clients that take frames when they like."""

    @initialize(
        limit=st.integers(1, 4),
        match=st.sampled_from(
            [
                Match(),
                Match(states=frozenset([JobState.RUNNING])),
                Match(tasks=frozenset(["add"])),
                Match(tags=frozenset(["a"]), states=frozenset([JobState.QUEUED, JobState.RUNNING])),
                Match(tasks=frozenset(["add"]), tags=frozenset(["b"])),
            ]
        ),
    )
    def open(self, limit, match):
        self.store: dict[str, Job] = {}
        self.seq = 0
        self.version = 100
        self.numbers = 0
        self.heard = []  # messages on their way
        self.window = Window(match, limit)
        self.page = None  # a page on its way: what it says
        self.missed = False  # a message was lost, and nobody has noticed
        self.clients = [Table(FeedSubscription(i, self.window, rate=10**9)) for i in (1, 2)]
        self.now = 0.0
        self.read("load")

    def announce(self, changed, was, gone=False):
        self.seq += 1
        self.heard.append((self.seq, changed, was, gone))

    # the store

    @rule(task=st.sampled_from(TASKS), tags=st.sampled_from(TAGS), state=STATES)
    def submit(self, task, tags, state):
        self.numbers += 1
        self.version += 1
        new = job(id=f"{self.numbers:04}", task=task, tags=tags, state=state, version=self.version)
        self.store[new.id] = new
        self.announce(new, None)

    @precondition(lambda self: any(not one.ended for one in self.store.values()))
    @rule(data=st.data(), state=STATES)
    def step(self, data, state):
        old = data.draw(st.sampled_from([one for _, one in sorted(self.store.items()) if not one.ended]))
        self.version += 1
        new = job(id=old.id, task=old.task, tags=old.tags, state=state, version=self.version)
        self.store[old.id] = new
        self.announce(new, old.state)

    @precondition(lambda self: any(one.state in TERMINAL for one in self.store.values()))
    @rule(data=st.data())
    def delete(self, data):
        old = data.draw(st.sampled_from([one for _, one in sorted(self.store.items()) if one.ended]))
        del self.store[old.id]
        self.announce(old, old.state, gone=True)

    # the node

    @precondition(lambda self: self.heard)
    @rule(count=st.integers(1, 5))
    def hear(self, count):
        for _ in range(min(count, len(self.heard))):
            self.window.apply(*self.heard.pop(0))
            if self.window.hungry and not self.window.loading:
                self.read("fill")

    @precondition(lambda self: self.heard)
    @rule()
    def lose(self):
        self.heard.pop(0)
        self.missed = True

    @precondition(lambda self: self.page is None and self.window.loaded)
    @rule()
    def look_again(self):
        self.read("compare")

    def read(self, why):
        """Ask for a page; what it says is fixed now."""
        self.window.start_page()
        before = self.window.oldest if why == "fill" else None
        found = [one for one in self.matching() if before is None or one.id < before]
        counts = None
        if why != "fill" and self.window.match.countable:
            counts = self.counts()
        limit = self.window.limit
        self.page = (why, self.seq, found[:limit], counts, len(found) > limit)

    @precondition(lambda self: self.page is not None)
    @rule()
    def page_comes(self):
        (why, seq, jobs, counts, more), self.page = self.page, None
        if why == "fill":
            self.window.fill(seq, jobs, more)
        elif why == "compare":
            assert self.window.compare(seq, jobs, counts, more)
        else:
            assert self.window.load(seq, jobs, counts, more)
        if self.window.hungry:
            self.read("fill")

    @precondition(lambda self: self.page is None)
    @rule()
    def resync(self):
        self.read("load")

    # the clients

    @rule(which=st.integers(0, 1), frames=st.integers(1, 6))
    def take(self, which, frames):
        self.now += 1
        self.clients[which].pump(self.now, frames)

    @rule(which=st.integers(0, 1))
    def come_anew(self, which):
        self.clients[which] = Table(FeedSubscription(1, self.window, rate=10**9))

    def matching(self):
        return [one for _, one in sorted(self.store.items(), reverse=True) if self.window.match.fits(one)]

    def counts(self):
        found = Counter(one.state.value for one in self.store.values() if self.window.match.others(one))
        return {state.value: found[state.value] for state in JobState}

    @invariant()
    def the_window_is_bounded(self):
        if hasattr(self, "window"):
            assert len(self.window.jobs) <= self.window.limit

    def settle(self):
        """All that is on its way comes; what was lost is found by a second look."""
        while self.heard or self.page is not None or self.missed:
            if self.page is not None:
                self.page_comes()
            elif self.heard:
                self.hear(1)
            if self.missed and not self.heard and self.page is None:
                self.missed = False
                self.read("compare")

    def teardown(self):
        if not hasattr(self, "window"):
            return
        self.settle()
        assert self.window.jobs == self.matching()[: self.window.limit]
        if self.window.match.countable:
            assert self.window.counts == self.counts()
        for client in self.clients:
            self.now += 1
            while not client.pump(self.now, 100):
                self.now += 1
            assert client.live
            assert client.subscription.phase is Phase.LIVE
            assert client.counts == self.window.counts
            assert sorted(client.jobs.values(), key=lambda one: one["id"], reverse=True) == [
                one.summary() for one in self.window.jobs
            ]


TestAfterAnyChangesTheTableOfAClientIsTheWindow = Feed.TestCase
TestAfterAnyChangesTheTableOfAClientIsTheWindow.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
