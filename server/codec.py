"""Bytes to values and back: JSON and msgpack, both held to JSON's values. Pure."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import msgpack
from pydantic_core import to_json

from server.errors import BadRequest

MAX_DEPTH = 32
_ENVELOPE = 4  # levels that a message, a frame and its fields put around a value
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1


def is_json(value: Any) -> bool:
    """Whether `check_value` lets a value pass."""
    try:
        check_value(value)
    except ValueError:
        return False
    return True


def check_value(value: Any, depth: int = MAX_DEPTH) -> None:
    """Make sure that `value` is one that both codecs carry unchanged.

    Raises:
        ValueError: naming what is not a JSON value: NaN, an integer over 64 bits, a lone surrogate, bytes, too deep …
    """
    kind = type(value)
    if kind is str:
        _check_text(value)
    elif kind is int:
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise ValueError("an integer over 64 bits")
    elif kind is float:
        if not math.isfinite(value):
            raise ValueError("NaN and infinity are not JSON values")
    elif kind is dict or kind is list or kind is tuple:
        _check_container(value, depth)
    elif value is not None and kind is not bool:
        raise ValueError(f"{kind.__name__} is not a JSON value")


def _check_container(value: Any, depth: int) -> None:
    if depth <= 0:
        raise ValueError(f"deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str:
                raise ValueError(f"a key is {type(key).__name__}, not text")
            _check_text(key)
            check_value(item, depth - 1)
    else:
        for item in value:
            check_value(item, depth - 1)


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("a lone surrogate in a text") from None


@dataclass(frozen=True, slots=True)
class Codec:
    """One way to write values. `encode` takes checked values; `decode` trusts nobody."""

    name: str
    media_type: str
    binary: bool
    encode: Callable[[Any], bytes]
    _decode: Callable[[bytes], Any]
    join: Callable[[list[bytes]], bytes]  # encoded values to one encoded array of them

    def decode(self, data: bytes) -> Any:
        """The value in `data`.

        Raises:
            BadRequest: it is not this codec's, or holds what JSON cannot say.
        """
        try:
            value = self._decode(data)
            check_value(value, MAX_DEPTH + _ENVELOPE)
        except RecursionError:
            raise BadRequest(f"not readable as {self.name}: nested too deep") from None
        except (ValueError, UnicodeError, TypeError, msgpack.exceptions.UnpackException) as error:
            raise BadRequest(f"not readable as {self.name}: {_short(error)}") from None
        return value


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


_decode_json = json.JSONDecoder(parse_constant=_refuse_constant).decode

JSON = Codec(
    name="JSON",
    media_type="application/json",
    binary=False,
    encode=partial(to_json, inf_nan_mode="null"),  # in Rust: a sixth of what json.dumps takes for a summary
    _decode=lambda data: _decode_json(data.decode()),
    join=lambda items: b"[" + b",".join(items) + b"]",
)
MSGPACK = Codec(
    name="msgpack",
    media_type="application/msgpack",
    binary=True,
    encode=msgpack.packb,
    _decode=lambda data: msgpack.unpackb(data, strict_map_key=True),
    join=lambda items: msgpack.Packer().pack_array_header(len(items)) + b"".join(items),
)
