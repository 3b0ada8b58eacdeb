"""Encoded arrays element by element, so that whoever decodes a long one can pause in between. Pure."""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import msgpack

from server.codec import JSON, MSGPACK, Codec
from server.errors import BadRequest

MAX_ENTRIES = 2**20  # in a container within an element: room is made for as many as its header says
_skip_blanks = re.compile(r"[ \t\n\r]*").match


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode


def is_array(codec: Codec, first: int) -> bool:
    """Whether a body whose first byte (of JSON: the first that is no blank) is this one holds an array."""
    if codec is MSGPACK:
        return 0x90 <= first <= 0x9F or first in (0xDC, 0xDD)
    return first == ord("[")


def elements(codec: Codec, data: bytes) -> Iterator[Any]:
    """The elements of an encoded array, decoded but not checked: see `codec.check_value`.

    Raises (while it is read):
        BadRequest: it is no such array; elements before the fault have been given already.
    """
    try:
        yield from _json_elements(data.decode()) if codec is JSON else _msgpack_elements(data)
    except RecursionError:
        raise BadRequest(f"not readable as {codec.name}: nested too deep") from None
    except (ValueError, UnicodeError, TypeError, msgpack.exceptions.UnpackException) as error:
        text = str(error) or type(error).__name__
        raise BadRequest(f"not readable as {codec.name}: {text[:200]}") from None


def _json_elements(text: str) -> Iterator[Any]:
    begin = _after(text, 0)
    if text[begin : begin + 1] != "[":
        raise ValueError("no array")
    at = _after(text, begin + 1)
    if text[at : at + 1] != "]":
        while True:
            value, at = _decode(text, at)
            yield value
            at = _after(text, at)
            if text[at : at + 1] != ",":
                break
            at = _after(text, at + 1)
    if text[at : at + 1] != "]" or _after(text, at + 1) != len(text):
        raise ValueError(f"the array does not end as it should at character {at}")


def _after(text: str, at: int) -> int:
    """Where the blanks from here on end."""
    match = _skip_blanks(text, at)
    assert match is not None
    return match.end()


def _msgpack_elements(data: bytes) -> Iterator[Any]:
    unpacker = msgpack.Unpacker(
        strict_map_key=True, max_buffer_size=len(data), max_array_len=MAX_ENTRIES, max_map_len=MAX_ENTRIES
    )
    unpacker.feed(data)
    for _ in range(unpacker.read_array_header()):
        yield unpacker.unpack()
    if unpacker.tell() != len(data):
        raise ValueError("bytes after the end of the array")
