"""Results that answer: a submit with the arguments of a recent success gets that job."""

import pytest
from same_tasks import claims, known_tasks, let, submit
from storing import opened
from web import eventually

from server.job import JobState
from server.protocol import Submission
from server.sameness import Same

SAME = Same("u", "c", 60.0)


@pytest.fixture
def registry():
    return known_tasks()


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


@pytest.mark.gen_test
async def test_a_success_answers_for_the_same_arguments(api, node):
    first = await api.submit("square", wait_s=5, args={"number": 3})
    again = await api.post("/api/jobs", {"task": "square", "args": {"number": 3}})
    assert (again.status, again.value["id"], again.value["state"]) == (200, first["id"], "succeeded")
    waited = await api.post("/api/jobs", {"task": "square", "args": {"number": 3}}, Prefer="wait=5")
    assert (waited.status, waited.value["id"], waited.value["result"]) == (200, first["id"], 9)
    assert dict(node.metrics.submits) == {"accepted": 1, "cached": 2}
    assert (await api.submit("square", wait_s=5, args={"number": 4}))["result"] == 16


@pytest.mark.gen_test
async def test_a_failure_is_never_cached(api):
    first = await api.submit("fails", wait_s=5, args={"number": 1})
    second = await api.submit("fails", wait_s=5, args={"number": 1})
    assert first["state"] == second["state"] == "failed"
    assert first["id"] != second["id"]


@pytest.mark.gen_test
async def test_a_cancelled_job_is_never_cached(store, settings):
    lease = await store.running(same=SAME)
    await store.broker.cancel(lease.id)
    await store.finish(lease, "cancelled", None)
    assert claims(settings, store.redis) == []


@pytest.mark.gen_test
async def test_an_answer_is_forgotten_after_its_time(node):
    first = (await node.queue.submit_and_wait(Submission(task="brief", args={"number": 1}), 5))[0]

    async def anew():
        return (await submit(node, "brief", number=1)).id != first.id

    await eventually(anew)


@pytest.mark.gen_test
async def test_an_answer_goes_with_its_job(api):
    for how in ("delete", "again"):
        job = await api.submit("square", wait_s=5, args={"number": 3})
        assert (await api.ask("DELETE", f"/api/jobs/{job['id']}")).status == 204
        fresh = await api.submit("square", wait_s=5, args={"number": 3})
        assert fresh["id"] != job["id"], how


@pytest.mark.gen_test
async def test_an_older_job_that_goes_takes_no_answer_of_a_newer_one_with_it(store):
    old = await store.ended(same=Same(None, "c", 60))
    again = await store.submit(same=Same(None, "c", 60), rerun_of=old.id)
    (lease,) = await store.claim()
    await store.finish(lease)
    await store.broker.delete(old.id)
    assert (await store.submit(same=Same(None, "c", 60))).id == again.id


@pytest.mark.gen_test
async def test_a_subscription_of_a_submit_that_is_answered_at_once_gets_the_end(api, stream):
    first = await api.submit("square", wait_s=5, args={"number": 3})
    client = await stream()
    await client.send({"type": "submit", "id": 1, "task": "square", "args": {"number": 3}, "sub": 4})
    end = await client.until("end", sub=4)
    assert (end["job"]["id"], end["job"]["result"]) == (first["id"], 9)
    kinds = [frame["type"] for frame in client.frames if frame.get("id") == 1 or frame.get("sub") == 4]
    assert kinds == ["ok", "snapshot", "live", "end"]


@pytest.mark.gen_test
async def test_a_job_for_later_and_a_rerun_are_not_answered_from_the_cache(api, node):
    first = await api.submit("square", wait_s=5, args={"number": 3})
    later = await submit(node, "square", number=3, delay_s=60)
    assert (later.id != first["id"], later.state) == (True, JobState.SCHEDULED)
    again = await api.post(f"/api/jobs/{first['id']}/rerun")
    assert (again.status, again.value["rerun_of"]) == (202, first["id"])


@pytest.mark.gen_test
async def test_a_rerun_brings_a_fresh_answer(api):
    first = await api.submit("square", wait_s=5, args={"number": 3})
    again = (await api.post(f"/api/jobs/{first['id']}/rerun")).value["id"]
    await api.until(again, "succeeded")
    assert (await api.submit("square", args={"number": 3}))["id"] == again


@pytest.mark.gen_test
async def test_a_unique_task_with_a_cache_is_joined_and_then_answered_for(api, node):
    first = await api.submit("both", args={"number": 3})
    assert (await api.submit("both", args={"number": 3}))["id"] == first["id"]
    let(first["id"])
    await api.until(first["id"], "succeeded")
    assert (await api.submit("both", args={"number": 3}))["id"] == first["id"]
    assert dict(node.metrics.submits) == {"accepted": 1, "joined": 1, "cached": 1}


@pytest.mark.gen_test
async def test_a_key_leads_to_the_job_that_was_joined(api):
    first = await api.submit("build", args={"name": "a"})
    body = {"task": "build", "args": {"name": "a"}}
    assert (await api.post("/api/jobs", body, Idempotency_Key="k")).value["id"] == first["id"]
    await api.until(first["id"], "running")
    let(first["id"])
    await api.until(first["id"], "succeeded")
    assert (await api.post("/api/jobs", body, Idempotency_Key="k")).value["id"] == first["id"]
    assert (await api.post("/api/jobs", body)).value["id"] != first["id"]


@pytest.mark.gen_test
async def test_tasks_say_what_makes_their_jobs_the_same(api):
    tasks = {one["name"]: one["options"] for one in (await api.get("/api/tasks")).value["tasks"]}
    assert (tasks["build"]["unique"], tasks["publish"]["unique"], tasks["square"]["cache_s"]) == (True, ["name"], 60)
    assert (tasks["plain"]["unique"], tasks["plain"]["cache_s"]) == (False, None)
