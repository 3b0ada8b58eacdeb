"""POST /api/jobs: what is accepted, what is refused and how, in both codecs."""

import json

import pytest
from web import having

from server.codec import JSON, MSGPACK


@pytest.mark.gen_test
async def test_a_submit_is_answered_with_the_summary_and_where_the_job_is(api):
    answer = await api.post("/api/jobs", {"task": "add", "args": {"a": 1}, "tags": ["x"], "priority": 3})
    assert answer.status == 202
    job = answer.value
    assert answer.headers["Location"] == f"/api/jobs/{job['id']}"
    assert (job["task"], job["state"], job["tags"], job["priority"]) == ("add", "queued", ["x"], 3)
    assert "args" not in job


@pytest.mark.gen_test
async def test_both_codecs_are_read_and_written(api):
    for sent in (JSON, MSGPACK):
        for wanted in (JSON, MSGPACK):
            answer = await api.ask(
                "POST",
                "/api/jobs",
                sent.encode({"task": "add", "args": {"a": 1}}),
                Content_Type=sent.media_type,
                Accept=wanted.media_type,
            )
            assert (answer.status, answer.headers["Content-Type"]) == (202, wanted.media_type)
            assert answer.value["task"] == "add"
            assert answer.headers["Vary"] == "Accept"


@pytest.mark.gen_test
async def test_prefer_wait_answers_with_the_end(api):
    answer = await api.post("/api/jobs", {"task": "add", "args": {"a": 1}}, Prefer="respond-async, Wait=5")
    assert (answer.status, answer.value["result"], answer.value["state"]) == (200, 2, "succeeded")
    assert answer.headers["Preference-Applied"] == "wait=5"


@pytest.mark.gen_test
async def test_prefer_wait_that_is_over_first_answers_as_without(api):
    answer = await api.post("/api/jobs", {"task": "forever"}, Prefer="wait=1")
    assert answer.status == 202
    assert answer.value["state"] == "queued"


@pytest.mark.gen_test
async def test_a_job_that_fails_is_an_answer_too(api):
    answer = await api.post("/api/jobs", {"task": "fail", "args": {"message": "no"}}, Prefer="wait=5")
    assert answer.status == 200
    assert answer.value["error"]["code"] == "exception"


@pytest.mark.gen_test
async def test_a_delayed_job_is_scheduled(api):
    job = await api.submit("add", args={"a": 1}, delay_s=60)
    assert job["state"] == "scheduled"
    assert 59_000 < job["scheduled_at"] - job["created_at"] < 61_000
    assert (await api.submit("add", args={"a": 1}, at=4_000_000_000_000))["scheduled_at"] == 4_000_000_000_000


WRONG = {
    "unknown task": ({"task": "nobody"}, "task"),
    "no task": ({"args": {}}, "task"),
    "unknown field": ({"task": "add", "args": {"a": 1}, "colour": "red"}, "colour"),
    "unknown argument": ({"task": "add", "args": {"a": 1, "c": 2}}, "args.c"),
    "missing argument": ({"task": "add", "args": {}}, "args.a"),
    "argument of a wrong type": ({"task": "add", "args": {"a": "one"}}, "args.a"),
    "args no map": ({"task": "add", "args": [1]}, "args"),
    "args null": ({"task": "add", "args": None}, "args"),
    "priority too high": ({"task": "add", "args": {"a": 1}, "priority": 11}, "priority"),
    "priority a float": ({"task": "add", "args": {"a": 1}, "priority": 1.5}, "priority"),
    "delay and time": ({"task": "add", "args": {"a": 1}, "delay_s": 1, "at": 1}, "body"),
    "negative delay": ({"task": "add", "args": {"a": 1}, "delay_s": -1}, "delay_s"),
    "no attempts": ({"task": "add", "args": {"a": 1}, "max_attempts": 0}, "max_attempts"),
    "17 tags": ({"task": "add", "args": {"a": 1}, "tags": list("abcdefghijklmnopq")}, "tags"),
    "tag with a line break": ({"task": "add", "args": {"a": 1}, "tags": ["a\nb"]}, "tags.0"),
    "queue with a blank": ({"task": "add", "args": {"a": 1}, "queue": "a b"}, "queue"),
}


@pytest.mark.gen_test
async def test_wrong_fields_are_refused_by_name(api):
    for what, (body, field) in WRONG.items():
        answer = await api.post("/api/jobs", body)
        assert answer.status == 422, what
        problem = answer.value
        assert answer.headers["Content-Type"] == "application/problem+json", what
        assert (problem["code"], problem["status"]) == ("invalid", 422), what
        assert {"type", "title", "detail"} <= problem.keys(), what
        assert field in [error["field"] for error in problem["errors"]], (what, problem)


@pytest.mark.gen_test
async def test_every_wrong_argument_is_listed(api):
    answer = await api.post("/api/jobs", {"task": "add", "args": {"b": "x", "c": 1}})
    assert {error["field"] for error in answer.value["errors"]} == {"args.a", "args.b", "args.c"}


UNREADABLE = {
    "nothing": b"",
    "half a map": b'{"task": "add"',
    "not UTF-8": b'{"task": "\xff"}',
    "NaN": b'{"task": "add", "args": {"a": NaN}}',
    "infinity": b'{"task": "add", "args": {"a": 1e999}}',
    "over 64 bits": b'{"task": "add", "args": {"a": ' + b"9" * 30 + b"}}",
    "endless digits": b'{"task": "add", "args": {"a": ' + b"9" * 10_000 + b"}}",
    "a lone surrogate": b'{"task": "add", "args": {"a": "\\ud800"}}',
    "nested deep": b"[" * 100_000,
    "text": b'"task"',
    "number": b"7",
    "null": b"null",
}


@pytest.mark.gen_test
async def test_unreadable_json_is_400(api):
    for what, body in UNREADABLE.items():
        answer = await api.ask("POST", "/api/jobs", body, Content_Type="application/json")
        assert (answer.status, answer.value["code"]) == (400, "bad_request"), what


@pytest.mark.gen_test
async def test_args_nested_over_the_limit_are_refused(api):
    value = 1
    for _ in range(33):
        value = [value]
    answer = await api.post("/api/jobs", {"task": "emit_all", "args": {"values": value}})
    assert (answer.status, answer.value["errors"][0]["field"]) == (422, "args")


UNREADABLE_MSGPACK = {
    "half a map": b"\x82\xa1a",
    "bytes": MSGPACK.encode({"task": "add", "args": {"a": b"x"}}),
    "an extension": b"\x81\xa4task\xd4\x01\x00",
    "a number as key": b"\x81\x01\x01",
    "NaN": MSGPACK.encode({"task": "add", "args": {"a": float("nan")}}),
    "trailing bytes": MSGPACK.encode({}) + b"\x01",
    "an array said to be huge": b"\xdd\xff\xff\xff\xff",
    "arrays in arrays said to be long": b"\xdd\x00\x0f\xff\xff" * 1000,
    "nested deep": b"\x91" * 100_000,
}


@pytest.mark.gen_test
async def test_unreadable_msgpack_is_400(api):
    for what, body in UNREADABLE_MSGPACK.items():
        answer = await api.ask("POST", "/api/jobs", body, Content_Type=MSGPACK.media_type)
        assert (answer.status, answer.value["code"]) == (400, "bad_request"), what


@pytest.mark.gen_test
async def test_other_media_types_are_415(api):
    body = json.dumps({"task": "add", "args": {"a": 1}}).encode()
    for media_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "",
    ):
        answer = await api.ask("POST", "/api/jobs", body, Content_Type=media_type)
        assert (answer.status, answer.value["code"]) == (415, "unsupported_media"), media_type
    answer = await api.ask("POST", "/api/jobs", body, Content_Type="Application/JSON; charset=utf-8")
    assert answer.status == 202


@having(queue_limit=2)
@pytest.mark.gen_test
async def test_a_full_queue_is_503_and_says_when_to_come_again(api, node):
    jobs = [{"task": "add", "args": {"a": 1}, "delay_s": 60}] * 4
    told = (await api.post("/api/jobs", jobs)).value["jobs"]
    assert [one.get("code") for one in told] == [None, None, "queue_full", "queue_full"]
    answer = await api.post("/api/jobs", jobs[0])
    assert (answer.status, answer.value["code"]) == (503, "queue_full")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await api.post("/api/jobs", {**jobs[0], "queue": "other"})).status == 202
    assert node.metrics.submits["queue_full"] == 3


@pytest.mark.gen_test
async def test_arguments_over_their_limit_are_413(api):
    answer = await api.post("/api/jobs", {"task": "fail", "args": {"message": "x" * (1024 * 1024)}})
    assert (answer.status, answer.value["code"]) == (413, "too_large")
