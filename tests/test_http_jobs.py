"""/api/jobs/ID and below, and the list: get, long-poll, log, cancel, rerun, delete, pages and counts."""

import asyncio

import pytest
from web import eventually

from server.codec import MSGPACK

GHOST = "01JDZZZZZZZZZZZZZZZZZZZZZZ"


# one job


@pytest.mark.gen_test
async def test_a_job_is_told_whole(api):
    job_id = (await api.submit("add", wait_s=5, args={"a": 1}))["id"]
    answer = await api.get(f"/api/jobs/{job_id}")
    job = answer.value
    assert (job["args"], job["result"], job["state"]) == ({"a": 1}, 2, "succeeded")
    assert answer.headers["ETag"] == f'W/"{job["cursor"]}"'
    assert answer.headers["Vary"] == "Accept"


@pytest.mark.gen_test
async def test_a_failed_job_shows_its_traceback(api):
    job = await api.submit("fail", wait_s=5, args={"message": "no"})
    error = (await api.get(f"/api/jobs/{job['id']}")).value["error"]
    assert error["code"] == "exception"
    assert error["message"] == "ValueError: no"
    assert "sample_tasks.py" in error["traceback"]


@pytest.mark.gen_test
async def test_a_job_is_told_in_msgpack_too(api):
    job = await api.submit("add", wait_s=5, args={"a": 1})
    answer = await api.get(f"/api/jobs/{job['id']}", Accept="text/html, application/msgpack;q=0.9")
    assert MSGPACK.decode(answer.body)["result"] == 2


@pytest.mark.gen_test
async def test_a_queued_job_shows_its_position(api, node):
    node.worker.draining = True
    jobs = [await api.submit("add", queue="idle", args={"a": 1}, delay_s=0) for _ in range(3)]
    shown = [(await api.get(f"/api/jobs/{job['id']}")).value for job in jobs]
    queued = [job["position"] for job in shown if job["state"] == "queued"]
    assert queued == sorted(queued)


@pytest.mark.gen_test
async def test_every_way_to_an_unknown_job_is_404(api):
    for method, path in [
        ("GET", ""),
        ("GET", "?after=x-1.1.1&wait=5"),
        ("GET", "/log"),
        ("POST", "/cancel"),
        ("POST", "/rerun"),
        ("DELETE", ""),
        ("HEAD", ""),
    ]:
        answer = await api.ask(method, f"/api/jobs/{GHOST}{path}", b"" if method == "POST" else None)
        assert answer.status == 404, (method, path)
        assert method == "HEAD" or answer.value["code"] == "not_found", (method, path)


@pytest.mark.gen_test
async def test_an_unchanged_job_is_304(api):
    job = await api.submit("add", wait_s=5, args={"a": 1})
    tag = f'W/"{job["cursor"]}"'
    answer = await api.get(f"/api/jobs/{job['id']}", If_None_Match=tag)
    assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)
    assert (await api.get(f"/api/jobs/{job['id']}?after={job['cursor']}")).status == 304
    assert (await api.get(f"/api/jobs/{job['id']}", If_None_Match='W/"x-1.1.1"')).status == 200
    assert (await api.get(f"/api/jobs/{job['id']}", If_None_Match="garbage")).status == 200


@pytest.mark.gen_test
async def test_a_long_poll_answers_at_once_when_there_is_news(api):
    job = await api.submit("forever")
    job = await api.until(job["id"], "running")
    for after in ("garbage", "x-1.1.1", job["cursor"].rsplit(".", 2)[0] + ".1.0"):
        async with asyncio.timeout(2):
            assert (await api.get(f"/api/jobs/{job['id']}?wait=50&after={after}")).status == 200


@pytest.mark.gen_test
async def test_a_long_poll_waits_for_news(api):
    job = await api.until((await api.submit("forever"))["id"], "running")
    while True:  # until the first progress is in
        poll = await api.get(f"/api/jobs/{job['id']}?wait=1&after={job['cursor']}")
        if poll.status == 304:
            break
        job = poll.value
    waiting = asyncio.ensure_future(api.get(f"/api/jobs/{job['id']}?wait=50&after={job['cursor']}"))
    assert (await api.post(f"/api/jobs/{job['id']}/cancel")).value["state"] == "cancelling"
    answer = await asyncio.wait_for(waiting, 2)
    assert answer.value["state"] in ("cancelling", "cancelled")
    assert answer.value["cursor"] != job["cursor"]


@pytest.mark.gen_test
async def test_a_long_poll_tells_that_the_log_grew(api):
    job = await api.submit("steps", args={"count": 50, "pause_s": 0.02})
    job = await api.until(job["id"], "running")
    tails = []
    for _ in range(5):
        answer = await api.get(f"/api/jobs/{job['id']}?wait=5&after={job['cursor']}")
        job = answer.value
        tails.append(int(job["cursor"].rsplit(".", 1)[1]))
    assert tails == sorted(tails)
    assert tails[-1] > tails[0]


@pytest.mark.gen_test
async def test_a_long_poll_without_news_is_304_in_time(api):
    job = await api.submit("add", args={"a": 1}, delay_s=60)
    answer = await api.get(f"/api/jobs/{job['id']}?wait=1&after={job['cursor']}")
    assert answer.status == 304


@pytest.mark.gen_test
async def test_a_long_poll_whose_client_left_waits_no_longer(api, node, base_url):
    job = await api.submit("add", args={"a": 1}, delay_s=60)
    port = int(base_url.rsplit(":", 1)[1])
    _, writer = await asyncio.open_connection("localhost", port)
    path = f"/api/jobs/{job['id']}?wait=60&after={job['cursor']}"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await eventually(lambda: job["id"] in node.hub._topics)
    writer.close()
    await eventually(lambda: not node.hub._topics)


@pytest.mark.gen_test
async def test_bad_numbers_in_the_query_are_refused_by_name(api):
    job = await api.submit("add", wait_s=5, args={"a": 1})
    here = f"/api/jobs/{job['id']}"
    for path, field in [
        (f"{here}?until=noon", "until"),
        (f"{here}?after={job['cursor']}&wait=soon", "wait"),
        (f"{here}?after={job['cursor']}&wait=61", "wait"),
        (f"{here}/log?after=-1", "after"),
        (f"{here}/log?after={2**53}", "after"),
        (f"{here}/log?limit=0", "limit"),
        (f"{here}/log?limit=" + "9" * 5000, "limit"),
        ("/api/jobs?limit=501", "limit"),
        ("/api/jobs?limit=", "limit"),
        ("/api/jobs?before=!", "before"),
        ("/api/jobs?state=gone", "state.0"),
        ("/api/jobs?task=a%0Ab", "task.0"),
    ]:
        answer = await api.get(path)
        assert answer.status == 422, path
        assert answer.value["errors"][0]["field"] == field, (path, answer.value)


@pytest.mark.gen_test
async def test_a_query_that_is_not_utf8_is_400(api):
    answer = await api.get("/api/jobs?state=%ff")
    assert (answer.status, answer.value["code"]) == (400, "bad_request")


# the log


@pytest.mark.gen_test
async def test_the_log_comes_in_pages(api):
    job = await api.submit("steps", wait_s=5, args={"count": 5})
    path = f"/api/jobs/{job['id']}/log"
    first = (await api.get(path + "?limit=2")).value
    assert [entry["offset"] for entry in first["entries"]] == [1, 2]
    assert (first["first"], first["last"], first["next"]) == (1, 5, 2)
    rest = (await api.get(path + f"?after={first['next']}")).value
    assert [entry["text"] for entry in rest["entries"]] == ["step 3", "step 4", "step 5"]
    assert rest["next"] is None
    assert rest["entries"][0]["level"] == "info"


@pytest.mark.gen_test
async def test_a_log_past_its_end_is_empty(api):
    job = await api.submit("steps", wait_s=5, args={"count": 2})
    for after in (2, 3, 10**12):
        page = (await api.get(f"/api/jobs/{job['id']}/log?after={after}")).value
        assert (page["entries"], page["last"], page["next"]) == ([], 2, None)


@pytest.mark.gen_test
async def test_emitted_values_are_in_the_log(api):
    job = await api.submit("emit_all", wait_s=5, args={"values": [1, {"a": None}]})
    entries = (await api.get(f"/api/jobs/{job['id']}/log")).value["entries"]
    assert [entry["value"] for entry in entries] == [1, {"a": None}]


# commands


@pytest.mark.gen_test
async def test_a_job_that_has_not_started_is_cancelled_at_once(api):
    job = await api.submit("add", args={"a": 1}, delay_s=60)
    answer = await api.post(f"/api/jobs/{job['id']}/cancel")
    assert (answer.status, answer.value["state"]) == (202, "cancelled")
    again = await api.post(f"/api/jobs/{job['id']}/cancel")
    assert (again.status, again.value["code"]) == (409, "conflict")


@pytest.mark.gen_test
async def test_a_running_job_is_asked_to_end(api):
    job = await api.until((await api.submit("forever"))["id"], "running")
    answer = await api.post(f"/api/jobs/{job['id']}/cancel")
    assert (answer.status, answer.value["state"]) == (202, "cancelling")
    assert (await api.until(job["id"], "cancelled"))["finished_at"]


@pytest.mark.gen_test
async def test_a_rerun_is_a_new_job_that_names_the_old_one(api):
    old = await api.submit("add", wait_s=5, args={"a": 1}, tags=["t"], priority=2)
    answer = await api.post(f"/api/jobs/{old['id']}/rerun")
    new = answer.value
    assert answer.status == 202
    assert answer.headers["Location"] == f"/api/jobs/{new['id']}"
    assert (new["rerun_of"], new["tags"], new["priority"]) == (old["id"], ["t"], 2)
    whole = await api.until(new["id"], "succeeded")
    assert (whole["args"], whole["result"], whole["rerun_of"]) == ({"a": 1}, 2, old["id"])


@pytest.mark.gen_test
async def test_only_an_ended_job_is_run_anew_or_deleted(api):
    job = await api.submit("add", args={"a": 1}, delay_s=60)
    for method, path in (("POST", "/rerun"), ("DELETE", "")):
        answer = await api.ask(method, f"/api/jobs/{job['id']}{path}", b"" if method == "POST" else None)
        assert (answer.status, answer.value["code"]) == (409, "conflict")


@pytest.mark.gen_test
async def test_a_deleted_job_is_gone(api):
    job = await api.submit("add", wait_s=5, args={"a": 1})
    answer = await api.ask("DELETE", f"/api/jobs/{job['id']}")
    assert (answer.status, answer.body) == (204, b"")
    assert (await api.get(f"/api/jobs/{job['id']}")).status == 404
    assert (await api.get("/api/jobs")).value["jobs"] == []


# the list


@pytest.mark.gen_test
async def test_a_list_is_newest_first_and_comes_in_pages(api):
    ids = [(await api.submit("add", args={"a": 1}, delay_s=60))["id"] for _ in range(5)]
    first = (await api.get("/api/jobs?limit=2")).value
    assert [job["id"] for job in first["jobs"]] == [ids[4], ids[3]]
    second = (await api.get(f"/api/jobs?limit=2&before={first['next']}")).value
    assert [job["id"] for job in second["jobs"]] == [ids[2], ids[1]]
    last = (await api.get(f"/api/jobs?limit=2&before={second['next']}")).value
    assert ([job["id"] for job in last["jobs"]], last["next"]) == ([ids[0]], None)
    assert last["counts"]["scheduled"] == 5


@pytest.mark.gen_test
async def test_filters_choose_or_within_and_between_fields(api):
    one = (await api.submit("add", args={"a": 1}, delay_s=60, tags=["x", "y"]))["id"]
    two = (await api.submit("add", args={"a": 1}, delay_s=60, queue="other"))["id"]
    three = (await api.submit("forever", delay_s=60, tags=["y"]))["id"]
    await api.post(f"/api/jobs/{three}/cancel")
    for query, wanted in [
        ("", [three, two, one]),
        ("state=scheduled", [two, one]),
        ("state=scheduled&state=cancelled", [three, two, one]),
        ("task=add", [two, one]),
        ("queue=other", [two]),
        ("tag=y", [three, one]),
        ("tag=x&tag=y", [three, one]),
        ("tag=y&state=cancelled", [three]),
        ("tag=y&task=add", [one]),
        ("tag=nobody", []),
        ("colour=red", [three, two, one]),
    ]:
        page = (await api.get(f"/api/jobs?{query}")).value
        assert [job["id"] for job in page["jobs"]] == wanted, query


@pytest.mark.gen_test
async def test_counts_ignore_the_state_and_are_null_where_not_exact(api):
    await api.submit("add", args={"a": 1}, delay_s=60, tags=["x"])
    job = await api.submit("forever", delay_s=60, tags=["x"])
    await api.post(f"/api/jobs/{job['id']}/cancel")
    counts = (await api.get("/api/jobs?state=running&tag=x")).value["counts"]
    assert (counts["scheduled"], counts["cancelled"], counts["running"]) == (1, 1, 0)
    for query in ("tag=x&task=add", "tag=x&tag=y"):
        assert (await api.get(f"/api/jobs?{query}")).value["counts"] is None


@pytest.mark.gen_test
async def test_who_waits_for_the_end_has_one_answer(api, node):
    job = await api.submit("steps", args={"count": 5, "pause_s": 0.05})
    early = await api.get(f"/api/jobs/{job['id']}?until=end")
    assert (early.status, early.body) == (304, b"")
    answer = await api.get(f"/api/jobs/{job['id']}?until=end&wait=10")
    assert (answer.value["state"], answer.value["result"]) == ("succeeded", 5)
    again = await api.get(f"/api/jobs/{job['id']}?until=end&wait=10")
    assert again.value == answer.value
    assert not node.hub._topics
