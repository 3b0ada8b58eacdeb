"""Encoded arrays, element by element."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.arrays import elements, is_array
from server.codec import JSON, MSGPACK, Codec
from server.errors import BadRequest

codecs = pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=lambda codec: codec.name)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text("ab]},", max_size=3), inner, max_size=3),
    max_leaves=20,
)


@given(st.lists(values, max_size=20), st.sampled_from([JSON, MSGPACK]))
def test_the_elements_are_those_of_the_array(value: list[Any], codec: Codec) -> None:
    data = codec.encode(value)
    assert list(elements(codec, data)) == value
    assert is_array(codec, data[0])


@given(values, st.sampled_from([JSON, MSGPACK]))
def test_what_is_an_array_is_known_from_the_first_byte(value: Any, codec: Codec) -> None:
    assert is_array(codec, codec.encode(value)[0]) is isinstance(value, list)


@given(st.lists(values, min_size=1, max_size=5), st.sampled_from([JSON, MSGPACK]), st.data())
def test_an_array_cut_short_is_refused(value: list[Any], codec: Codec, data: Any) -> None:
    encoded = codec.encode(value)
    cut = encoded[: data.draw(st.integers(1, len(encoded) - 1))]
    with pytest.raises(BadRequest, match=codec.name):
        list(elements(codec, cut))


@given(st.binary(max_size=60), st.sampled_from([b"[", b"\x93", b"\xdc\x00\x02", b"[{", b'["']))
def test_any_other_bytes_are_refused_or_read(noise: bytes, start: bytes) -> None:
    for codec in (JSON, MSGPACK):
        with contextlib.suppress(BadRequest):
            assert is_array(codec, start[0]) or not list(elements(codec, start + noise))


def test_blanks_may_stand_wherever_json_allows_them() -> None:
    assert list(elements(JSON, b' \t[ 1 ,\n"a" , [ ] ,{"b" : 2}\r\n] \n')) == [1, "a", [], {"b": 2}]
    assert list(elements(JSON, b" [ \n] ")) == []


@codecs
def test_elements_come_one_by_one(codec: Codec) -> None:
    first = next(elements(codec, codec.encode([1, 2])[:-1]))
    assert first == 1
