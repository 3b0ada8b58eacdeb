"""POST /api/jobs with many jobs: arrays in both codecs and NDJSON, each job for itself."""

import asyncio
import json

import pytest
from web import exchange, having

from handlers.batch import MAX_JOBS
from server.codec import JSON, MSGPACK
from server.submitting import PART
from server.window import Match

NDJSON = "application/x-ndjson"
HEAD = b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GOOD = {"task": "add", "args": {"a": 1}, "delay_s": 60}


def numbered(count):
    """Jobs that can be told apart and do not run."""
    return [{**GOOD, "tags": [str(number)]} for number in range(count)]


async def stored(node):
    """How many jobs there are."""
    page = await node.queue.page(Match(), 1)
    return len(page.jobs) and (await node.queue.page(Match(), 1)).counts["scheduled"]


@pytest.mark.gen_test
async def test_an_array_is_answered_with_a_summary_for_each_in_order(api):
    for sent in (JSON, MSGPACK):
        for wanted in (JSON, MSGPACK):
            answer = await api.ask(
                "POST", "/api/jobs", sent.encode(numbered(5)), Content_Type=sent.media_type, Accept=wanted.media_type
            )
            assert (answer.status, answer.headers["Content-Type"]) == (202, wanted.media_type)
            jobs = answer.value["jobs"]
            assert [job["tags"] for job in jobs] == [[str(number)] for number in range(5)]
            assert [job["id"] for job in jobs] == sorted({job["id"] for job in jobs})


@pytest.mark.gen_test
async def test_what_a_batch_is_told_is_what_is_stored(api):
    given = [{**GOOD, "queue": "q", "priority": 3, "max_attempts": 7}, {**GOOD, "tags": ["a"]}]
    for job in (await api.post("/api/jobs", given)).value["jobs"]:
        whole = (await api.get(f"/api/jobs/{job['id']}")).value
        assert {name: whole[name] for name in job} == job


@pytest.mark.gen_test
async def test_a_thousand_jobs_are_run(api):
    answer = await api.post("/api/jobs", [{"task": "add", "args": {"a": number}} for number in range(1000)])
    last = answer.value["jobs"][-1]["id"]
    assert (await api.until(last, "succeeded"))["result"] == 1000


@pytest.mark.gen_test
async def test_ndjson_has_a_job_in_each_line_that_is_not_blank(api):
    lines = [json.dumps(job).encode() for job in numbered(3)]
    answer = await api.ask("POST", "/api/jobs", b"\n\r\n".join(lines) + b"\n\n", Content_Type=NDJSON)
    assert answer.status == 202
    assert [job["tags"] for job in answer.value["jobs"]] == [["0"], ["1"], ["2"]]
    assert (await api.ask("POST", "/api/jobs", lines[0], Content_Type=NDJSON)).status == 202


@pytest.mark.gen_test
async def test_a_line_that_cannot_be_read_is_a_problem_in_its_place(api):
    body = b"\n".join([json.dumps(GOOD).encode(), b'{"task":', b"\xff", json.dumps(GOOD).encode()])
    answer = await api.ask("POST", "/api/jobs", body, Content_Type=NDJSON)
    assert answer.status == 202
    assert [one.get("code", "accepted") for one in answer.value["jobs"]] == [
        "accepted",
        "bad_request",
        "bad_request",
        "accepted",
    ]


WRONG = {
    "unknown task": ({"task": "nobody"}, "invalid", "task"),
    "missing argument": ({"task": "add", "args": {}}, "invalid", "args.a"),
    "unknown field": ({**GOOD, "colour": "red"}, "invalid", "colour"),
    "no map": (7, "invalid", "body"),
    "an array": ([GOOD], "invalid", "body"),
    "null": (None, "invalid", "body"),
    "a key of its own": ({**GOOD, "idempotency_key": "k"}, "invalid", "idempotency_key"),
    "too large": ({"task": "fail", "args": {"message": "x" * 1_100_000}}, "too_large", None),
}


@pytest.mark.gen_test
async def test_each_job_is_judged_for_itself(api, node):
    for codec in (JSON, MSGPACK):
        body = codec.encode([one for wrong, _, _ in WRONG.values() for one in (wrong, GOOD)])
        answer = await api.ask("POST", "/api/jobs", body, Content_Type=codec.media_type)
        assert answer.status == 202
        told = answer.value["jobs"]
        assert {job["state"] for job in told[1::2]} == {"scheduled"}
        for (what, (_, code, field)), problem in zip(WRONG.items(), told[::2], strict=True):
            assert problem["code"] == code, what
            assert field is None or field in [error["field"] for error in problem["errors"]], (what, problem)
    assert await stored(node) == 2 * len(WRONG)


@pytest.mark.gen_test
async def test_values_that_json_has_not_are_refused_one_by_one(api):
    deep = b'{"task": "emit_all", "args": {"values": ' + b"[" * 33 + b"]" * 33 + b"}}"
    huge = b'{"task": "add", "args": {"a": 1e999}}'
    body = b"[" + b", ".join([deep, huge, json.dumps(GOOD).encode()]) + b"]"
    told = (await api.ask("POST", "/api/jobs", body, Content_Type=JSON.media_type)).value["jobs"]
    assert [one.get("code") for one in told] == ["invalid", "bad_request", None]
    body = b"\x93" + MSGPACK.encode({**GOOD, "args": {"a": b"1"}}) + b"\xd4\x01\x00" + MSGPACK.encode(GOOD)
    told = (await api.ask("POST", "/api/jobs", body, Content_Type=MSGPACK.media_type)).value["jobs"]
    assert [one.get("code") for one in told] == ["bad_request", "bad_request", None]


@pytest.mark.gen_test
async def test_an_empty_batch_is_refused(api):
    bodies = ((b"[]", JSON), (b" [ ] ", JSON), (b"\x90", MSGPACK), (b"\xdc\x00\x00", MSGPACK))
    for body, codec in bodies:
        answer = await api.ask("POST", "/api/jobs", body, Content_Type=codec.media_type)
        assert (answer.status, answer.value["errors"][0]["field"]) == (422, "body")
    for body in (b"", b"\n \r\n"):
        assert (await api.ask("POST", "/api/jobs", body, Content_Type=NDJSON)).status == 422


@pytest.mark.gen_test
async def test_a_batch_over_its_number_is_refused_as_a_whole(api, node):
    for body, media_type in (
        (b"[" + b",".join([b"1"] * (MAX_JOBS + 1)) + b"]", JSON.media_type),
        (MSGPACK.encode([1] * (MAX_JOBS + 1)), MSGPACK.media_type),
        (b"1\n" * (MAX_JOBS + 1), NDJSON),
    ):
        answer = await api.ask("POST", "/api/jobs", body, Content_Type=media_type)
        assert (answer.status, answer.value["code"]) == (413, "too_large")
        assert str(MAX_JOBS) in answer.value["detail"]
    assert not await stored(node)


@pytest.mark.gen_test
async def test_the_largest_batch_is_taken_and_the_loop_has_turns_meanwhile(api, node):
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    submitting = node.queue.submitting
    told = [one async for part in submitting.store_all([GOOD] * MAX_JOBS) for one in part]
    counting.cancel()
    assert {one.how for one in told} == {"accepted"}
    assert await stored(node) == MAX_JOBS
    assert turns > MAX_JOBS / PART


UNREADABLE = {
    "half": b'[{"task": "add"}',
    "half a job": b'[{"task": "add"',
    "a comma at the end": b"[{}, ]",
    "no comma": b"[{} {}]",
    "more behind": b"[{}] {}",
    "a constant": b"[NaN]",
    "not UTF-8": b'["\xff"]',
    "nested deep": b"[" * 100_000,
    "endless digits": b"[" + b"9" * 10_000 + b"]",
}
UNREADABLE_MSGPACK = {
    "half": MSGPACK.encode([GOOD, GOOD])[:-5],
    "more behind": MSGPACK.encode([GOOD]) + b"\x01",
    "said to be huge": b"\xdd\xff\xff\xff\xff",
    "huge ones in it": b"\x91" + b"\xdd\x7f\xff\xff\xff" * 100,
    "nested deep": b"\x91" * 100_000,
    "a number as key": b"\x91\x81\x01\x01",
    "not UTF-8": b"\x91\xa1\xff",
}


@pytest.mark.gen_test
async def test_an_array_that_cannot_be_read_to_its_end_is_refused_as_a_whole(api, node):
    for codec, bodies in ((JSON, UNREADABLE), (MSGPACK, UNREADABLE_MSGPACK)):
        for what, body in bodies.items():
            answer = await api.ask("POST", "/api/jobs", body, Content_Type=codec.media_type)
            assert (answer.status, answer.value["code"]) == (400, "bad_request"), what
    good = json.dumps(GOOD).encode()
    answer = await api.ask("POST", "/api/jobs", b"[" + b",".join([good] * 500) + b",]", Content_Type=JSON.media_type)
    assert answer.status == 400
    assert not await stored(node)


@pytest.mark.gen_test
async def test_a_batch_with_a_key_is_refused(api, node):
    answer = await api.post("/api/jobs", [GOOD], Idempotency_Key="k")
    assert (answer.status, answer.value["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert not await stored(node)


# Bodies.


@having(body_bytes=2048, batch_body_bytes=8192)
@pytest.mark.gen_test
async def test_a_batch_may_be_larger_than_a_single_job(api, port):
    jobs = numbered(60)
    body = json.dumps(jobs).encode()
    assert 2048 < len(body) < 8192
    for blanks in (b"", b" \r\n\t"):
        assert (await api.ask("POST", "/api/jobs", blanks + body, Content_Type=JSON.media_type)).status == 202
    assert (await api.ask("POST", "/api/jobs", MSGPACK.encode(jobs), Content_Type=MSGPACK.media_type)).status == 202
    lines = b"\n".join(json.dumps(job).encode() for job in jobs)
    assert (await api.ask("POST", "/api/jobs", lines, Content_Type=NDJSON)).status == 202
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in (b" ", body[:3000], body[3000:])]
    assert (await exchange(port, head, *chunks, b"0\r\n\r\n")).startswith(b"HTTP/1.1 202 ")


@having(body_bytes=2048, batch_body_bytes=8192)
@pytest.mark.gen_test
async def test_a_single_job_of_the_size_of_a_batch_is_too_large(api, port):
    single = json.dumps({"task": "fail", "args": {"message": "x" * 3000}}).encode()
    for blanks in (b"", b" "):
        answer = await api.ask("POST", "/api/jobs", blanks + single, Content_Type=JSON.media_type)
        assert (answer.status, answer.value["code"]) == (413, "too_large")
        assert "2048" in answer.value["detail"]
    assert (await api.ask("POST", "/api/jobs", b" " * 3000, Content_Type=JSON.media_type)).status == 413
    assert (await api.ask("POST", "/api/jobs", single, Content_Type="text/plain")).status == 413
    assert (await api.ask("POST", "/api/jobs/x/cancel", b"[" * 3000, Content_Type=JSON.media_type)).status == 413
    head = (
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"
    )
    assert (await exchange(port, head, b"{")).startswith(b"HTTP/1.1 413 ")


@having(body_bytes=2048, batch_body_bytes=8192)
@pytest.mark.gen_test
async def test_a_batch_over_its_own_limit_is_refused(api, node, port):
    for media_type in (JSON.media_type, NDJSON, MSGPACK.media_type):
        body = b"\xdd" * 9000 if media_type == MSGPACK.media_type else b"[" * 9000
        answer = await api.ask("POST", "/api/jobs", body, Content_Type=media_type)
        assert (answer.status, answer.value["code"]) == (413, "too_large"), media_type
        assert "8192" in answer.value["detail"]
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    assert (await exchange(port, head, b"2400\r\n[" + b" " * 0x23FF)).startswith(b"HTTP/1.1 413 ")
    assert not await stored(node)
