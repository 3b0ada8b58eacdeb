"""Which jobs are the same: digests of values, and which arguments count."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.codec import JSON, MSGPACK
from server.sameness import Sameness, digest

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


def turned(value: Any) -> Any:
    """The same with the keys of all maps the other way round."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(one) for one in value] if isinstance(value, list) else value


@given(values)
def test_a_value_has_one_digest_in_both_codecs_and_in_any_order_of_keys(value: Any) -> None:
    assert digest(JSON.decode(JSON.encode(value))) == digest(value)
    assert digest(MSGPACK.decode(MSGPACK.encode(value))) == digest(value)
    assert digest(turned(value)) == digest(value)


def test_values_that_differ_have_other_digests() -> None:
    different = [None, False, 0, "0", "", [], {}, [0], [[0]], {"0": 0}, {"0": "0"}, 0.5, [1, 2], [2, 1], "é", "e\u0301"]
    assert len({digest(value) for value in different}) == len(different)


@pytest.mark.parametrize(
    ("unique", "cache_s", "has_unique", "has_cache"),
    [(True, None, True, False), (False, 5.0, False, True), (("a",), 5.0, True, True), (("a",), None, True, False)],
)
def test_there_are_digests_of_what_a_task_asks_for(
    unique: "bool | tuple[str, ...]", cache_s: float | None, has_unique: bool, has_cache: bool
) -> None:
    same = Sameness(unique, cache_s, {}).of({"a": 1, "b": 2})
    assert ((same.unique is not None), (same.cache is not None)) == (has_unique, has_cache)
    assert same.cache_s == (cache_s or 0.0)


def test_only_named_arguments_make_jobs_unique_and_all_count_for_the_cache() -> None:
    sameness = Sameness(("a",), 5.0, {})
    one, other = sameness.of({"a": 1, "b": 2}), sameness.of({"a": 1, "b": 3})
    assert one.unique == other.unique
    assert one.cache != other.cache


def test_an_argument_that_is_left_out_counts_as_its_default() -> None:
    sameness = Sameness(True, None, {"b": 2, "c": None})
    assert sameness.of({"a": 1}) == sameness.of({"a": 1, "b": 2}) == sameness.of({"c": None, "a": 1})
    assert sameness.of({"a": 1}) != sameness.of({"a": 1, "b": 3})


def test_a_named_argument_that_has_neither_value_nor_default_may_be_missing() -> None:
    sameness = Sameness(("a", "b"), None, {})
    assert sameness.of({"a": 1}) != sameness.of({"a": 1, "b": None})
