"""Groups over HTTP, children in lists and feeds, and what goes down a tree."""

import json

import pytest
from storing import opened
from test_trees import registry, settings

from server.protocol import IdempotencyKey

__all__ = ["registry", "settings"]
LEAVES = [{"task": "leaf", "args": {"n": n}} for n in range(4)]
BAD = {"task": "leaf", "args": {"fail": True}}
STUCK = {"task": "forever"}
RAISED = r"raised ValueError"


@pytest.fixture
def store(io_loop, settings):
    """A look at the store from outside."""
    yield from opened(io_loop, settings)


@pytest.fixture
def group(api):
    """Hands in a group: it, and what became of its jobs."""

    async def group(jobs, name="nightly", **headers):
        answer = await api.post(f"/api/jobs?group={name}", jobs, **headers)
        assert answer.status == 202, answer.body
        return answer.value["group"], answer.value["jobs"]

    return group


@pytest.mark.gen_test
async def test_a_group_ends_when_all_its_jobs_have(api, group):
    made, jobs = await group(LEAVES)
    assert (made["task"], made["node"]) == ("nightly", None)
    assert {job["parent"] for job in jobs} == {made["id"]}
    end = await api.until(made["id"], "succeeded", "failed")
    assert end["state"] == "succeeded"
    assert end["children"] == {"total": 4, "ended": 4, "failed": 0, "cancelled": 0, "running": 0}
    assert end["progress"] == {"done": 4, "total": 4, "unit": "jobs", "note": None, "fraction": 1}


@pytest.mark.gen_test
async def test_a_group_fails_when_one_of_its_jobs_has(api, group):
    made, _ = await group([*LEAVES, BAD])
    end = await api.until(made["id"], "succeeded", "failed")
    assert end["error"] == {"code": "child_failed", "message": "1 of 5 jobs failed, 0 were cancelled"}


@pytest.mark.gen_test
async def test_a_refused_element_counts_as_not_there(api, group):
    made, jobs = await group([LEAVES[0], {"task": "nobody"}, "nonsense", LEAVES[1]])
    assert [job.get("code") for job in jobs] == [None, "invalid", "invalid", None]
    end = await api.until(made["id"], "succeeded", "failed")
    assert (end["state"], end["children"]["total"]) == ("succeeded", 2)


@pytest.mark.gen_test
async def test_a_group_of_which_nothing_was_accepted_has_failed(api, group):
    made, _ = await group([{"task": "nobody"}])
    assert made["state"] == "failed"
    end = (await api.get(f"/api/jobs/{made['id']}")).value
    assert end["error"]["message"] == "no job of the group was accepted"


@pytest.mark.gen_test
async def test_cancelling_a_group_cancels_its_jobs(api, group):
    made, jobs = await group([STUCK] * 3 + [{**STUCK, "delay_s": 60}])
    await api.until(jobs[0]["id"], "running")
    assert (await api.post(f"/api/jobs/{made['id']}/cancel")).status == 202
    end = await api.until(made["id"], "cancelled")
    assert end["children"] == {"total": 4, "ended": 4, "failed": 0, "cancelled": 4, "running": 0}


@pytest.mark.gen_test
async def test_a_group_whose_jobs_are_cancelled_one_by_one_has_failed(api, group):
    made, jobs = await group([{**STUCK, "delay_s": 60}] * 2)
    for job in jobs:
        await api.post(f"/api/jobs/{job['id']}/cancel")
    assert (await api.until(made["id"], "failed"))["children"]["cancelled"] == 2


@pytest.mark.gen_test
async def test_the_same_key_gives_the_same_group_and_jobs(api, group):
    made, jobs = await group(LEAVES, Idempotency_Key="k1")
    again, same = await group(LEAVES, Idempotency_Key="k1")
    assert again["id"] == made["id"]
    assert [job["id"] for job in same] == [job["id"] for job in jobs]
    other = await api.post("/api/jobs?group=nightly", LEAVES[:2], Idempotency_Key="k1")
    assert other.status == 422


@pytest.mark.gen_test
async def test_jobs_that_a_broken_off_request_left_out_come_with_its_retry(api, node, group, store):
    groups = node.queue.groups
    values = [dict(one) for one in LEAVES]
    half = await groups._open("nightly", values, IdempotencyKey("k2", "Idempotency-Key"))
    async for _ in node.queue.submitting.store_all(values[:2], half.id):
        pass
    made, jobs = await group(LEAVES, Idempotency_Key="k2")
    assert made["id"] == half.id
    assert (await api.until(half.id, "succeeded"))["children"]["total"] == len(jobs) == 4


@pytest.mark.gen_test
async def test_a_group_takes_ndjson_and_msgpack_answers(api):
    body = "\n".join(map(json.dumps, LEAVES)).encode()
    headers = {"Content_Type": "application/x-ndjson", "Accept": "application/msgpack"}
    answer = await api.ask("POST", "/api/jobs?group=g", body, **headers)
    assert (answer.value["group"]["task"], len(answer.value["jobs"])) == ("g", 4)


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/jobs?group=g", {"task": "leaf"}, "group"),
        ("/api/jobs?group=no%20name", LEAVES, "group"),
        ("/api/jobs?group=g", [], "body"),
        ("/api/jobs?parent=no%20id", None, "parent.0"),
    ],
)
async def test_a_group_that_cannot_be_is_refused(api, path, body, field):
    answer = await (api.get(path) if body is None else api.post(path, body))
    assert (answer.status, answer.value["errors"][0]["field"]) == (422, field)


@pytest.mark.gen_test
@pytest.mark.parametrize("settings", [{"tree_children": 3}], indirect=True)
async def test_a_group_may_not_have_more_jobs_than_the_setting_says(node, api):
    answer = await api.post("/api/jobs?group=g", LEAVES)
    assert "a group may have 3 jobs (tree_children)" in answer.value["detail"]


@pytest.mark.gen_test
async def test_a_group_is_not_rerun(api, group):
    made, _ = await group(LEAVES)
    await api.until(made["id"], "succeeded")
    answer = await api.post(f"/api/jobs/{made['id']}/rerun")
    assert (answer.status, answer.value["code"]) == (409, "conflict")


@pytest.mark.gen_test
async def test_children_are_listed_by_their_parent(api, group):
    made, jobs = await group([*LEAVES, BAD])
    await api.until(made["id"], "failed")
    page = (await api.get(f"/api/jobs/{made['id']}/children?limit=3")).value
    rest = (await api.get(f"/api/jobs/{made['id']}/children?limit=3&before={page['next']}")).value
    assert [job["id"] for job in page["jobs"] + rest["jobs"]] == [job["id"] for job in reversed(jobs)]
    assert page["counts"] == (await api.get(f"/api/jobs?parent={made['id']}")).value["counts"]
    assert {name: count for name, count in page["counts"].items() if count} == {"succeeded": 4, "failed": 1}
    bad = (await api.get(f"/api/jobs/{made['id']}/children?state=failed")).value["jobs"]
    assert [job["id"] for job in bad] == [jobs[4]["id"]]
    assert (await api.get("/api/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV/children")).status == 404


@pytest.mark.gen_test
async def test_a_feed_shows_the_children_of_one_parent(api, group, stream):
    made, jobs = await group([STUCK] * 2)
    await api.submit("leaf")
    client = await stream()
    await client.send({"type": "subscribe", "sub": 1, "feed": {"parent": made["id"]}})
    snapshot = await client.until("snapshot", sub=1)
    assert {job["id"] for job in snapshot["jobs"]} == {job["id"] for job in jobs}
    await api.post(f"/api/jobs/{jobs[0]['id']}/cancel")
    await client.until(lambda frame: any(job["state"] == "cancelled" for job in frame.get("jobs", ())))


@pytest.mark.gen_test
async def test_a_group_that_is_deleted_leaves_its_jobs(api, group, store):
    made, jobs = await group(LEAVES)
    await api.until(made["id"], "succeeded")
    assert (await api.ask("DELETE", f"/api/jobs/{made['id']}")).status == 204
    assert (await api.get(f"/api/jobs/{jobs[0]['id']}")).value["parent"] == made["id"]
    assert len((await api.get(f"/api/jobs/{made['id']}/children")).value["jobs"]) == 4
    for job in jobs:
        await api.ask("DELETE", f"/api/jobs/{job['id']}")
    assert list(store.redis.scan_iter(f"{store.tag}:*{made['id']}*")) == []


@pytest.mark.gen_test
async def test_deleted_children_still_count(api, group):
    made, jobs = await group([BAD, STUCK, STUCK])
    await api.until(jobs[0]["id"], "failed")
    assert (await api.ask("DELETE", f"/api/jobs/{jobs[0]['id']}")).status == 204
    for job in jobs[1:]:
        await api.post(f"/api/jobs/{job['id']}/cancel")
    end = await api.until(made["id"], "failed")
    assert end["children"] == {"total": 3, "ended": 3, "failed": 1, "cancelled": 2, "running": 0}
