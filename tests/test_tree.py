"""What a task knows of children, without a worker: ids, wishes, failures."""

import pickle
from dataclasses import dataclass

import pytest
from ulid import ULID

from server.job import Children
from server.progress import Progress
from server.tree import Child, ChildFailed, OnFailure, SpawnRefused, child_id
from windsock import task

PARENT = "01JD0000000000000000000000"


class Recorder:
    """A family that only remembers."""

    def __init__(self):
        self.wishes, self.gathers, self.stopped = [], [], False

    def spawn(self, wish):
        self.wishes.append(wish)
        return Child(child_id(PARENT, len(self.wishes), wish.key), wish.task)

    def gather(self, children, on_failure):
        self.gathers.append(([child.id for child in children], on_failure))
        return []

    def stop(self):
        self.stopped = True


@pytest.fixture
def family():
    return Recorder()


@pytest.fixture
def progress(family):
    made = Progress(PARENT, 1, lambda: None)
    made.relate(lambda: family)
    return made


@task(name="other-name")
async def named(x: int) -> None: ...


def test_the_same_parent_and_number_give_the_same_id():
    assert child_id(PARENT, 7) == child_id(PARENT, 7)
    assert child_id(PARENT, 7, "a") == child_id(PARENT, 9, "a")


def test_no_two_children_share_an_id():
    ids = [child_id(PARENT, number) for number in range(1, 2000)]
    ids += [child_id(PARENT, 0, str(number)) for number in range(2000)] + [child_id("01JE" + PARENT[4:], 1)]
    assert len(set(ids)) == len(ids)


def test_ids_are_ulids_of_the_parents_time_in_the_order_of_the_spawns():
    ids = [child_id(PARENT, number) for number in (1, 2, 31, 32, 1023, 1024, 10_000, 2**20 - 1)]
    assert ids == sorted(ids)
    assert {ULID.from_str(one).timestamp for one in ids} == {ULID.from_str(PARENT).timestamp}


def test_a_task_is_given_as_its_function_or_by_its_name(progress, family):
    progress.spawn(named, x=1)
    progress.spawn("other-name", x=1)
    assert [wish.task for wish in family.wishes] == ["other-name", "other-name"]
    with pytest.raises(SpawnRefused, match="is no task: mark it with @task"):
        progress.spawn(print)


def test_names_of_options_may_be_names_of_arguments(progress, family):
    progress.spawn("t", key="k", args={"key": 1, "weight": 2}, weight=3, tagged=("a",), after_s=4, at_most_s=5)
    (wish,) = family.wishes
    assert (wish.args, wish.key, wish.weight, wish.tags) == ({"key": 1, "weight": 2}, "k", 3.0, ["a"])
    assert (wish.delay_s, wish.timeout_s) == (4, 5)


def test_arguments_become_json_values_or_are_refused(progress, family):
    @dataclass
    class Point:
        x: int

    progress.spawn("t", point=Point(1))
    assert family.wishes[0].args == {"point": {"x": 1}}
    with pytest.raises(SpawnRefused, match="no JSON values"):
        progress.spawn("t", what=object())


@pytest.mark.parametrize("weight", [0, -1, float("nan")])
def test_a_weight_is_over_0(progress, weight):
    with pytest.raises(SpawnRefused, match="over 0"):
        progress.spawn("t", weight=weight)


def test_gather_takes_only_policies_that_there_are(progress, family):
    progress.gather(on_failure="collect")
    assert family.gathers == [([], OnFailure.COLLECT)]
    with pytest.raises(ValueError, match="hope"):
        progress.gather(on_failure="hope")


def test_without_a_worker_there_are_no_children():
    with pytest.raises(SpawnRefused, match="no worker runs this job"):
        Progress(PARENT, 1, lambda: None).spawn("t")


def test_a_job_that_is_asked_to_end_lets_go_who_waits_for_children(progress, family):
    progress.spawn("t")
    progress.stop()
    assert family.stopped


def test_a_failure_crosses_over_to_other_processes():
    error = ChildFailed("01", "leaf", "failed", {"code": "exception", "message": "bad"})
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.child, again.state, again.error) == (str(error), "01", "failed", error.error)


def test_a_parent_has_the_bar_of_its_children_unless_it_has_one():
    children = Children(4, 2, 0, 0, 1, 4, 2.504, 0.626)
    assert children.rolled(None) == {"done": 2, "total": 4, "unit": "jobs", "note": None, "fraction": 0.626}
    assert Children(4, 2, 0, 0, 1, 5, 2, 0.4).rolled(None)["unit"] is None
    spoken = {"done": 1, "total": None, "unit": None, "note": "x"}
    assert children.rolled(spoken) == {**spoken, "fraction": 0.626}
    for own in ({**spoken, "total": 3}, {**spoken, "fraction": 0.1}):
        assert children.rolled(own) == own
