"""Unique jobs: a submit joins the one that waits or runs."""

import asyncio

import pytest
from same_tasks import claims, ended, known_tasks, let, submit
from storing import new_job, opened
from web import eventually, having

from server.job import JobState
from server.registry import make_task
from server.sameness import Same
from windsock import task


@pytest.fixture
def registry():
    return known_tasks()


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


@pytest.mark.gen_test
async def test_a_submit_of_the_same_arguments_joins_the_job(api, node):
    first = await api.post("/api/jobs", {"task": "build", "args": {"name": "a"}})
    await api.until(first.value["id"], "running")
    again = await api.post("/api/jobs", {"task": "build", "args": {"name": "a"}, "priority": 5, "queue": "other"})
    assert (first.status, again.status) == (202, 200)
    assert (again.value["id"], again.value["state"]) == (first.value["id"], "running")
    assert again.headers["Location"] == f"/api/jobs/{first.value['id']}"
    assert dict(node.metrics.submits) == {"accepted": 1, "joined": 1}


@pytest.mark.gen_test
async def test_other_arguments_and_other_tasks_are_other_jobs(node):
    jobs = [
        await submit(node, "build", name="a"),
        await submit(node, "build", name="b"),
        await submit(node, "build", name="a", fast=True),
        await submit(node, "publish", name="a"),
        await submit(node, "plain", number=1),
        await submit(node, "plain", number=1),
    ]
    assert len({job.id for job in jobs}) == 6


@pytest.mark.gen_test
async def test_an_argument_left_out_counts_as_its_default(node):
    first = await submit(node, "build", name="a")
    assert (await submit(node, "build", name="a", fast=False)).id == first.id
    assert (await submit(node, "build", fails=False, fast=False, name="a")).id == first.id


@pytest.mark.gen_test
async def test_only_the_arguments_that_are_named_count(node):
    first = await submit(node, "publish", name="a", size=1)
    assert (await submit(node, "publish", name="a", size=2)).id == first.id
    assert (await submit(node, "publish", name="b", size=1)).id != first.id


def test_unique_names_arguments_that_there_are():
    @task(unique=("colour",))
    async def paint(size: int) -> None: ...

    with pytest.raises(TypeError, match="task paint: unique names 'colour'"):
        make_task(paint)


@pytest.mark.parametrize("options", [{"unique": "name"}, {"unique": ()}, {"unique": (1,)}, {"unique": 1}])
def test_unique_is_a_choice_or_names(options):
    with pytest.raises(TypeError, match="unique must be True, False or"):
        task(**options)


@pytest.mark.parametrize("cache_s", [0, -1, 1e12, float("nan")])
def test_a_cache_lasts_for_some_time(cache_s):
    with pytest.raises(TypeError, match="cache_s"):
        task(cache_s=cache_s)


@pytest.mark.parametrize("priority", [11, -11, 1.5, True])
def test_a_priority_is_a_whole_number_in_its_range(priority):
    with pytest.raises(TypeError, match="priority"):
        task(priority=priority)


@pytest.mark.gen_test
async def test_a_scheduled_job_is_joined(node):
    first = await submit(node, "build", name="a", delay_s=60)
    joined = await submit(node, "build", name="a")
    assert (joined.id, joined.state) == (first.id, JobState.SCHEDULED)


@pytest.mark.gen_test
async def test_when_the_job_has_ended_the_next_submit_is_a_new_job(node):
    for failing in (False, True):
        first = await submit(node, "build", name="a", fails=failing)
        let(first.id)
        await ended(node, first.id)
        second = await submit(node, "build", name="a", fails=failing)
        assert second.id != first.id
        let(second.id)
        await ended(node, second.id)


@pytest.mark.gen_test
async def test_a_job_cancelled_before_it_ran_is_joined_no_more(node):
    for delay_s in (60, None):
        first = await submit(node, "build", name="a", delay_s=60)
        await node.queue.cancel(first.id)
        second = await submit(node, "build", name="a", delay_s=delay_s)
        assert second.id != first.id
        await node.queue.cancel(second.id)


@pytest.mark.gen_test
async def test_a_job_that_is_being_cancelled_is_not_joined_and_its_end_leaves_the_new_one_alone(store):
    same = Same("u", None, 0)
    lease = await store.running(same=same)
    await store.broker.cancel(lease.id)
    second = await store.submit(same=same)
    assert second.id != lease.id
    await store.finish(lease, "cancelled", None)
    (third,) = await store.broker.submit([new_job(same=same)])
    assert (third.job.id, third.how) == (second.id, "joined")


@pytest.mark.gen_test
async def test_a_job_stays_unique_when_it_is_rescued_or_given_back(store):
    same = Same("u", None, 0)
    first = await store.running("w1", same=same)
    await store.broker.rescue("w1")
    assert (await store.submit(same=same)).id == first.id
    (lease,) = await store.claim("w2")
    await store.finish(lease, "queued", None)
    assert (await store.submit(same=same)).id == first.id
    (lease,) = await store.claim("w2")
    assert (await store.submit(same=same)).state is JobState.RUNNING
    await store.finish(lease)
    assert (await store.submit(same=same)).id != first.id


@pytest.mark.gen_test
async def test_a_job_that_ends_because_its_worker_was_lost_is_joined_no_more(store, settings):
    same = Same("u", None, 0)
    first = await store.running("w1", same=same, max_attempts=1)
    await store.broker.rescue("w1")
    assert (await store.job(first.id)).state is JobState.FAILED
    assert claims(settings, store.redis) == []
    assert (await store.submit(same=same)).id != first.id


@pytest.mark.gen_test
async def test_nothing_is_left_of_jobs_that_are_gone(store, settings):
    same = Same("u", "c", 60.0)
    for how in ("succeeded", "failed"):
        job = await store.ended(how, same=same)
        await store.broker.delete(job.id)
    lease = await store.running(same=same)
    await store.finish(lease)
    assert claims(settings, store.redis) == ["cached:add:c"]
    assert store.sweep(keep=0) == 1
    assert claims(settings, store.redis) == []


@pytest.mark.gen_test
async def test_a_claim_whose_job_the_store_has_lost_holds_nobody_up(store):
    same = Same("u", "c", 60)
    first = await store.submit(same=same)
    store.redis.delete(store.key(f"job:{first.id}"))
    store.redis.set(store.key("cached:add:c"), first.id)
    (second,) = await store.broker.submit([new_job(same=same)])
    assert (second.how, second.job.id == first.id) == ("accepted", False)
    assert (await store.submit(same=same)).id == second.job.id


@pytest.mark.gen_test
async def test_a_job_made_again_from_its_lease_is_unique_again(store):
    lease = await store.running(same=Same("u", None, 0))
    store.redis.flushdb()
    assert await store.broker.reassert("w1", "another store", 10**9, [lease]) == ["ok"]
    (joined,) = await store.broker.submit([new_job(same=Same("u", None, 0))])
    assert (joined.job.id, joined.how) == (lease.id, "joined")
    assert (await store.finish(lease)).code == "ok"
    assert (await store.submit(same=Same("u", None, 0))).id != lease.id


@pytest.mark.gen_test
async def test_of_submits_that_race_on_two_nodes_one_makes_the_job(nodes, node, settings):
    other = await nodes.start(settings.model_copy(update={"name": "other"}))
    for name in "abcde":
        jobs = await asyncio.gather(*(submit(one, "build", name=name) for one in (node, other) for _ in range(25)))
        assert len({job.id for job in jobs}) == 1
    assert sum(one.metrics.submits["accepted"] for one in (node, other)) == 5
    assert sum(one.metrics.submits["joined"] for one in (node, other)) == 245


@pytest.mark.gen_test
async def test_jobs_of_one_batch_join_each_other(api, node):
    answer = await api.post("/api/jobs", [{"task": "build", "args": {"name": name}} for name in "abab" * 100])
    ids = [job["id"] for job in answer.value["jobs"]]
    assert len(set(ids)) == 2
    assert ids[::4] == [ids[0]] * 100
    assert dict(node.metrics.submits) == {"accepted": 2, "joined": 398}


@pytest.mark.gen_test
async def test_a_subscription_of_a_submit_that_joins_is_to_that_job(node, stream):
    first = await submit(node, "build", name="a")
    client = await stream()
    for sub in (1, 2):
        await client.send(
            {"type": "submit", "id": sub, "task": "build", "args": {"name": "a"}, "sub": sub, "log": "all"}
        )
        assert (await client.until("ok", id=sub))["job"]["id"] == first.id
        await client.until("live", sub=sub)
    let(first.id)
    for sub in (1, 2):
        end = await client.until(lambda frame, sub=sub: frame["type"] == "end" and frame["sub"] in (1, 2))
        assert (end["job"]["id"], end["job"]["result"]) == (first.id, "a")
    for sub in (1, 2):
        assert client.of(sub)[0]["type"] == "snapshot"
    await eventually(lambda: not node.hub._topics)


@pytest.mark.gen_test
async def test_a_page_hidden_while_its_submit_is_on_its_way_is_told_of_the_job(node, stream):
    client = await stream()
    await client.send(
        {"type": "submit", "id": 1, "task": "build", "args": {"name": "a"}, "sub": 1},
        {"type": "visibility", "hidden": True},
    )
    job = (await client.until("ok", id=1))["job"]
    let(job["id"])
    assert (await client.until("end", sub=1))["job"]["id"] == job["id"]


@pytest.mark.gen_test
async def test_prefer_wait_waits_for_the_job_that_was_joined(api, node):
    first = await api.submit("build", args={"name": "a"})
    waiting = asyncio.create_task(api.post("/api/jobs", {"task": "build", "args": {"name": "a"}}, Prefer="wait=5"))
    await eventually(lambda: node.metrics.submits["joined"])
    let(first["id"])
    answer = await waiting
    assert (answer.status, answer.value["id"], answer.value["result"]) == (200, first["id"], "a")


@pytest.mark.gen_test
async def test_a_rerun_joins_too(api, node):
    old = await submit(node, "build", name="a")
    let(old.id)
    await ended(node, old.id)
    running = await submit(node, "build", name="a")
    answer = await api.post(f"/api/jobs/{old.id}/rerun")
    assert (answer.status, answer.value["id"]) == (200, running.id)
    let(running.id)
    await ended(node, running.id)
    answer = await api.post(f"/api/jobs/{old.id}/rerun")
    assert (answer.status, answer.value["rerun_of"]) == (202, old.id)
    assert (await submit(node, "build", name="a")).id == answer.value["id"]


@having(queue_limit=1)
@pytest.mark.gen_test
async def test_a_full_queue_can_still_be_joined(node):
    first = await submit(node, "build", name="a", delay_s=60)
    assert (await submit(node, "build", name="a")).id == first.id
