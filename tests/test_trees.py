"""Jobs that have children: spawned, waited for, added up; slots and limits meanwhile."""

import asyncio
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from storing import new_job, opened, report_of
from web import eventually

from server.attempt import Reason
from server.broker import Kin
from server.broker.record import unpack
from server.codec import MSGPACK
from server.errors import NotFound
from server.job import JobState
from server.loader import load
from server.protocol import Submission
from server.tree import child_id

TASKS = str(Path(__file__).parent / "tree_tasks.py")
BAD = r"raised ValueError|job \w+ \(\w+\) raised"


@pytest.fixture
def registry():
    loaded = load([TASKS])
    assert loaded.problems == []
    return loaded.registry


@pytest.fixture
def settings(settings, request):
    return settings.model_copy(update={"tasks": (TASKS,), "processes": 1, **getattr(request, "param", {})})


@pytest.fixture
def store(io_loop, settings):
    """A look at the store from outside."""
    yield from opened(io_loop, settings)


@pytest.fixture
def run(node):
    """Runs a task to its end."""

    async def run(name, /, **args):
        _, end = await node.queue.submit_and_wait(Submission(task=name, args=args), 30)
        assert end is not None, "it did not end"
        return end

    return run


@pytest.mark.gen_test
async def test_a_parent_has_the_results_of_its_children_in_the_order_it_asked_for(run):
    end = await run("family", count=5)
    assert end.result == [0, 2, 4, 6, 8]
    assert end.job.children.counts() == {"total": 5, "ended": 5, "failed": 0, "cancelled": 0, "running": 0}


@pytest.mark.gen_test
@pytest.mark.parametrize("name", ["chain", "thread_chain", "narrow_chain", "kept_chain"])
@pytest.mark.parametrize("settings", [{"slots": 1, "threads": 1}], indirect=True)
async def test_a_deep_tree_ends_though_there_is_one_slot(run, name):
    assert (await run(name, depth=5)).result == 5


@pytest.mark.gen_test
@pytest.mark.parametrize("settings", [{"threads": 1}], indirect=True)
async def test_a_limit_of_trees_bounds_how_many_parents_have_begun_and_wait(node):
    some = [node.queue.submit_and_wait(Submission(task="few_at_once", args={}), 30) for _ in range(12)]
    ends = [end for _, end in await asyncio.gather(*some)]
    assert max(end.result for end in ends) == 3


@pytest.mark.gen_test(timeout=50)
async def test_a_deep_tree_of_processes_ends_though_one_may_run(run):
    assert len(set((await run("process_chain", depth=3)).result)) == 4


@pytest.mark.gen_test(timeout=50)
async def test_children_may_be_of_any_kind(run):
    assert (await run("mixed")).result == [8, 2, 1]


def counts(total, **given):
    """As a summary has them."""
    return {"total": total, "ended": 0, "failed": 0, "cancelled": 0, "running": 0, **given}


async def kin(store, parent):
    """The children of a job, in the order of their spawns."""
    ids = sorted(one for state in JobState for one in store.ids(f"index:{state.value}:parent:{parent}"))
    return [await store.job(one) for one in ids]


@pytest.mark.gen_test
@pytest.mark.expects_log(BAD)
async def test_the_first_child_that_fails_fails_its_parent_and_cancels_the_others(node, store):
    job = await node.queue.submit(Submission(task="family", args={"count": 3, "bad": 1, "wait_s": 0.05}))
    end = await eventually(lambda: ended(node, job.id))
    first = (await kin(store, job.id))[0]
    assert (end.job.state, end.error["code"]) == (JobState.FAILED, "child_failed")
    assert f"child {first.id} (leaf) has ended failed: ValueError: leaf 0 is bad" in end.error["message"]
    await eventually(lambda: all_ended(store, job.id))


async def ended(node, job_id):
    """The job when it has ended."""
    detail = await node.queue.get(job_id)
    return detail if detail.job.ended else None


async def all_ended(store, parent):
    return all(job.ended for job in await kin(store, parent))


@pytest.mark.gen_test
async def test_collect_waits_for_all_and_has_failures_in_their_places(run):
    end = await run("family", count=4, bad=2, on_failure="collect")
    assert end.result[2:] == [4, 6]
    assert all("has ended failed: ValueError: leaf" in text for text in end.result[:2])
    assert end.job.children.counts() == counts(4, ended=4, failed=2)


@pytest.mark.gen_test(timeout=50)
async def test_a_function_in_a_process_is_told_the_same(run):
    assert (await run("process_family", count=3)).result == [0, 2, 4]
    assert (await run("process_family", count=2, bad=1)).result == [True, "leaf", "failed", "ValueError: leaf 0 is bad"]
    collected = (await run("process_family", count=2, bad=1, on_failure="collect")).result
    assert ("has ended failed" in collected[0], collected[1]) == (True, 2)


@pytest.mark.gen_test
@pytest.mark.parametrize("name", ["flock", "thread_flock"])
async def test_a_cancel_goes_down_the_tree(node, store, name):
    job = await node.queue.submit(Submission(task=name))
    await eventually(lambda: store.ids(f"index:running:parent:{job.id}"))
    await node.queue.cancel(job.id)
    end = await eventually(lambda: ended(node, job.id))
    assert end.job.state is JobState.CANCELLED
    await eventually(lambda: all_ended(store, job.id))
    assert {child.state for child in await kin(store, job.id)} == {JobState.CANCELLED}
    assert node.worker.describe()["waiting"] == 0


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("settings", [{"slots": 3}], indirect=True)
async def test_all_that_a_cancel_ends_is_counted_by_one_process_or_another(node, nodes, settings, store):
    other = await nodes.start(settings)
    job = await node.queue.submit(Submission(task="flock", args={"count": 600}))  # more than one call cancels
    states = ("queued", "running")
    await eventually(lambda: sum(len(store.ids(f"index:{one}:parent:{job.id}")) for one in states) == 600, 10)
    await other.queue.cancel(job.id)

    def counted():
        return sum(
            (one.metrics.job(task, "default").ended for one in (node, other) for task in ("flock", "forever")),
            Counter(),
        )

    await eventually(lambda: counted().total() >= 601, 10)
    assert counted() == {"cancelled": 601}


@pytest.mark.gen_test
async def test_a_cancel_in_the_middle_of_a_tree_goes_up_as_a_failure(node, store):
    top = await node.queue.submit(Submission(task="flock", args={"name": "flock", "count": 2}))
    await eventually(lambda: len(store.ids("index:running:task:forever")) == 6)
    middle, other = await kin(store, top.id)
    await node.queue.cancel(middle.id)
    end = await eventually(lambda: ended(node, top.id))
    assert (end.job.state, end.error["code"]) == (JobState.FAILED, "child_failed")
    await eventually(lambda: all_ended(store, top.id))
    for one in (middle, other):
        await eventually(lambda one=one: all_ended(store, one.id))
    assert store.ids("felling") == set()


@pytest.mark.gen_test
async def test_a_parent_that_runs_again_finds_its_children(node, store):
    job = await node.queue.submit(Submission(task="again"))
    await eventually(lambda: len(store.ids(f"index:succeeded:parent:{job.id}")) == 4)
    before = await kin(store, job.id)
    node.worker._held[job.id].interrupt(Reason.DRAIN)
    end = await eventually(lambda: ended(node, job.id))
    assert (end.result, end.job.attempt) == ([0, 2, 4, 18], 2)
    assert await kin(store, job.id) == before


@pytest.mark.gen_test
@pytest.mark.parametrize("settings", [{"tree_depth": 1, "tree_children": 2}], indirect=True)
async def test_a_child_that_cannot_be_is_refused_with_the_reason(run):
    assert "unknown task 'nobody'" in (await run("refused", name="nobody", args={})).result
    assert "args.n" in (await run("refused", name="leaf", args={"n": "many"})).result
    assert (await run("refused", name="leaf", args={})).result == "was taken"
    assert "a job may have 2 children (tree_children)" in (await run("family", count=3)).error["message"]
    assert "a job may have 1 ancestors (tree_depth)" in (await run("chain", depth=2)).error["message"]


@pytest.mark.gen_test
async def test_another_child_in_the_place_of_one_is_refused(node, store):
    lease = await store.running("w1", task="sub")
    kin_of = Kin(lease.id, 1.0, 1, lease.token)
    made = [
        new_job("add", id=child_id(lease.id, 1), kin=kin_of, args=MSGPACK.encode({"n": n}), delay_s=60) for n in (1, 2)
    ]
    (first,), (again,), (other,) = [await store.broker.submit([one]) for one in (made[0], made[0], made[1])]
    assert first.job.id == again.job.id
    assert "its place has a child of another task, or with other arguments" in other.message


@pytest.mark.gen_test
async def test_a_parent_has_the_weighted_bar_of_its_children(node, store, registry):
    lease = await store.running("w1", task="sub")
    for number, weight in ((1, 3.0), (2, 1.0)):
        kin_of = Kin(lease.id, weight, 1, lease.token)
        await store.broker.submit([new_job("add", id=child_id(lease.id, number), kin=kin_of)])
    first, _ = await store.claim("w2", count=2, tasks=["add"])
    await store.report(first, progress={"done": 1, "total": 2, "unit": None, "note": None})

    async def bar():
        store.tick()
        return (await store.job(lease.id)).progress

    assert await eventually_equal(bar, {"done": 1.5, "total": 4, "unit": None, "note": None, "fraction": 0.375})
    await store.finish(first)
    assert await eventually_equal(bar, {"done": 3, "total": 4, "unit": None, "note": None, "fraction": 0.75})
    await store.report(lease, progress={"done": 1, "total": None, "unit": "x", "note": None})
    assert (await store.job(lease.id)).progress == {
        "done": 1,
        "total": None,
        "unit": "x",
        "note": None,
        "fraction": 0.75,
    }
    await store.report(lease, progress={"done": 1, "total": 9, "unit": "x", "note": None})
    assert (await store.job(lease.id)).progress == {"done": 1, "total": 9, "unit": "x", "note": None}


async def eventually_equal(look, wanted):
    """Whether it is so at last."""

    async def is_so():
        return await look() == wanted

    return await eventually(is_so)


@pytest.mark.gen_test
async def test_however_often_children_report_their_parent_is_written_seldom(store):
    lease = await store.running("w1", task="sub")
    children = [new_job("add", id=child_id(lease.id, n), kin=Kin(lease.id, 1.0, 1, lease.token)) for n in range(1, 101)]
    await store.broker.submit(children)
    leases = await store.claim("w2", count=100, tasks=["add"])
    with store.listening() as heard:
        for done in range(20):
            await store.broker.report([report_of(one, progress={"done": done, "total": 20}) for one in leases])
        told = [change for change in heard.changes() if change.id == lease.id]
    assert len(told) <= 20


@pytest.mark.gen_test
async def test_children_go_before_what_was_submitted_after_their_parent(store):
    lease = await store.running("w1", task="sub")
    later = await store.submit("add")
    child = new_job("add", id=child_id(lease.id, 1), kin=Kin(lease.id, 1.0, 1, lease.token))
    await store.broker.submit([child])
    assert [one.id for one in await store.claim("w2", count=2)] == [child.id, later.id]


@pytest.mark.gen_test
async def test_a_parent_here_and_children_there(nodes, settings, registry, store):
    parents = await nodes.start(settings.model_copy(update={"queues": ("default",), "name": "a"}))
    children = await nodes.start(settings.model_copy(update={"queues": ("far",), "name": "b"}), serves=False)
    lease = Submission(task="far_family", args={"count": 20})
    _, end = await parents.queue.submit_and_wait(lease, 10)
    assert end.result == [2 * n for n in range(20)]
    assert {child.node for child in await kin(store, end.job.id)} == {children.settings.name}


@pytest.mark.gen_test
async def test_a_wait_under_a_limit_gives_the_place_up_and_takes_it_again(store):
    (parent, other) = [await store.submit("mul", limit="mul") for _ in range(2)]
    limits = {"mul": 1}
    (lease,) = await store.claim("w1", count=2, limits=limits)
    assert lease.id == parent.id
    await store.broker.pause(lease.id, lease.token)
    (second,) = await store.claim("w1", limits=limits)
    assert second.id == other.id
    third = await store.submit("mul", limit="mul")
    assert not await store.broker.resume(lease.id, lease.token)
    with store.listening() as heard:
        await store.finish(second)
        assert ("worker:w1", [b"place", lease.id.encode()]) in [
            (where, unpack(data)) for where, data in heard.messages() if where.startswith("worker")
        ]
    assert store.ids("holding:mul") == {lease.id}
    assert await store.claim("w1", limits=limits) == []
    assert await store.broker.resume(lease.id, lease.token)
    await store.finish(lease)
    assert [one.id for one in await store.claim("w1", limits=limits)] == [third.id]


@pytest.mark.gen_test
async def test_what_a_store_lost_of_a_tree_is_put_together_again(store):
    lease = await store.running("w1", task="sub")
    children = [new_job("add", id=child_id(lease.id, n), kin=Kin(lease.id, 2.0, 1, lease.token)) for n in (1, 2)]
    await store.broker.submit(children)
    leases = await store.claim("w2", count=2, tasks=["add"])
    await store.finish(leases[0])
    for key in store.redis.scan_iter(f"{store.tag}:*"):
        store.redis.delete(key)
    assert await store.broker.reassert("w2", "another", 10**6, [leases[1]]) == ["ok"]
    assert await store.broker.reassert("w1", "another", 10**6, [lease]) == ["ok"]
    children = (await store.job(lease.id)).children
    assert (children.counts(), children.weight) == (counts(1, running=1), 2.0)
    await store.finish(leases[1])
    assert (await store.job(lease.id)).children.counts() == counts(1, ended=1)


@pytest.mark.gen_test
async def test_an_end_says_of_children_what_was_so_then(store):
    """It is told once; whoever asks later has the same. They have a list and a feed of their own."""
    lease = await store.running("w1", task="sub")
    children = [new_job("add", id=child_id(lease.id, n), kin=Kin(lease.id, 2.0, 1, lease.token)) for n in (1, 2)]
    await store.broker.submit(children)
    first, second = await store.claim("w2", count=2, tasks=["add"])
    await store.finish(first)
    with store.listening() as heard:
        await store.finish(lease, "failed")
        told = [change.job for change in heard.changes() if change.id == lease.id][-1]
    await store.finish(second, "cancelled")
    assert told.children.counts() == counts(2, ended=1, running=1)
    assert await store.job(lease.id) == told
    assert [child.state for child in await kin(store, lease.id)] == [JobState.SUCCEEDED, JobState.CANCELLED]


@pytest.mark.gen_test(timeout=20)
@pytest.mark.expects_log("the store is another one|the store has gone back")
async def test_a_child_is_stored_though_the_store_has_lost_its_parent(node, store, monkeypatch):
    """Its worker has not heard of that yet, and tells it the parent when it refuses the child."""
    job = await node.queue.submit(Submission(task="late_family", args={"wait_s": 1.0}))
    await eventually(lambda: store.ids("index:running:task:late_family"))
    await asyncio.sleep(0.5)
    monkeypatch.setattr(node.worker, "on_beat", lambda beat: None)
    for key in store.redis.scan_iter(f"{store.tag}:*"):
        store.redis.delete(key)
    await eventually(lambda: store.ids("index:queued:task:leaf") or store.ids("index:failed:task:late_family"))
    monkeypatch.undo()
    await eventually(lambda: any(store.ids(f"index:{state}:task:late_family") for state in ("succeeded", "failed")), 10)
    end = await ended(node, job.id)
    assert (end.job.state, end.result) == (JobState.SUCCEEDED, [2])


@pytest.mark.gen_test(timeout=20)
@pytest.mark.parametrize("lost", ["its end", "all of it"])
async def test_a_child_whose_end_was_lost_is_waited_for_again(node, run, monkeypatch, lost):
    monkeypatch.setattr("server.family.LOOK_AGAIN_S", 0.1)
    detail, asked = node.worker.gathering.detail, []

    async def once_lost(job_id):
        found = await detail(job_id)
        asked.append(job_id)
        if len(asked) > 1:
            return found
        if lost == "all of it":
            raise NotFound("no such job")
        return SimpleNamespace(job=SimpleNamespace(state=JobState.RUNNING, ended=False))

    monkeypatch.setattr(node.worker.gathering, "detail", once_lost)
    assert (await run("family", count=1)).result == [0]
    assert len(asked) == 2
