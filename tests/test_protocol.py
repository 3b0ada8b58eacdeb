"""What a client may send: well-formed frames go through, everything else is refused by the field."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from server.errors import Invalid
from server.protocol import (
    MAX_CHOICES,
    MAX_FIELD_ERRORS,
    FeedFilter,
    Hello,
    JobCommand,
    Ping,
    Submission,
    Submit,
    Subscribe,
    Unsubscribe,
    Visibility,
    parse,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def refused(model: type[BaseModel], value: Any, prefix: str = "") -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        parse(model, value, prefix)
    return {error.field: error.message for error in caught.value.errors}


# Submissions


def test_a_submission_needs_a_task_and_nothing_else() -> None:
    submission = parse(Submission, {"task": "sleep"})
    assert (submission.args, submission.priority, submission.queue, submission.tags) == ({}, None, None, [])


def test_a_submission_takes_all_its_fields() -> None:
    fields = {
        "task": "sleep",
        "args": {"seconds": 3},
        "queue": "slow",
        "priority": -10,
        "delay_s": 1.5,
        "max_attempts": 1,
        "timeout_s": 60,
        "tags": ["user:7"],
        "profile": "cprofile",
    }
    assert parse(Submission, fields).model_dump(exclude_none=True) == fields


def test_an_unknown_field_is_refused_by_its_name() -> None:
    assert refused(Submission, {"task": "a", "idempotency-key": "x"}) == {"idempotency-key": "unknown field"}


def test_delay_and_time_together_are_refused() -> None:
    assert refused(Submission, {"task": "a", "delay_s": 1, "at": 2}) == {"body": "give delay_s or at, not both"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", 1),
        ("task", "no spaces"),
        ("task", "name\n"),
        ("task", "x" * 65),
        ("args", [1]),
        ("queue", ""),
        ("priority", 11),
        ("priority", 1.0),
        ("priority", True),
        ("priority", "1"),
        ("delay_s", -1),
        ("delay_s", "1"),
        ("delay_s", 1e300),
        ("at", 10**17),
        ("at", 1.5),
        ("max_attempts", 0),
        ("timeout_s", 0),
        ("tags", "a"),
        ("tags", ["x"] * 17),
    ],
)
def test_a_wrong_value_is_refused_by_its_field(field: str, value: Any) -> None:
    assert list(refused(Submission, {"task": "a", field: value})) == [field]


@pytest.mark.parametrize("tag", ["", "x" * 65, "two\nlines", 7])
def test_a_wrong_tag_is_refused_by_its_place(tag: Any) -> None:
    assert list(refused(Submission, {"task": "a", "tags": ["ok", tag]})) == ["tags.1"]


def test_a_missing_field_is_named() -> None:
    assert refused(Submission, {}) == {"task": "Field required"}


def test_every_wrong_field_is_named_once() -> None:
    assert sorted(refused(Submission, {"task": 1, "priority": 99, "speed": 1})) == [
        "priority",
        "speed",
        "task",
    ]


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_what_is_no_map_is_refused_as_a_whole(value: Any) -> None:
    assert refused(Submission, value) == {"body": "Input should be a map"}


def test_a_refusal_of_very_many_fields_stays_small() -> None:
    errors = refused(Submission, {"task": "a"} | {f"{number}" * 1000: 1 for number in range(1000)})
    assert len(errors) <= MAX_FIELD_ERRORS
    assert max(map(len, errors)) <= 200


# Subscriptions


def test_a_subscription_is_to_a_job_to_a_feed_or_to_the_stats() -> None:
    assert parse(Subscribe, {"sub": 1, "job": "01J"}).job == "01J"
    assert parse(Subscribe, {"sub": 1, "feed": {}}).feed == FeedFilter()
    assert parse(Subscribe, {"sub": 1, "stats": True}).stats


@pytest.mark.parametrize(
    "frame",
    [
        {"sub": 1},
        {"sub": 1, "job": "a", "feed": {}},
        {"sub": 1, "stats": False},
        {"sub": 1, "stats": True, "feed": {}},
    ],
)
def test_none_and_two_of_them_are_refused(frame: Any) -> None:
    assert refused(Subscribe, frame) == {"body": "give job, feed or stats, one of them"}


def test_a_field_of_a_frame_that_nobody_knows_is_ignored() -> None:
    assert parse(Subscribe, {"sub": 1, "job": "a", "type": "subscribe", "colour": 1}).sub == 1


@pytest.mark.parametrize("sub", [0, -1, 1.0, "1", True, None, 2**53])
def test_a_subscription_has_a_positive_number(sub: Any) -> None:
    assert list(refused(Subscribe, {"sub": sub, "job": "a"})) == ["sub"]


@pytest.mark.parametrize("wish", ["none", "all", 0, 20_000])
def test_the_log_is_wished_for_by_word_or_number(wish: Any) -> None:
    assert parse(Subscribe, {"sub": 1, "job": "a", "log": wish}).log == wish


@pytest.mark.parametrize("wish", ["some", -1, 1.5, True, None, []])
def test_another_wish_for_the_log_is_refused_by_one_field(wish: Any) -> None:
    assert list(refused(Subscribe, {"sub": 1, "job": "a", "log": wish})) == ["log"]


@pytest.mark.parametrize("rate", [0, -1, 21, "fast"])
def test_a_rate_out_of_bounds_is_refused(rate: Any) -> None:
    assert list(refused(Subscribe, {"sub": 1, "job": "a", "rate": rate})) == ["rate"]


def test_a_filter_takes_one_value_or_several() -> None:
    assert parse(FeedFilter, {"state": "queued", "tag": ["a", "b"]}).model_dump(exclude_none=True) == {
        "state": "queued",
        "tag": ["a", "b"],
    }


def test_a_wrong_value_in_a_filter_is_refused_without_the_names_of_branches() -> None:
    assert list(refused(Subscribe, {"sub": 1, "feed": {"state": "asleep"}})) == ["feed.state"]
    assert "feed.state.1" in refused(Subscribe, {"sub": 1, "feed": {"state": ["queued", "asleep"]}})


def test_a_filter_of_endlessly_many_values_is_refused() -> None:
    assert "feed.tag" in refused(Subscribe, {"sub": 1, "feed": {"tag": ["x"] * (MAX_CHOICES + 1)}})


# The other frames


@pytest.mark.parametrize("model", [JobCommand, Submit, Unsubscribe])
def test_a_command_needs_an_id_to_be_answered_by(model: type[BaseModel]) -> None:
    assert "id" in refused(model, {"job": "a", "sub": 1})


@pytest.mark.parametrize("command_id", [-1, 1.5, True, None, "x" * 65, []])
def test_a_wrong_id_is_refused_by_one_field(command_id: Any) -> None:
    assert list(refused(JobCommand, {"id": command_id, "job": "a"})) == ["id"]


@pytest.mark.parametrize("hidden", [1, "true", None])
def test_visibility_is_a_boolean(hidden: Any) -> None:
    assert list(refused(Visibility, {"hidden": hidden})) == ["hidden"]


def test_a_prefix_stands_before_each_field() -> None:
    assert list(refused(Submission, {}, "submit.")) == ["submit.task"]
    assert list(refused(Submission, [], "submit.")) == ["submit"]


@pytest.mark.parametrize("model", [Hello, Subscribe, Unsubscribe, Submit, JobCommand, Visibility, Ping, Submission])
@given(
    value=json_values
    | st.dictionaries(st.sampled_from(["id", "sub", "job", "feed", "log", "task", "args"]), json_values)
)
def test_any_value_is_a_frame_or_a_refusal(model: type[BaseModel], value: Any) -> None:
    with suppress(Invalid):
        assert isinstance(parse(model, value), model)
