"""A submit that comes again with its key: over HTTP, over the socket, on two nodes, and after its job is gone."""

import asyncio
import json

import pytest
from web import eventually, having

from server.codec import JSON, MSGPACK
from server.errors import Conflict, Invalid, QueueFull
from server.protocol import IdempotencyKey, Submission
from server.window import Match

LATER = {"task": "add", "args": {"a": 1}, "delay_s": 60}


def key(text="k"):
    return IdempotencyKey(text, "idempotency_key")


def submits(node):
    """Submits counted, by what became of them."""
    return dict(node.metrics.submits)


async def stored(node):
    """How many jobs there are."""
    return sum((await node.queue.page(Match(), 1)).counts.values())


@pytest.mark.gen_test
async def test_the_same_key_and_body_give_the_first_job_again(api, node):
    first = await api.post("/api/jobs", LATER, Idempotency_Key="k")
    again = await api.post("/api/jobs", LATER, Idempotency_Key="k")
    assert (first.status, again.status) == (202, 200)
    assert again.value == first.value
    assert again.headers["Location"] == first.headers["Location"]
    assert submits(node) == {"accepted": 1, "repeated": 1}


@pytest.mark.gen_test
async def test_the_first_job_is_shown_as_it_is_now(api):
    body = {"task": "add", "args": {"a": 1}}
    first = await api.post("/api/jobs", body, Idempotency_Key="k")
    await api.until(first.value["id"], "succeeded")
    again = await api.post("/api/jobs", body, Idempotency_Key="k")
    assert (again.status, again.value["id"], again.value["state"]) == (200, first.value["id"], "succeeded")


@pytest.mark.gen_test
async def test_another_body_is_refused(api, node):
    await api.post("/api/jobs", LATER, Idempotency_Key="k")
    for other in ({**LATER, "args": {"a": 2}}, {**LATER, "tags": ["x"]}, {**LATER, "delay_s": 61}):
        answer = await api.post("/api/jobs", other, Idempotency_Key="k")
        assert (answer.status, answer.value["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert await stored(node) == 1


@pytest.mark.gen_test
async def test_bodies_are_compared_as_they_are_decoded(api, stream):
    body = {"task": "add", "args": {"a": 1, "b": 2}, "delay_s": 60}
    first = (await api.post("/api/jobs", body, Idempotency_Key="k")).value
    turned = json.dumps({"delay_s": 60.0, "args": {"b": 2, "a": 1}, "task": "add"}, indent=2).encode()
    for sent, media_type in ((turned, JSON.media_type), (MSGPACK.encode(body), MSGPACK.media_type)):
        answer = await api.ask("POST", "/api/jobs", sent, Content_Type=media_type, Idempotency_Key="k")
        assert (answer.status, answer.value["id"]) == (200, first["id"])
    for codec in ("json", "msgpack"):
        client = await stream(codec=codec)
        await client.send({"type": "submit", "id": 1, **body, "idempotency_key": "k"})
        assert (await client.until("ok", id=1))["job"]["id"] == first["id"]


@pytest.mark.gen_test
async def test_a_job_already_gone_is_a_conflict(api, node):
    body = {"task": "add", "args": {"a": 1}}
    job = (await api.post("/api/jobs", body, Idempotency_Key="k")).value
    await api.until(job["id"], "succeeded")
    await api.ask("DELETE", f"/api/jobs/{job['id']}")
    answer = await api.post("/api/jobs", body, Idempotency_Key="k")
    assert (answer.status, answer.value["code"]) == (409, "conflict")
    assert (await api.post("/api/jobs", LATER, Idempotency_Key="k")).status == 422
    assert await stored(node) == 0


@pytest.mark.gen_test
async def test_a_refused_submit_uses_no_key(api, node):
    assert (await api.post("/api/jobs", {"task": "add", "args": {}}, Idempotency_Key="k")).status == 422
    assert (await api.post("/api/jobs", {"task": "nobody"}, Idempotency_Key="k")).status == 422
    settings = node.broker._settings
    node.broker._settings = settings.model_copy(update={"queue_limit": 1, "max_ready_sets": 1})
    await api.submit("add", args={"a": 1}, delay_s=60)
    assert (await api.post("/api/jobs", LATER, Idempotency_Key="k")).status == 503
    node.broker._settings = settings
    assert (await api.post("/api/jobs", {**LATER, "args": {"a": 2}}, Idempotency_Key="k")).status == 202


@having(idempotency_s=0.2)
@pytest.mark.gen_test
async def test_a_key_is_forgotten_after_its_time(api):
    first = (await api.post("/api/jobs", LATER, Idempotency_Key="k")).value

    async def anew():
        answer = await api.post("/api/jobs", {**LATER, "args": {"a": 2}}, Idempotency_Key="k")
        return answer.status == 202 and answer.value

    assert (await eventually(anew))["id"] != first["id"]


@pytest.mark.gen_test
async def test_quotes_around_a_key_are_no_part_of_it(api):
    first = (await api.post("/api/jobs", LATER, Idempotency_Key='"a key"')).value
    assert (await api.post("/api/jobs", LATER, Idempotency_Key="a key")).value == first
    assert (await api.post("/api/jobs", LATER, Idempotency_Key='"')).value["id"] != first["id"]


@pytest.mark.gen_test
async def test_a_key_has_1_to_255_characters_of_ascii(api, stream):
    for wrong in ("", '""', "x" * 256, "a\tb", "k\xe9y"):
        answer = await api.post("/api/jobs", LATER, Idempotency_Key=wrong)
        assert (answer.status, answer.value["errors"][0]["field"]) == (422, "Idempotency-Key"), wrong
    assert (await api.post("/api/jobs", LATER, Idempotency_Key="x" * 255)).status == 202
    client = await stream()
    for wrong in ("", "x" * 256, "a\nb", "kéy", 7):
        await client.send({"type": "submit", "id": 1, **LATER, "idempotency_key": wrong})
        refusal = await client.until("error", id=1)
        assert [one["field"] for one in refusal["errors"]] == ["idempotency_key"], wrong
    await client.send({"type": "submit", "id": 2, **LATER, "idempotency_key": None})
    await client.until("ok", id=2)


@pytest.mark.gen_test
async def test_a_key_is_no_field_of_a_body(api):
    answer = await api.post("/api/jobs", {**LATER, "idempotency_key": "k"})
    assert (answer.status, answer.value["errors"][0]["field"]) == (422, "idempotency_key")


@pytest.mark.gen_test
async def test_of_submits_that_race_on_two_nodes_one_makes_the_job(nodes, node, settings):
    other = await nodes.start(settings.model_copy(update={"name": "other"}))
    for number in range(10):
        submission = Submission(task="add", args={"a": number})
        jobs = await asyncio.gather(
            *(one.queue.submit(submission, key(f"k{number}")) for one in (node, other) for _ in range(20))
        )
        assert len({job.id for job in jobs}) == 1
    told = [submits(one) for one in (node, other)]
    assert sum(one.get("accepted", 0) for one in told) == 10
    assert sum(one.get("repeated", 0) for one in told) == 390
    assert await stored(node) == 10


@pytest.mark.gen_test
async def test_of_different_submits_that_race_for_a_key_one_is_accepted(node):
    outcomes = await asyncio.gather(
        *(node.queue.submit(Submission(task="add", args={"a": number}), key()) for number in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Invalid) for one in outcomes) == 19
    assert await stored(node) == 1


@pytest.mark.gen_test
async def test_keys_in_one_call_of_the_store_are_seen_by_each_other(node):
    submitting = node.queue.submitting
    again = Submission(task="add", args={"a": 1}, delay_s=60)
    other = Submission(task="add", args={"a": 2}, delay_s=60)
    new = [submitting.prepare(one, key()) for one in (again, again, other)]
    first, second, third = await node.broker.submit(new)
    assert (first.how, second.how, second.job) == ("accepted", "repeated", first.job)
    assert isinstance(third, Invalid)


@pytest.mark.gen_test
async def test_a_call_that_comes_twice_is_answered_with_its_own_job(node):
    new = node.queue.submitting.prepare(Submission(task="add", args={"a": 1}, delay_s=60), key())
    (first,), (second,) = await node.broker.submit([new]), await node.broker.submit([new])
    assert first == second


@pytest.mark.gen_test
async def test_prefer_wait_waits_for_the_first_job(api):
    body = {"task": "steps", "args": {"count": 3, "pause_s": 0.05}}
    first = await api.post("/api/jobs", body, Idempotency_Key="k")
    for _ in range(2):  # the second time it has ended already
        again = await api.post("/api/jobs", body, Idempotency_Key="k", Prefer="wait=5")
        assert (again.status, again.value["id"], again.value["result"]) == (200, first.value["id"], 3)


@pytest.mark.gen_test
async def test_prefer_wait_that_is_over_before_the_first_job_answers_202(api):
    first = await api.post("/api/jobs", {"task": "forever"}, Idempotency_Key="k")
    again = await api.post("/api/jobs", {"task": "forever"}, Idempotency_Key="k", Prefer="wait=1")
    assert (again.status, again.value["id"]) == (202, first.value["id"])
    assert "result" not in again.value


@pytest.mark.gen_test
async def test_a_subscription_of_a_submit_that_comes_again_is_to_the_first_job(api, node, stream):
    body = {"task": "steps", "args": {"count": 2, "pause_s": 0.3}}
    first = (await api.post("/api/jobs", body, Idempotency_Key="k")).value
    client = await stream()
    await client.send({"type": "submit", "id": 1, **body, "idempotency_key": "k", "sub": 7, "log": "all"})
    assert (await client.until("ok", id=1))["job"]["id"] == first["id"]
    end = await client.until("end", sub=7)
    assert (end["job"]["id"], end["job"]["result"]) == (first["id"], 2)
    kinds = [frame["type"] for frame in client.frames if frame.get("id") == 1 or frame.get("sub") == 7]
    assert kinds[:2] == ["ok", "snapshot"]
    assert {"live", "log"} <= set(kinds)
    await client.send({"type": "submit", "id": 2, **body, "idempotency_key": "k", "sub": 7})
    assert (await client.until("end", sub=7))["job"]["id"] == first["id"]
    await eventually(lambda: not node.hub._topics)


@pytest.mark.gen_test
async def test_a_subscription_of_a_submit_that_is_refused_for_its_key_is_none(api, node, stream):
    await api.post("/api/jobs", LATER, Idempotency_Key="k")
    client = await stream()
    await client.send({"type": "submit", "id": 1, "task": "forever", "idempotency_key": "k", "sub": 7})
    assert (await client.until("error", id=1))["code"] == "invalid"
    assert client.of(7) == []
    assert not node.hub._topics


@pytest.mark.gen_test
async def test_a_key_outlives_the_node_that_took_it(nodes, node, settings):
    job = await node.queue.submit(Submission(task="add", args={"a": 1}, delay_s=60), key())
    other = await nodes.start(settings.model_copy(update={"name": "other"}))
    await node.drain(0.2)
    await node.stop()
    assert (await other.queue.submit(Submission(task="add", args={"a": 1}, delay_s=60), key())).id == job.id


@pytest.mark.gen_test
async def test_a_key_in_another_namespace_is_another_key(nodes, node, settings):
    job = await node.queue.submit(Submission(task="add", args={"a": 1}, delay_s=60), key())
    other = await nodes.start(settings.model_copy(update={"namespace": settings.namespace + "-other"}))
    assert (await other.queue.submit(Submission(task="add", args={"a": 1}, delay_s=60), key())).id != job.id


@having(queue_limit=1)
@pytest.mark.gen_test
async def test_a_repeated_submit_is_answered_though_the_queue_is_full(node):
    again = Submission(task="add", args={"a": 1}, delay_s=60)
    job = await node.queue.submit(again, key())
    with pytest.raises(QueueFull):
        await node.queue.submit(again)
    assert (await node.queue.submit(again, key())).id == job.id


@pytest.mark.gen_test
async def test_a_conflict_is_what_programs_get_too(node):
    job, _ = await node.queue.submit_and_wait(Submission(task="add", args={"a": 1}), 5, key())
    await node.queue.delete(job.id)
    with pytest.raises(Conflict):
        await node.queue.submit(Submission(task="add", args={"a": 1}), key())
