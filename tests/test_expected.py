"""When a waiting job should start."""

import pytest

from server.expected import Slots, slots_for, start_in_s


def node(
    slots: int = 4, running: int = 0, queues: tuple[str, ...] = ("*",), draining: bool = False
) -> dict[str, object]:
    lane = {"slots": slots, "running": running, "tasks": ["a", "b"]}
    other = {"slots": 9, "running": 0, "tasks": ["c"]}
    worker = {"lanes": {"coroutine": lane, "thread": other}, "queues": list(queues)}
    return {"worker": worker, "draining": draining}


def test_the_slots_of_all_workers_that_take_such_jobs_are_counted() -> None:
    nodes = [
        node(4, 1),
        node(2, 2, queues=("other", "mail")),
        node(8, queues=("other",)),
        node(8, draining=True),
        {"worker": None},
    ]
    assert slots_for("a", "mail", nodes) == Slots(6, 3)
    assert slots_for("unknown", "mail", nodes) == Slots(0, 0)


@pytest.mark.parametrize(
    ("position", "slots", "usual_s", "start"),
    [
        (0, Slots(4, 1), 60, 0.0),
        (0, Slots(4, 1), None, 0.0),  # it is next, and there is room
        (3, Slots(4, 3), 60, 7.5),
        (0, Slots(1, 0), 60, 30.0),
        (9, Slots(1, 0), 60, 570.0),
        (9, Slots(10, 0), 60, 57.0),
        (0, Slots(1, 0), None, None),
        (0, Slots(0, 0), 60, None),
    ],
)
def test_a_job_starts_when_as_many_have_ended_as_are_before_it(position, slots, usual_s, start) -> None:
    assert start_in_s(position, slots, usual_s) == start


def test_under_a_limit_only_so_many_slots_count_and_none_as_free() -> None:
    assert Slots(100, 100).under(2) == Slots(2, 0)
    assert Slots(1, 1).under(None) == Slots(1, 1)
