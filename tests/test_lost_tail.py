"""A store that comes back without its tail while jobs run and clients watch: nothing that anybody holds is lost."""

import asyncio
from typing import Any

import pytest
from losing import LosingRedis, losing_redis
from sample_tasks import talk
from stream import Frame, Stream
from web import eventually

from server.errors import WindsockError
from server.protocol import Submission

pytestmark = pytest.mark.expects_log(
    "link is down|beat does not get through|the store has gone back|the store is another one|is deaf"
)


@pytest.fixture
def lossy():
    with losing_redis() as made:
        yield made


@pytest.fixture
def settings(settings, lossy: LosingRedis):
    """As all tests have them, on a store of the test's own."""
    return settings.model_copy(update={"redis": lossy.url, "redis_timeout_s": 1.0})


class Reader:
    """What a client holds after all frames that came for a subscription."""

    def __init__(self, stream: Stream, sub: int = 1) -> None:
        self.stream = stream
        self.sub = sub

    @property
    def frames(self) -> list[Frame]:
        return self.stream.of(self.sub)

    def log(self) -> dict[int, Any]:
        """Text by offset; None where a gap was told. Each offset comes once, unless a reset takes it back."""
        held: dict[int, Any] = {}
        for frame in self.frames:
            if frame.get("log_from"):
                held = {offset: text for offset, text in held.items() if offset < frame["log_from"]}
            if frame["type"] == "gap":
                told: dict[int, Any] = dict.fromkeys(range(frame["from"], frame["to"] + 1))
            elif frame["type"] == "log":
                told = {frame["first"] + i: one["text"] for i, one in enumerate(frame["entries"])}
            else:
                continue
            assert not set(told) & set(held), "an offset came twice"
            assert min(told) == len(held) + 1, "an offset was left out"
            held |= told
        return held

    def versions(self) -> list[int]:
        """Of all updates and the end, in order."""
        return [int(f["job"]["cursor"].split(".")[1]) for f in self.frames if f["type"] in ("update", "end")]


async def say(node, job_id: str, *texts: str) -> None:
    """Let the task `talk` say something, and wait until it is stored."""
    voice = node.worker._held[job_id].voice
    last = voice.progress.next_offset - 1 + len(texts)
    for text in texts:
        talk.put(job_id, text)
    await eventually(lambda: voice.stored == last)


async def talking(node, stream) -> tuple[str, Reader]:
    """A job that says what it is told to, and a client that reads all of it."""
    job = await node.queue.submit(Submission(task="talker", args={}))
    client = await stream(hello=[{"type": "subscribe", "sub": 1, "job": job.id, "log": "all"}])
    await client.until("live")
    await eventually(lambda: job.id in node.worker._held and talk.there(job.id))
    return job.id, Reader(client)


@pytest.mark.gen_test(timeout=30)
async def test_a_client_that_reads_on_has_the_log_as_the_job_wrote_it(node, stream, lossy: LosingRedis):
    job_id, reader = await talking(node, stream)
    await say(node, job_id, *"abc")
    lossy.keep()
    await say(node, job_id, *"defg")
    await reader.stream.until(lambda frame: len(reader.log()) == 7)
    lossy.go_back()
    for text in "hij":
        talk.put(job_id, text)
    talk.put(job_id, None)
    end = await reader.stream.until("end", timeout_s=15)
    assert (end["job"]["state"], end["last"]) == ("succeeded", 10)
    assert reader.log() == dict(enumerate("abcdefghij", 1))
    assert reader.versions() == sorted(set(reader.versions()))


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("size", [100, 1500, 4000])
async def test_nothing_is_missing_after_the_end_of_the_file_was_cut_off(node, stream, lossy: LosingRedis, size: int):
    job_id, reader = await talking(node, stream)
    for number in range(20):
        await say(node, job_id, f"before {number}")
    lossy.cut(size)
    for number in range(20):
        talk.put(job_id, f"after {number}")
    talk.put(job_id, None)
    end = await reader.stream.until("end", timeout_s=15)
    assert (end["job"]["state"], end["job"]["attempt"], end["last"]) == ("succeeded", 1, 40)
    wanted = [f"{when} {number}" for when in ("before", "after") for number in range(20)]
    assert list(reader.log().values()) == wanted
    assert reader.versions() == sorted(set(reader.versions()))


@pytest.mark.gen_test(timeout=30)
async def test_a_client_that_comes_after_it_reads_the_same(node, stream, lossy: LosingRedis):
    job_id, _ = await talking(node, stream)
    await say(node, job_id, *"ab")
    lossy.keep()
    await say(node, job_id, *"cde")
    lossy.go_back()
    for text in ("f", None):
        talk.put(job_id, text)
    await eventually(lambda: job_id not in node.worker._held, 15)
    late = Reader(await stream(hello=[{"type": "subscribe", "sub": 1, "job": job_id, "log": "all"}]))
    await late.stream.until("end")
    assert late.log() == dict(enumerate("abcdef", 1))


@pytest.mark.gen_test(timeout=30)
async def test_a_client_behind_on_the_log_waits_for_what_the_store_lost(node, stream, lossy: LosingRedis):
    job_id, _ = await talking(node, stream)
    await say(node, job_id, *"ab")
    lossy.keep()
    await say(node, job_id, *"cde")
    topic = node.hub.topic(job_id)
    await eventually(lambda: topic.ring.tail == 5)
    topic.ring._entries.clear()  # as after heavy entries: they are in the store only
    lossy.kill()
    reader = Reader(await stream(hello=[{"type": "subscribe", "sub": 1, "job": job_id, "log": "all"}]))
    await reader.stream.until("snapshot")
    lossy.restore()
    await reader.stream.until(lambda frame: len(reader.log()) >= 2)
    for text in ("f", None):
        talk.put(job_id, text)
    await reader.stream.until("end", timeout_s=15)
    assert reader.log() == dict(enumerate("abcdef", 1))


# What the store has forgotten or sees as it was.


async def looked(node) -> None:
    """A beat has passed: the worker knows where the store stands."""
    before = node.worker._memory._newest
    await eventually(lambda: node.worker._memory._newest is not before)
    before = node.worker._memory._newest
    await eventually(lambda: node.worker._memory._newest is not before)


async def state_of(node, job_id: str) -> str | None:
    """As the store has it; None when it does not know the job or is away."""
    try:
        return (await node.broker.detail(job_id)).job.state.value
    except WindsockError:
        return None


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("forget", [False, True])
async def test_a_running_job_that_the_store_no_longer_knows_is_known_again(node, stream, lossy: LosingRedis, forget):
    await looked(node)
    lossy.keep()
    job = await node.queue.submit(Submission(task="talker", args={}, tags=["t"], priority=3, timeout_s=60.0))
    client = await stream(hello=[{"type": "subscribe", "sub": 1, "job": job.id, "log": "all"}])
    await client.until("live")
    reader = Reader(client)
    await eventually(lambda: talk.there(job.id))
    await say(node, job.id, *"abc")
    await looked(node)
    if forget:
        lossy.forget()
    else:
        lossy.go_back()
    talk.put(job.id, "d")
    await eventually(lambda: state_of(node, job.id), 10)
    again = await node.broker.detail(job.id)
    assert (again.job.tags, again.job.priority, again.timeout_s, again.job.attempt) == (("t",), 3, 60.0, 1)
    assert again.job.created_at == job.created_at
    talk.put(job.id, None)
    end = await client.until("end", timeout_s=10)
    assert (end["job"]["state"], end["job"]["result"]) == ("succeeded", 4)
    assert reader.log() == dict(enumerate("abcd", 1))


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("at", ["running", "queued", "unknown", "empty"])
async def test_an_end_that_the_store_has_lost_is_told_again(node, lossy: LosingRedis, at: str):
    await looked(node)
    if at == "unknown":
        lossy.keep()
    if at == "queued":
        node.worker._memory.doubt = True  # it claims nothing
    job = await node.queue.submit(Submission(task="talker", args={}))
    if at == "queued":
        lossy.keep()
        node.worker._recall()
    await eventually(lambda: talk.there(job.id))
    await say(node, job.id, "a")
    if at == "running":
        lossy.keep()
    await say(node, job.id, "b")
    talk.put(job.id, None)
    await eventually(lambda: job.id in node.worker._memory)
    before = await node.broker.detail(job.id)
    await looked(node)
    if at == "empty":
        lossy.forget()
    else:
        lossy.go_back()
    await eventually(lambda: _ended(node, job.id), 10)
    after = await node.broker.detail(job.id)
    assert (after.job.state, after.result, after.job.attempt) == (before.job.state, 2, 1)
    assert after.job.version > before.job.version
    piece = await node.broker.log(job.id, 0, 10, 10_000)
    assert [offset for offset, packed, _ in piece.entries if packed] == [1, 2]
    assert not node.worker._held


async def _ended(node, job_id: str) -> bool:
    return await state_of(node, job_id) == "succeeded"


@pytest.mark.gen_test(timeout=30)
async def test_who_watches_a_job_that_nobody_has_is_told_so(node, stream, lossy: LosingRedis):
    job = await node.queue.submit(Submission(task="talker", args={}, delay_s=60))
    client = await stream(hello=[{"type": "subscribe", "sub": 1, "job": job.id}])
    await client.until("live")
    lossy.forget()
    error = await client.until("error", timeout_s=10)
    assert (error["sub"], error["code"]) == (1, "not_found")


@pytest.mark.gen_test(timeout=30)
async def test_a_job_that_is_silent_is_stored_again_without_a_word(node, stream, lossy: LosingRedis):
    job_id, _ = await talking(node, stream)
    await say(node, job_id, "a")
    lossy.keep()
    await say(node, job_id, *"bcd")
    await looked(node)
    lossy.go_back()
    await eventually(lambda: _stored(node, job_id, 4), 10)
    talk.put(job_id, None)
    await eventually(lambda: _ended(node, job_id), 10)


async def _stored(node, job_id: str, tail: int) -> bool:
    try:
        return (await node.broker.detail(job_id)).job.offset == tail
    except WindsockError:
        return False


@pytest.mark.gen_test(timeout=30)
async def test_an_end_is_told_again_by_one_call_however_many_beats_miss_it(node, monkeypatch):
    """A store that answers slowly would have more to do with every beat."""
    job = await node.queue.submit(Submission(task="talker", args={}))
    await eventually(lambda: talk.there(job.id))
    talk.put(job.id, None)
    await eventually(lambda: job.id in node.worker._memory)
    finish, calls, go_on = node.broker.finish, [], asyncio.Event()

    async def slow(verdicts):
        calls.append(len(verdicts))
        await go_on.wait()
        return await finish(verdicts)

    monkeypatch.setattr(node.broker, "finish", slow)
    for _ in range(20):
        node.worker._compare(frozenset([job.id]))
        await asyncio.sleep(0.01)
    assert calls == [1]
    go_on.set()
    await eventually(lambda: not node.worker._memory._telling)
    for _ in range(5):
        node.worker._compare(frozenset([job.id]))
    await eventually(lambda: len(calls) > 1)
