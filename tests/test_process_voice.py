"""What a function says in a process reaches those who watch its job, in order and without loss."""

import asyncio

import pytest
from pool import DIED, registry, run, settings, texts
from web import having

from server.process import Process
from server.protocol import Submission

__all__ = ["registry", "run", "settings"]


@pytest.mark.gen_test(timeout=50)
async def test_every_line_reaches_a_watcher_in_order_however_fast_they_come(run, node, stream):
    client = await stream()
    job = await node.queue.submit(Submission(task="count", args={"to": 15_000}))
    await client.send({"type": "subscribe", "sub": 1, "job": job.id, "log": "all"})
    await client.until("end", 40)
    assert [frame["type"] for frame in client.frames if frame["type"] == "gap"] == []
    lines = [entry["text"] for frame in client.frames if frame["type"] == "log" for entry in frame["entries"]]
    assert lines == [f"line {number}" for number in range(1, 15_001)]


@pytest.fixture
def slow_store(node, monkeypatch):
    """Makes the store take so many seconds for every report."""

    def slow_down(seconds):
        async def slowly(*args, **kwargs):
            await asyncio.sleep(seconds)
            return await report(*args, **kwargs)

        monkeypatch.setattr(node.broker, "report", slowly)

    report = node.broker.report
    return slow_down


@having(unsent_entries=6000)
@pytest.mark.gen_test(timeout=50)
async def test_a_function_that_logs_faster_than_the_store_takes_waits_and_loses_nothing(run, node, slow_store):
    slow_store(0.1)
    detail = await run("count", to=15_000)
    assert await texts(node, detail.job.id) == [f"line {number}" for number in range(1, 15_001)]


@pytest.mark.expects_log(DIED)
@having(unsent_entries=6000)
@pytest.mark.gen_test(timeout=50)
async def test_what_is_still_in_the_line_when_a_process_dies_is_heard(run, node, slow_store):
    slow_store(1.0)
    detail = await run("die", how="exit", lines=4500)
    assert await texts(node, detail.job.id) == [f"line {number}" for number in range(1, 4501)]


@pytest.mark.gen_test(timeout=30)
async def test_the_last_bar_and_the_last_line_are_there_when_the_job_has_ended(run, node):
    for to in (1, 2, 3):
        detail = await run("count", to=to)
        assert (detail.job.progress["done"], detail.job.progress["note"]) == (to, f"at {to}")
        assert (await texts(node, detail.job.id))[-1] == f"line {to}"


@pytest.mark.gen_test(timeout=30)
async def test_what_is_said_often_crosses_over_seldom(run, settings, monkeypatch):
    crossed = []
    heard = Process._on_message
    monkeypatch.setattr(Process, "_on_message", lambda self, *said: (crossed.append(said), heard(self, *said))[1])
    detail = await run("update_for", seconds=1.0)
    assert detail.result > 10_000
    assert 2 <= len([word for word, _ in crossed if word == "said"]) <= 1.0 / settings.flush_s + 2
    assert detail.job.progress["done"] == detail.result


@pytest.mark.gen_test(timeout=30)
async def test_an_emitted_value_arrives(run, node):
    detail = await run("emit", value={"a": [1, None]})
    (entry,) = (await node.queue.log(detail.job.id, 0, 10))["entries"]
    assert entry["value"] == {"a": [1, None]}
