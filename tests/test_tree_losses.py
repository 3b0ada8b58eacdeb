"""A child whose end was told and that the store does not know: lost, because the store went back, or deleted."""

from pathlib import Path

import pytest
from storing import opened
from web import eventually

from server.job import JobState
from server.loader import load
from server.protocol import Submission
from server.tree import child_id

TASKS = str(Path(__file__).parent / "tree_tasks.py")
BACK = r"the store has gone back|does not hold it|are lost; they are stored again"
BAD = r"raised ValueError|job \w+ \(\w+\) raised"
NOBODY_TELLS = {"verdicts": 0, "lost_s": 0.3}  # as if the worker of the child had died


@pytest.fixture
def registry():
    loaded = load([TASKS])
    assert loaded.problems == []
    return loaded.registry


@pytest.fixture
def settings(settings, request):
    return settings.model_copy(update={"tasks": (TASKS,), **getattr(request, "param", {})})


@pytest.fixture
def store(io_loop, settings):
    yield from opened(io_loop, settings)


class Parent:
    """A parent that has three children, one after the other: a gate, the one it is all about, and one that goes on."""

    def __init__(self, node, store, job_id):
        self.node = node
        self.store = store
        self.id = job_id
        self.gate, self.child, self.other = (child_id(job_id, number) for number in (1, 2, 3))
        self.copy = {}

    def runs(self, job_id):
        return job_id in self.store.ids(f"index:running:parent:{self.id}")

    def told(self):
        """Whether the child has ended, and the parent knows."""
        return any(self.child in one._ends.told for one in self.node.worker.gathering._parents.get(self.id, ()))

    async def waits(self):
        """It was told of its child, and goes on waiting for the other; there is a copy from before both."""
        await eventually(lambda: self.runs(self.gate))
        self.copy = self.store.copy()
        await self.node.queue.cancel(self.gate)
        await eventually(lambda: self.runs(self.other) and self.told())
        return self

    async def goes_on(self):
        """The other is cancelled; how the parent ends then."""
        await eventually(lambda: self.runs(self.other))
        await self.node.queue.cancel(self.other)
        end = await eventually(self.ended, 10)
        assert end.job.state is JobState.SUCCEEDED, end.error
        assert end.result["other"] == "cancelled"
        return end.result

    async def ended(self):
        detail = await self.node.queue.get(self.id)
        return detail if detail.job.ended else None


@pytest.fixture
def parent(node, store):
    """Starts one."""

    async def start(**args):
        job = await node.queue.submit(Submission(task="after_gate", args=args))
        return await Parent(node, store, job.id).waits()

    return start


async def result_of(node, job_id):
    return (await node.queue.get(job_id)).result


@pytest.mark.gen_test(timeout=20)
@pytest.mark.expects_log(BACK)
@pytest.mark.parametrize("settings", [NOBODY_TELLS], indirect=True)
async def test_a_child_that_is_lost_with_its_result_is_stored_again(node, store, parent):
    one = await parent()
    first = await result_of(node, one.child)
    store.put_back(one.copy)
    result = await one.goes_on()
    assert result["after"] == await result_of(node, one.child) != first


@pytest.mark.gen_test(timeout=20)
@pytest.mark.expects_log(BACK)
@pytest.mark.parametrize("settings", [{"lost_s": 5.0}], indirect=True)
async def test_its_worker_tells_it_again_though_messages_of_others_have_taken_up_the_numbers(node, store, parent):
    one = await parent()
    first = await result_of(node, one.child)
    store.redis.set(store.key("far"), 10**9)
    one.copy[store.key("seq").encode()] = (store.redis.dump(store.key("far")), 0)
    store.put_back(one.copy)
    node.worker.on_doubt()
    node.worker.on_up()
    assert (await one.goes_on())["after"] == first


@pytest.mark.gen_test(timeout=20)
@pytest.mark.expects_log(BACK)
@pytest.mark.parametrize("settings", [NOBODY_TELLS], indirect=True)
async def test_a_result_that_was_handed_over_never_changes(node, store, parent):
    one = await parent(twice=True)
    store.put_back(one.copy)
    result = await one.goes_on()
    assert result["after"] == result["before"]


@pytest.mark.gen_test(timeout=20)
@pytest.mark.expects_log(BACK)
@pytest.mark.parametrize("settings", [NOBODY_TELLS], indirect=True)
async def test_one_too_large_to_be_kept_is_gone_where_the_child_has_another_now(store, parent):
    one = await parent(twice=True, args={"filler": 300_000})
    store.put_back(one.copy)
    result = await one.goes_on()
    assert (len(result["before"]), result["after"]) == (300_036, "gone")


@pytest.mark.gen_test(timeout=20)
@pytest.mark.expects_log(BACK)
@pytest.mark.expects_log(BAD)
@pytest.mark.parametrize("settings", [NOBODY_TELLS], indirect=True)
async def test_a_child_that_has_failed_and_is_lost_has_failed(store, parent):
    one = await parent(name="leaf", args={"fail": True})
    store.put_back(one.copy)
    assert (await one.goes_on())["after"] == "failed"
    assert store.redis.exists(store.key(f"job:{one.child}")) == 0


@pytest.mark.gen_test(timeout=20)
@pytest.mark.expects_log(BAD)
@pytest.mark.parametrize("bad", [False, True], ids=["succeeded", "failed"])
async def test_a_child_that_was_deleted_is_gone_and_not_stored_again(node, store, parent, bad):
    one = await parent(name="leaf", args={"fail": bad})
    await node.queue.delete(one.child)
    node.worker.on_doubt()
    node.worker.on_up()
    assert (await one.goes_on())["after"] == "gone"
    assert store.redis.exists(store.key(f"job:{one.child}")) == 0


@pytest.mark.gen_test(timeout=20)
async def test_so_is_one_that_has_expired(store, parent):
    one = await parent()
    assert store.sweep(keep=0) == 2
    assert (await one.goes_on())["after"] == "gone"
    assert store.ids(f"index:queued:parent:{one.id}") == set()


@pytest.mark.gen_test(timeout=20)
async def test_a_child_that_was_deleted_before_its_end_was_heard_of_is_not_stored_again(node, store, monkeypatch):
    """What the worker's channel brings is lost, so the parent has to look."""
    monkeypatch.setattr("server.family.LOOK_AGAIN_S", 0.3)
    monkeypatch.setattr(node.worker.gathering, "on_message", lambda kind, what: None)
    job = await node.queue.submit(Submission(task="family", args={"count": 1}))
    child = child_id(job.id, 1)
    await eventually(lambda: child in store.ids(f"index:succeeded:parent:{job.id}"))
    await node.queue.delete(child)
    end = await eventually(lambda: Parent(node, store, job.id).ended())
    assert (end.job.state, end.error["code"]) == (JobState.FAILED, "child_failed")
    assert end.error["message"].endswith(f"child {child} (leaf) is gone")
    assert (await store.job(job.id)).children.counts()["total"] == 1


@pytest.mark.gen_test
async def test_what_is_noted_of_deleted_children_goes_with_the_end_of_their_parent(node, store, parent):
    one = await parent()
    await node.queue.delete(one.child)
    assert store.ids(f"dropped:{one.id}") == {one.child}
    await one.goes_on()
    assert not list(store.redis.scan_iter(f"{store.tag}:dropped:*"))
