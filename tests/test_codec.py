"""JSON and msgpack: the same values go through both, and everything else is refused by both."""

import json
import math
from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.codec import JSON, MAX_DEPTH, MAX_INTEGER, MIN_INTEGER, MSGPACK, Codec, check_value
from server.errors import BadRequest

both = pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=lambda codec: codec.name)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(MIN_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)))
)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=30,
)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def written(codec: Codec, value: Any) -> bytes:
    """Bytes that our encoder would not write."""
    return msgpack.packb(value, unicode_errors="surrogatepass") if codec.binary else json.dumps(value).encode()


@both
@given(value=values)
def test_a_value_comes_back_as_it_went(codec: Codec, value: Any) -> None:
    check_value(value)
    assert codec.decode(codec.encode(value)) == value


@both
@given(items=st.lists(values, max_size=20))
def test_joined_values_are_an_array_of_them(codec: Codec, items: list[Any]) -> None:
    assert codec.decode(codec.join([codec.encode(item) for item in items])) == items


@given(value=values)
def test_a_value_is_the_same_by_either_way(value: Any) -> None:
    assert JSON.decode(JSON.encode(value)) == MSGPACK.decode(MSGPACK.encode(value))


@both
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_refusal(codec: Codec, data: bytes) -> None:
    with suppress(BadRequest):
        check_value(codec.decode(data), MAX_DEPTH + 4)


@both
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_refused(codec: Codec, number: float) -> None:
    with pytest.raises(BadRequest, match=f"not readable as {codec.name}"):
        codec.decode(written(codec, [number]))


def test_a_number_too_large_for_a_float_is_refused() -> None:
    with pytest.raises(BadRequest, match="infinity"):
        JSON.decode(b"1e999")


@pytest.mark.parametrize("digits", [20, 4300, 100_000])
def test_integers_over_64_bits_are_refused(digits: int) -> None:
    with pytest.raises(BadRequest):
        JSON.decode(b"9" * digits)


@both
@pytest.mark.parametrize("number", [MIN_INTEGER, MAX_INTEGER])
def test_the_largest_integers_go_through(codec: Codec, number: int) -> None:
    assert codec.decode(codec.encode(number)) == number


@both
@pytest.mark.parametrize("value", ["\ud800", ["a\udfff"], {"\udead": 1}])
def test_lone_surrogates_are_refused(codec: Codec, value: Any) -> None:
    with pytest.raises(BadRequest):
        codec.decode(written(codec, value))


@both
@pytest.mark.parametrize("depth", [MAX_DEPTH + 5, 5_000, 200_000])
def test_deep_nesting_is_refused(codec: Codec, depth: int) -> None:
    data = b"\x91" * depth + b"\x01" if codec.binary else b"[" * depth + b"1" + b"]" * depth
    with pytest.raises(BadRequest):
        codec.decode(data)


@both
def test_a_value_of_the_greatest_depth_goes_through(codec: Codec) -> None:
    assert codec.decode(codec.encode(nested(MAX_DEPTH))) == nested(MAX_DEPTH)


@pytest.mark.parametrize(
    "value",
    [b"bytes", [b"bytes"], {b"key": 1}, msgpack.ExtType(5, b"x"), msgpack.Timestamp(1)],
    ids=["bin", "bin in a list", "bin as a key", "ext", "timestamp"],
)
def test_kinds_that_only_msgpack_has_are_refused(value: Any) -> None:
    with pytest.raises(BadRequest):
        MSGPACK.decode(msgpack.packb(value))


@pytest.mark.parametrize("key", [1, None, True, 1.5, (1, 2)])
def test_keys_that_are_not_text_are_refused(key: Any) -> None:
    with pytest.raises(BadRequest):
        MSGPACK.decode(msgpack.packb({key: 1}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"nope",
        b"[1,]",
        b"{'a': 1}",
        b"1 2",
        b"\xff\xfe",
        b"\xef\xbb\xbf1",
        b"NaN",
        b"-Infinity",
        b'"\n"',
    ],
)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest, match="not readable as JSON"):
        JSON.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x92\x01",
        b"\x01\x02",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xa1\xff",
    ],
    ids=["empty", "cut off", "two values", "never used", "huge array", "huge map", "huge text", "not UTF-8"],
)
def test_what_is_not_msgpack_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest, match="not readable as msgpack"):
        MSGPACK.decode(data)


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"x", {1: 2}, 1j, [math.nan], nested(MAX_DEPTH + 1), 2**64, "\ud800"]
)
def test_a_value_that_is_not_jsons_does_not_pass_the_check(value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        check_value(value)


def test_a_value_that_holds_itself_does_not_pass_the_check() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="deeper than"):
        check_value(value)


def test_a_tuple_passes_as_a_list() -> None:
    check_value((1, (2, "three")))
    assert JSON.decode(JSON.encode((1, (2,)))) == MSGPACK.decode(MSGPACK.encode((1, (2,)))) == [1, [2]]


def test_json_is_compact_and_not_escaped() -> None:
    assert JSON.encode({"a": ["ä", 1]}) == '{"a":["ä",1]}'.encode()
