"""Commands over the socket: submit, cancel, rerun, visibility, ping; and how many may come."""

import pytest
from web import eventually, having


@pytest.mark.gen_test
async def test_a_submit_is_answered_with_the_job(stream, api):
    client = await stream()
    await client.send({"type": "submit", "id": "a", "task": "add", "args": {"a": 1}, "tags": ["x"], "priority": 2})
    job = (await client.until("ok", id="a"))["job"]
    assert (job["task"], job["tags"], job["priority"], job["state"]) == ("add", ["x"], 2, "queued")
    assert (await api.until(job["id"], "succeeded"))["result"] == 2


@pytest.mark.gen_test
async def test_a_wrong_submit_is_refused_by_the_field(stream):
    client = await stream()
    for fields, field in [
        ({"task": "nobody"}, "task"),
        ({}, "task"),
        ({"task": "add", "args": {"a": "x"}}, "args.a"),
        ({"task": "add", "args": {"a": 1}, "colour": "red"}, "colour"),
        ({"task": "add", "args": {"a": 1}, "idempotency_key": "a\tb"}, "idempotency_key"),
        ({"task": "add", "args": {"a": 1}, "sub": 0}, "sub"),
        ({"task": "add", "args": {"a": 1}, "sub": 1, "log": "some"}, "log"),
    ]:
        await client.send({"type": "submit", "id": 7, **fields})
        error = await client.until("error", id=7)
        assert (error["code"], error["errors"][0]["field"]) == ("invalid", field), fields
        assert error["retryable"] is False


@pytest.mark.gen_test
async def test_a_command_without_a_usable_id_is_refused(stream):
    client = await stream()
    for wrong in ({}, {"id": None}, {"id": -1}, {"id": 1.5}, {"id": True}, {"id": "x" * 65}, {"id": []}):
        await client.send({"type": "cancel", "job": "x", **wrong})
        assert (await client.until("error"))["code"] == "invalid", wrong


@pytest.mark.gen_test
async def test_a_job_is_cancelled(stream, api):
    client = await stream()
    await client.send({"type": "submit", "id": 1, "task": "forever", "sub": 1})
    await client.until("update", sub=1)
    job_id = client.of(1)[0]["job"]["id"]
    await api.until(job_id, "running")
    await client.send({"type": "cancel", "id": 2, "job": job_id})
    assert (await client.until("ok", id=2))["job"]["state"] == "cancelling"
    assert (await client.until("end", sub=1))["job"]["state"] == "cancelled"
    await client.send({"type": "cancel", "id": 3, "job": job_id}, {"type": "cancel", "id": 4, "job": "nobody"})
    assert (await client.until("error", id=3))["code"] == "conflict"
    assert (await client.until("error", id=4))["code"] == "not_found"


@pytest.mark.gen_test
async def test_a_job_is_run_anew(stream, api):
    old = await api.submit("add", wait_s=5, args={"a": 1})
    waiting = await api.submit("add", args={"a": 1}, delay_s=60)
    client = await stream()
    await client.send({"type": "rerun", "id": 1, "job": old["id"]})
    assert (await client.until("ok", id=1))["job"]["rerun_of"] == old["id"]
    await client.send({"type": "rerun", "id": 2, "job": waiting["id"]})
    assert (await client.until("error", id=2))["code"] == "conflict"


@pytest.mark.gen_test
async def test_a_ping_is_answered_with_its_number(stream):
    client = await stream()
    for n in (1, -5, "x", None, 2**63):
        await client.send({"type": "ping", "n": n})
        assert (await client.until("pong"))["n"] == n
    await client.send({"type": "ping", "n": [1]})
    assert (await client.until("error"))["code"] == "invalid"


@pytest.mark.gen_test
async def test_unknown_frames_are_refused_and_the_connection_goes_on(stream):
    client = await stream()
    await client.send({"type": "confetti", "id": 1}, {"type": "welcome"}, {"type": "", "sub": 2})
    assert (await client.until("error", id=1))["code"] == "bad_request"
    await client.until("error")
    assert (await client.until("error", sub=2))["code"] == "bad_request"
    await client.send({"type": "ping", "n": 1})
    await client.until("pong", n=1)


@having(hidden_s=0.4)
@pytest.mark.gen_test
async def test_a_hidden_page_is_told_rarely_and_of_the_end_at_once(stream):
    client = await stream()
    await client.send({"type": "visibility", "hidden": True})
    await client.send({"type": "submit", "id": 1, "task": "steps", "args": {"count": 30, "pause_s": 0.005}, "sub": 1})
    await client.until("end", sub=1)
    updates = [frame for frame in client.of(1) if frame["type"] == "update"]
    assert len(updates) <= 2
    await client.send({"type": "visibility", "hidden": False})
    await client.send({"type": "submit", "id": 2, "task": "steps", "args": {"count": 30, "pause_s": 0.01}, "sub": 2})
    await client.until("end", sub=2)
    assert len([frame for frame in client.of(2) if frame["type"] == "update"]) > 2
    await client.send({"type": "visibility", "hidden": "yes", "id": 3})
    assert (await client.until("error", id=3))["code"] == "invalid"


@having(commands_burst=5, commands_per_s=50.0)
@pytest.mark.gen_test
async def test_too_many_commands_are_refused_until_it_is_time(stream):
    client = await stream()
    await client.send(*({"type": "ping", "n": n} for n in range(8)))
    error = await client.until("error")
    assert (error["code"], error["retryable"]) == ("too_many", True)
    assert 0 < error["after_s"] <= 0.1
    assert [frame["n"] for frame in client.frames if frame["type"] == "pong"] == [0, 1, 2, 3, 4]

    async def allowed():
        await client.send({"type": "ping", "n": "again"})
        return (await client.until(lambda frame: frame["type"] in ("pong", "error"))).get("n") == "again"

    await eventually(allowed)


@having(commands_burst=5, commands_per_s=0.01, commands_refused=10)
@pytest.mark.gen_test
async def test_who_goes_on_is_told_ten_times_and_then_ended(stream):
    client = await stream()
    await client.send(*({"type": "ping", "n": n} for n in range(30)))
    assert await client.closed() == 4101
    kinds = [frame["type"] for frame in client.frames]
    assert kinds.count("pong") == 5
    assert kinds.count("error") == 10
    assert (kinds[-1], client.frames[-1]["retry"]) == ("bye", True)


@pytest.mark.gen_test
async def test_a_draining_node_refuses_submits_and_answers_the_rest(stream, api, node):
    job = await api.submit("add", wait_s=5, args={"a": 1})
    client = await stream()
    node.draining = True
    await client.send(
        {"type": "submit", "id": 1, "task": "add", "args": {"a": 1}, "sub": 1},
        {"type": "rerun", "id": 2, "job": job["id"]},
        {"type": "subscribe", "sub": 2, "job": job["id"]},
    )
    for number in (1, 2):
        error = await client.until("error", id=number)
        assert (error["code"], error["retryable"]) == ("unavailable", True)
        assert error["after_s"] > 0
    await client.until("end", sub=2)


@pytest.mark.gen_test
async def test_an_unsubscribe_right_behind_a_submit_finds_its_subscription(stream, node):
    client = await stream()
    await client.send(
        {"type": "submit", "id": 1, "task": "forever", "sub": 5}, {"type": "unsubscribe", "id": 2, "sub": 5}
    )
    job = (await client.until("ok", id=1))["job"]
    await client.send({"type": "subscribe", "sub": 5, "job": job["id"]}, {"type": "ping", "n": 1})
    assert (await client.until("snapshot", sub=5))["job"]["id"] == job["id"]
    assert not [frame for frame in client.frames if frame["type"] == "error"]


@pytest.mark.gen_test
async def test_a_subscribe_right_behind_a_submit_with_its_number_is_a_conflict(stream):
    client = await stream()
    await client.send(
        {"type": "submit", "id": 1, "task": "forever", "sub": 5}, {"type": "subscribe", "sub": 5, "feed": {}}
    )
    assert (await client.until("error", sub=5))["code"] == "conflict"
    assert (await client.until("snapshot", sub=5))["job"]["task"] == "forever"
