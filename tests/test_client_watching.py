"""What a program that watches is told, by either client, from a real server."""

import threading
from typing import Any

import pytest
from clients import client, make_client, served
from processes import Processes, Server, lasting, processes

from windsock import (
    Connection,
    End,
    Feed,
    Gap,
    Gone,
    Live,
    Log,
    NotFound,
    Options,
    Refused,
    Stats,
    Unreachable,
    Update,
    Value,
    watching,
)

__all__ = ["client", "lasting", "processes", "served"]


def kinds(events: list[Any]) -> list[type]:
    return [type(event) for event in events]


def test_a_job_is_told_with_its_log_its_values_and_its_end(client: Any) -> None:
    events = list(client.submit("speak", values=["a", {"b": 1}]).watch())
    logs = [(event.offset, event.level, event.text) for event in events if isinstance(event, Log)]
    values = [(event.offset, event.value) for event in events if isinstance(event, Value)]
    assert logs == [(1, "warning", "word 1"), (3, "warning", "word 2")]
    assert values == [(2, "a"), (4, {"b": 1})]
    assert kinds(events)[0] is Update
    assert kinds(events).count(Live) == 1
    end = events[-1]
    assert isinstance(end, End)
    assert (end.job.state, end.job.result, end.last) == ("succeeded", 2, 4)


def test_a_watch_goes_on_behind_any_cursor(client: Any) -> None:
    handle = client.submit("speak", values=[1, 2, 3])
    handle.wait(10)
    first = list(handle.watch())
    cursors = [event.cursor for event in first if isinstance(event, Log | Value) and event.cursor]
    rest = list(handle.watch(after=cursors[-1]))
    assert [event for event in rest if isinstance(event, Log | Value)] == []
    assert kinds(rest)[-1] is End
    last = list(handle.watch(log=1))
    assert [event.offset for event in last if isinstance(event, Log | Value)] == [6]
    assert not [event for event in handle.watch(log="none") if isinstance(event, Log | Value | Gap)]


def test_a_job_that_is_not_there_raises(client: Any) -> None:
    with pytest.raises(NotFound, match="no such job"):
        list(client.watch("01NOSUCH"))
    with pytest.raises(ValueError, match="not the id of a job"):
        list(client.watch(".."))


def test_a_watch_may_be_left_before_the_end(client: Any) -> None:
    handle = client.submit("count", to=10_000)
    for event in handle.watch():
        if isinstance(event, Log):
            break
    handle.cancel()
    assert isinstance(list(handle.watch())[-1], End)


def test_a_feed_tells_what_matches_and_what_leaves(client: Any) -> None:
    tag = f"feed-{id(client)}"
    events = client.feed(tag=tag, state=["queued", "running"])
    first = next(events)
    assert isinstance(first, Feed)
    assert first.jobs == ()
    handle = client.submit("count", Options(tags=[tag]), to=20)
    seen, gone = [], []
    for event in events:
        assert isinstance(event, Feed)
        seen += [job.state for job in event.changed]
        gone += event.gone
        if gone:
            break
    events.close()
    assert "running" in seen
    assert gone == [handle.id]


def test_stats_come_once_a_second(client: Any) -> None:
    events = client.stats()
    event = next(events)
    events.close()
    assert isinstance(event, Stats)
    assert event.numbers["nodes"] == 1


def test_several_jobs_and_a_feed_come_on_one_connection_also_later(served: Server) -> None:
    for one in make_client("sync", served.url):
        with one.stream() as stream:
            handles = [one.submit("count", Options(tags=["several"]), to=3) for _ in range(3)]
            subs = [stream.watch(handle.id, log="none") for handle in handles[:2]]
            feed = stream.feed({"tag": "several"}, limit=10)
            missing = stream.watch("01NOSUCH")
            ends, lost, feeds = set(), [], 0
            for event in stream:
                if isinstance(event, Live) and event.job_id == handles[0].id:
                    stream.watch(handles[2].id)
                elif isinstance(event, End):
                    ends.add(event.job.id)
                elif isinstance(event, Gone):
                    lost.append(event.job_id)
                elif isinstance(event, Feed):
                    feeds += 1
                if len(ends) == 3 and feeds:
                    break
            assert lost == ["01NOSUCH"]
            assert ends == {handle.id for handle in handles}
            assert len({*subs, feed, missing}) == 4
            stream.drop(feed)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_server_that_is_killed_and_started_again_costs_no_line(kind: str, processes: Processes) -> None:
    redis = processes.redis()
    server = processes.serve("--no-worker", redis=redis)
    processes.work(redis=redis)
    for one in make_client(kind, server.url):
        handle = one.submit("count", to=150)
        texts, states = [], []
        restarting = threading.Timer(0.5, lambda: restart(processes, server))
        restarting.start()
        for event in handle.watch():
            if isinstance(event, Log):
                texts.append(event.text)
            elif isinstance(event, Connection):
                states.append(event.state)
        restarting.join()
        assert texts == [f"number {number}" for number in range(1, 151)]
        assert states[0] == "lost"
        assert "back" in states


def restart(processes: Processes, server: Server) -> None:
    """Killed, and started again at the same port."""
    server.kill()
    processes.serving("--no-worker", port=server.port, redis=processes.redis_url)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_server_that_never_answered_is_unreachable(kind: str) -> None:
    for one in make_client(kind, "http://127.0.0.1:9"):
        with pytest.raises(Unreachable, match="no server answers at"):
            list(one.watch("J"))


def test_a_refused_feed_raises(client: Any) -> None:
    with pytest.raises(Refused, match="state"):
        list(client.feed(state="nosuch"))


def test_who_does_not_read_is_told_the_newest_state_later(served: Server) -> None:
    for one in make_client("sync", served.url):
        events = one.submit("count", to=300, pause_s=0.0).watch()
        next(events)
        rest = list(events)
        assert [event.offset for event in rest if isinstance(event, Log)] == list(range(1, 301))
        assert isinstance(rest[-1], End)


def test_what_is_not_kept_any_more_is_told_as_a_gap(processes: Processes) -> None:
    server = processes.serve(log_keep=10)
    for one in make_client("sync", server.url):
        handle = one.submit("count", to=100, pause_s=0)
        handle.wait(20)
        events = list(handle.watch())
        (gap,) = [event for event in events if isinstance(event, Gap)]
        first = next(event for event in events if isinstance(event, Log))
        assert (gap.job_id, gap.first, gap.why) == (handle.id, 1, "trimmed")
        assert gap.last + 1 == first.offset


def test_a_reader_that_is_slow_has_every_entry_all_the_same(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "HELD", 5)
    handle = client.submit("count", to=200, pause_s=0.001)
    offsets = [event.offset for event in handle.watch() if isinstance(event, Log)]
    assert offsets == list(range(1, 201))


def test_a_feed_of_what_there_is_not_is_refused(client: Any) -> None:
    with pytest.raises(Refused):
        next(client.feed(state="lost"))
