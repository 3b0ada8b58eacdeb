"""Where a job can go on, and when the store is told."""

import pytest

from server.checkpoint import Checkpoint
from server.codec import MSGPACK
from server.progress import JobCancelled, Progress


@pytest.fixture
def progress() -> Progress:
    return Progress("01J", 2, lambda: None, checkpoint=MSGPACK.encode({"row": 5}), checkpoint_bytes=100)


def test_an_attempt_finds_what_the_last_one_left(progress: Progress) -> None:
    assert progress.checkpointed == {"row": 5}
    progress.checkpoint({"row": 6})
    assert progress.checkpointed == {"row": 5}


def test_a_first_attempt_finds_none() -> None:
    assert Progress("01J", 1, lambda: None).checkpointed is None


def test_what_the_store_has_is_not_told_again_unless_it_has_gone_back(progress: Progress) -> None:
    mark = progress.mark
    assert mark.due(0) is None
    mark.forget()
    assert mark.due(0) == MSGPACK.encode({"row": 5})
    mark.stored(mark.due(0) or b"")
    assert mark.due(0) is None


def test_one_that_was_set_while_another_was_on_its_way_is_told_after_it(progress: Progress) -> None:
    progress.checkpoint(1)
    on_its_way = progress.mark.due(0)
    progress.checkpoint(2)
    assert on_its_way is not None
    progress.mark.stored(on_its_way)
    assert progress.mark.due(0) == MSGPACK.encode(2)


def test_it_waits_for_the_log_entries_that_were_said_before_it(progress: Progress) -> None:
    progress.log("one")
    progress.checkpoint(1)
    progress.log("two")
    assert progress.mark.due(0) is None
    assert progress.mark.due(1) == progress.mark.due(2) == MSGPACK.encode(1)


def test_one_that_crosses_a_line_comes_after_the_entries_it_came_with(progress: Progress) -> None:
    progress.relay(None, [b"a", b"b"], MSGPACK.encode(1))
    assert progress.mark.due(1) is None
    assert progress.mark.due(2) == MSGPACK.encode(1)


def test_it_is_a_json_value_of_bounded_size(progress: Progress) -> None:
    with pytest.raises(ValueError, match="limit is 100"):
        progress.checkpoint("x" * 100)
    with pytest.raises(ValueError, match="JSON"):
        progress.checkpoint(object())
    assert progress.mark.due(9) is None


def test_it_wakes_the_runner_and_is_no_bar() -> None:
    woken: list[int] = []
    progress = Progress("01J", 1, lambda: woken.append(1))
    progress.checkpoint(None)
    assert (woken, progress.take()) == ([1], None)
    assert progress.mark.due(0) == MSGPACK.encode(None)


def test_a_job_that_is_to_end_hears_so(progress: Progress) -> None:
    progress.stop()
    with pytest.raises(JobCancelled):
        progress.checkpoint(1)


def test_without_one_nothing_is_due() -> None:
    mark = Checkpoint()
    mark.forget()
    assert mark.due(100) is None
