"""Watching a job over the socket: snapshot, log, live, updates, end; resume; submit and watch."""

import pytest
from web import eventually, having

from windsock import task

GHOST = "01JDZZZZZZZZZZZZZZZZZZZZZZ"


@task
async def echo(value: str) -> str:
    """Gives back what it got."""
    return value


@pytest.fixture
def registry(registry):
    """One task more."""
    registry.add_functions([echo])
    return registry


def watch(job, sub=1, **fields):
    return {"type": "subscribe", "sub": sub, "job": job["id"], **fields}


def types(frames):
    return [frame["type"] for frame in frames]


def told(frames):
    """Offsets that came as entries, and those declared a gap; makes sure that none came twice or out of order."""
    entries, gaps, position = [], [], None
    for frame in frames:
        if frame["type"] == "log":
            first, last, into = frame["first"], frame["first"] + len(frame["entries"]) - 1, entries
        elif frame["type"] == "gap":
            first, last, into = frame["from"], frame["to"], gaps
        else:
            continue
        assert position is None or first == position + 1, frames
        into += range(first, last + 1)
        position = last
    return entries, gaps


@pytest.mark.gen_test
async def test_a_job_is_watched_to_its_end_in_order(stream, api):
    for codec in ("json", "msgpack"):
        job = await api.submit("steps", args={"count": 40, "pause_s": 0.005})
        client = await stream(codec=codec, hello=[watch(job, log="all", rate=20)])
        end = await client.until("end", sub=1)
        frames = client.of(1)
        kinds = types(frames)
        assert kinds[0] == "snapshot"
        assert kinds.count("snapshot") == kinds.count("live") == kinds.count("end") == 1
        assert set(kinds[: kinds.index("live")]) <= {"snapshot", "log"}
        assert "update" in kinds
        assert told(frames) == (list(range(1, 41)), [])
        versions = [int(frame["cursor"].split(".")[1]) for frame in frames if frame["type"] in ("update", "end")]
        assert versions == sorted(set(versions))
        assert (end["job"]["result"], end["last"], end["job"]["state"]) == (40, 40, "succeeded")
        assert kinds[-1] == "end"


@pytest.mark.gen_test
async def test_an_ended_job_is_told_as_a_running_one(stream, api):
    job = await api.submit("steps", wait_s=5, args={"count": 5})
    for log, expected in (("all", [1, 2, 3, 4, 5]), (2, [4, 5]), (0, []), (99, [1, 2, 3, 4, 5]), ("none", [])):
        client = await stream(hello=[watch(job, log=log)])
        end = await client.until("end", sub=1)
        kinds = types(client.of(1))
        assert (kinds[0], kinds[-1], kinds.count("live")) == ("snapshot", "end", 1), log
        assert told(client.of(1)) == (expected, []), log
        assert end["last"] == 5
        assert client.of(1)[0]["how"] == "fresh"


@pytest.mark.gen_test
async def test_after_the_end_the_number_is_free(stream, api):
    job = await api.submit("add", wait_s=5, args={"a": 1})
    client = await stream()
    for _ in range(3):
        await client.send(watch(job))
        await client.until("end", sub=1)
    assert not [frame for frame in client.frames if frame["type"] == "error"]


@pytest.mark.gen_test
async def test_an_unknown_job_is_not_found_and_the_number_is_free(stream):
    client = await stream(hello=[{"sub": 1, "job": GHOST}])
    error = await client.until("error", sub=1)
    assert (error["code"], error["retryable"]) == ("not_found", False)
    for name in ("x", "a/b", "job:x\n", "\u00e9", "x" * 64):
        await client.send({"type": "subscribe", "sub": 1, "job": name})
        assert (await client.until("error", sub=1))["code"] == "not_found"


@pytest.mark.gen_test
async def test_a_number_in_use_is_a_conflict_and_the_first_goes_on(stream, api):
    job = await api.submit("forever")
    client = await stream(hello=[watch(job)])
    await client.until("live", sub=1)
    await client.send(watch(job), {"type": "subscribe", "sub": 1, "feed": {}})
    for _ in range(2):
        assert (await client.until("error", sub=1))["code"] == "conflict"
    await api.post(f"/api/jobs/{job['id']}/cancel")
    await client.until("end", sub=1)


@having(subscriptions=2)
@pytest.mark.gen_test
async def test_subscriptions_are_limited(stream, api):
    job = await api.submit("forever")
    client = await stream(hello=[watch(job, 1), watch(job, 2)])
    await client.until("live", sub=2)
    await client.send(watch(job, 3))
    assert (await client.until("error", sub=3))["code"] == "too_many"
    await client.send({"type": "unsubscribe", "id": 1, "sub": 2}, watch(job, 3))
    await client.until("live", sub=3)


@pytest.mark.gen_test
async def test_after_unsubscribe_nothing_old_follows_and_the_number_is_free(stream, api):
    job = await api.submit("steps", args={"count": 300, "pause_s": 0.002})
    client = await stream(hello=[watch(job, log="all", rate=20)])
    await client.until("log", sub=1)
    await client.send({"type": "unsubscribe", "id": 9, "sub": 1})
    ok = await client.until("ok", id=9)
    await client.send(watch(job), {"type": "unsubscribe", "id": 10, "sub": 77})
    await client.until("ok", id=10)
    await client.until("snapshot", sub=1)
    after = client.frames[client.frames.index(ok) + 1 :]
    assert next(frame for frame in after if frame.get("sub") == 1)["type"] == "snapshot"


# resume


@pytest.mark.gen_test
async def test_a_cursor_goes_on_where_it_stands(stream, api):
    job = await api.submit("steps", wait_s=5, args={"count": 6})
    epoch, version, _ = job["cursor"].split(".")
    for log in ("all", 1):
        client = await stream(hello=[watch(job, after=f"{epoch}.{version}.4", log=log)])
        end = await client.until("end", sub=1)
        assert client.of(1)[0]["how"] == "resumed"
        assert told(client.of(1)) == ([5, 6], [])
        assert end["cursor"] == job["cursor"]


@pytest.mark.gen_test
async def test_every_cursor_of_a_watch_resumes_it_without_loss_or_double(stream, api):
    job = await api.submit("steps", args={"count": 30, "pause_s": 0.003})
    first = await stream(hello=[watch(job, log="all", rate=20)])
    await first.until("end", sub=1)
    frames = first.of(1)
    stops = [at for at, frame in enumerate(frames) if "cursor" in frame]
    again = await stream()
    for at in stops[:: max(1, len(stops) // 8)]:
        await again.send(watch(job, after=frames[at]["cursor"], log="all"))
        begin = len(again.frames)
        await again.until("end", sub=1)
        rest = again.frames[begin:]
        assert [*told(frames[: at + 1])[0], *told(rest)[0]] == list(range(1, 31))


@pytest.mark.gen_test
async def test_a_cursor_of_another_store_or_garbage_begins_anew(stream, api):
    job = await api.submit("steps", wait_s=5, args={"count": 3})
    epoch, version, _ = job["cursor"].split(".")
    attempt = epoch.rpartition("-")[2]
    for after in ("garbage", "", "..", "x" * 128, f"zzzz-{attempt}.{version}.2", f"{epoch}0.{version}.2", "\u0661.1.1"):
        client = await stream(hello=[watch(job, after=after, log="all")])
        await client.until("end", sub=1)
        snapshot = client.of(1)[0]
        assert (snapshot["how"], snapshot["log_from"]) == ("reset", 1), after
        assert told(client.of(1)) == ([1, 2, 3], []), after


@pytest.mark.gen_test
async def test_a_cursor_past_the_tail_is_taken_at_its_word(stream, api):
    job = await api.submit("steps", wait_s=5, args={"count": 3})
    epoch, version, _ = job["cursor"].split(".")
    for offset in (4, 99, 10**15):
        client = await stream(hello=[watch(job, after=f"{epoch}.{version}.{offset}", log="all")])
        await client.until("end", sub=1)
        assert client.of(1)[0]["how"] == "resumed"
        assert told(client.of(1)) == ([], [])


@pytest.mark.gen_test
async def test_without_a_log_the_cursor_keeps_its_offset(stream, api):
    job = await api.submit("steps", wait_s=5, args={"count": 3})
    epoch, version, _ = job["cursor"].split(".")
    for after, offset in ((None, "0"), (f"{epoch}.{version}.2", "2")):
        client = await stream(hello=[watch(job, **({"after": after} if after else {}))])
        end = await client.until("end", sub=1)
        assert {frame["cursor"].split(".")[2] for frame in client.of(1) if "cursor" in frame} == {offset}
        assert end["last"] == 3


@having(log_keep=10)
@pytest.mark.gen_test
async def test_what_was_trimmed_is_a_gap(stream, api):
    job = await api.submit("steps", wait_s=5, args={"count": 200})
    epoch, version, _ = job["cursor"].split(".")
    client = await stream(hello=[watch(job, log="all"), watch(job, 2, after=f"{epoch}.{version}.100", log="all")])
    for sub, start in ((1, 1), (2, 101)):
        await client.until("end", sub=sub)
        entries, gaps = told(client.of(sub))
        assert gaps[0] == start
        assert gaps + entries == list(range(start, 201))
        assert len(entries) <= 10
        assert {frame["why"] for frame in client.of(sub) if frame["type"] == "gap"} == {"trimmed"}


# results


@pytest.mark.gen_test
async def test_a_large_result_is_left_out_of_the_end_and_measured(stream, api):
    for size, shown in ((30_000, True), (40_000, False)):
        job = await api.submit("echo", wait_s=5, args={"value": "x" * size})
        client = await stream(hello=[watch(job)])
        end = (await client.until("end", sub=1))["job"]
        assert end["result_bytes"] >= size
        assert ("result" in end) is shown
        assert (await api.get(f"/api/jobs/{job['id']}")).value["result"] == "x" * size


@pytest.mark.gen_test
async def test_a_large_result_is_left_out_of_an_end_that_is_seen_live_too(stream, api):
    client = await stream()
    for size in (5_000, 20_000, 40_000):  # with the message, read by the hub, left out
        await client.send({"type": "submit", "id": size, "task": "echo", "args": {"value": "x" * size}, "sub": 1})
        end = (await client.until("end", sub=1))["job"]
        assert end["result_bytes"] >= size
        assert end.get("result") == ("x" * size if size < 32_768 else None)


@pytest.mark.gen_test
async def test_a_failure_is_told_with_its_error(stream, api):
    job = await api.submit("fail", wait_s=5, args={"message": "no"})
    client = await stream(hello=[watch(job)])
    end = (await client.until("end", sub=1))["job"]
    assert (end["state"], end["error"]["code"], end["error"]["message"]) == ("failed", "exception", "ValueError: no")
    assert "result" not in end


# submit and watch


@pytest.mark.gen_test
async def test_submit_and_watch_misses_nothing_of_the_shortest_job(stream):
    client = await stream()
    for number in range(1, 21):
        frame = {"type": "submit", "id": number, "task": "steps", "args": {"count": 2}, "sub": number, "log": "all"}
        await client.send(frame)
    for number in range(1, 21):
        await eventually(lambda number=number: ended(client, number))
        answered = [frame for frame in client.frames if frame.get("id") == number or frame.get("sub") == number]
        assert types(answered)[:2] == ["ok", "snapshot"]
        assert answered[0]["job"]["id"] == answered[1]["job"]["id"]
        assert told(answered) == ([1, 2], [])
        assert answered[-1]["job"]["result"] == 2


async def ended(client, sub):
    if not any(frame["type"] == "end" for frame in client.of(sub)):
        await client.until("end")
    return any(frame["type"] == "end" for frame in client.of(sub))


@pytest.mark.gen_test
async def test_a_refused_submit_leaves_no_subscription(stream, node):
    client = await stream()
    await client.send(
        {"type": "submit", "id": 1, "task": "nobody", "sub": 5},
        {"type": "submit", "id": 2, "task": "add", "args": {}, "sub": 5},
        {"type": "submit", "id": 3, "task": "add", "args": {"a": 1}, "sub": 5},
    )
    for number, field in ((1, "task"), (2, "args.a")):
        error = await client.until("error", id=number)
        assert (error["code"], error["errors"][0]["field"]) == ("invalid", field)
    assert (await client.until("end", sub=5))["job"]["result"] == 2
    assert not node.hub._topics


@pytest.mark.gen_test
async def test_a_submit_on_a_number_in_use_is_a_conflict(stream):
    client = await stream()
    await client.send(
        {"type": "submit", "id": 1, "task": "forever", "sub": 5},
        {"type": "submit", "id": 2, "task": "forever", "sub": 5},
    )
    assert (await client.until("error", id=2))["code"] == "conflict"
    await client.until("live", sub=5)
    assert [frame["id"] for frame in client.frames if frame["type"] == "ok"] == [1]
