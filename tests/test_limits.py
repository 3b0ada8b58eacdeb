"""Limits: what a task says, and that all workers together keep to it."""

import asyncio
from collections import Counter

import pytest
from web import eventually

from server.job import JobState
from server.limits import make_limit
from server.protocol import Submission
from server.registry import make_task
from windsock import Progress, task

# The task side.


def declared(**options):
    """A task with these options."""

    @task(**options)
    async def work(user_id: int, kind: str = "a") -> None: ...

    return make_task(work)


def test_without_a_key_all_jobs_of_a_task_share_its_limit():
    assert declared(limit=2).limit_of({"user_id": 1}) == "work"
    assert declared().limit_of({"user_id": 1}) is None


def test_a_key_counts_what_the_function_is_given():
    limited = declared(limit=2, key="user_id")
    assert limited.limit_of({"user_id": "7"}) == limited.limit_of({"user_id": 7, "kind": "b"})
    assert limited.limit_of({"user_id": 7}) != limited.limit_of({"user_id": 8})
    assert limited.limit_of({"user_id": 7}).startswith("work/")


def test_a_key_of_several_arguments_counts_defaults_too():
    limited = declared(limit=1, key=("user_id", "kind"))
    assert limited.limit_of({"user_id": 7}) == limited.limit_of({"user_id": 7, "kind": "a"})
    assert limited.limit_of({"user_id": 7}) != limited.limit_of({"user_id": 7, "kind": "b"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit must be a whole number"),
        ({"limit": True}, "limit must be a whole number"),
        ({"limit": 1, "key": "nobody"}, "key names 'nobody'"),
        ({"key": "user_id"}, "there is no limit"),
        ({"limit_trees": True}, "limit_trees says what the limit bounds, and there is no limit"),
        ({"limit": 1, "limit_trees": 1}, "limit_trees must be True or False"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_when_it_is_loaded(options, message):
    with pytest.raises(TypeError, match=message):
        declared(**options)


def test_a_limit_names_a_value_that_is_no_json():
    limit = make_limit("t", 1, "a", ["a"])
    assert limit is not None
    assert limit.name({"a": object}) == limit.name({"a": object})


# All together.

running: Counter[int] = Counter()
highest: Counter[int] = Counter()


@task(limit=2, key="user_id")
async def one_of_two(user_id: int) -> None:
    """Notes how many of its user run at once."""
    running[user_id] += 1
    highest[user_id] = max(highest[user_id], running[user_id])
    await asyncio.sleep(0.01)
    running[user_id] -= 1


@task(limit=1)
def one_thread(progress: Progress) -> None:
    """Notes how many threads run at once."""
    running[0] += 1
    highest[0] = max(highest[0], running[0])
    progress.note("here")
    running[0] -= 1


@pytest.fixture
def registry(registry):
    registry.add_functions([one_of_two, one_thread])
    running.clear()
    highest.clear()
    return registry


async def _ended(node, job_id):
    return (await node.queue.get(job_id)).job.ended


@pytest.mark.gen_test(timeout=30)
async def test_two_nodes_together_keep_to_the_limit_of_each_user_and_all_jobs_end(nodes, settings):
    first, second = await nodes.start(settings), await nodes.start(settings)
    jobs = [
        await (first, second)[i % 2].queue.submit(Submission(task="one_of_two", args={"user_id": 1 + i % 3}))
        for i in range(45)
    ]
    jobs += [await first.queue.submit(Submission(task="one_thread")) for _ in range(10)]
    for job in jobs:
        await eventually(lambda job=job: _ended(first, job.id), 20)
    assert highest == {0: 1, 1: 2, 2: 2, 3: 2}
    states = Counter([(await first.queue.get(job.id)).job.state for job in jobs])
    assert states == {JobState.SUCCEEDED: 55}
