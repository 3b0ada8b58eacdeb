"""`key=value` becomes arguments as the task's JSON Schema wants them."""

from typing import Any

import pytest

from cli.arguments import accepted_types, describe_arguments, parse_arguments, parse_json_arguments
from cli.exits import BadUsage, Exit

SCHEMA: dict[str, Any] = {
    "$defs": {"Mode": {"enum": ["fast", "good"], "type": "string"}},
    "properties": {
        "folder": {"type": "string"},
        "size": {"type": "integer", "default": 256},
        "fail": {"type": "boolean", "default": False},
        "urls": {"type": "array", "items": {"type": "string"}},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "limit": {"anyOf": [{"type": "integer"}, {"type": "string"}], "default": 1},
        "mode": {"$ref": "#/$defs/Mode", "default": "fast"},
        "level": {"enum": [1, 2], "default": 1},
        "free": {"default": None},
    },
    "required": ["folder", "urls"],
}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("folder=12", "12"),
        ("folder=", ""),
        ("folder=a=b", "a=b"),
        ("size=256", 256),
        ("size=-1", -1),
        ("size=1.5", 1.5),
        ("fail=true", True),
        ('urls=["a", "b"]', ["a", "b"]),
        ("note=null", "null"),
        ("limit=5", 5),
        ("limit=five", "five"),
        ("mode=fast", "fast"),
        ("level=2", 2),
        ("free=[1]", [1]),
        ("free=text", "text"),
        ("unknown=3", 3),
        ("unknown=x y", "x y"),
    ],
)
def test_a_string_keeps_its_text_and_the_rest_is_json(pair: str, value: object) -> None:
    assert parse_arguments([pair], SCHEMA) == {pair.partition("=")[0]: value}


@pytest.mark.parametrize(
    "pair", ["size=big", "fail=yes", "urls=http://a", "size=NaN", "size=1e999", "size=" + "[" * 100_000]
)
def test_what_is_not_the_json_it_must_be_is_refused(pair: str) -> None:
    with pytest.raises(BadUsage, match="not readable as JSON"):
        parse_arguments([pair], SCHEMA)


@pytest.mark.parametrize("pairs", [["folder"], ["=x"], ["size=1", "size=2"]])
def test_what_is_no_pair_or_comes_twice_is_refused(pairs: list[str]) -> None:
    with pytest.raises(BadUsage):
        parse_arguments(pairs, SCHEMA)


def test_without_a_schema_values_are_guessed_and_the_server_judges() -> None:
    assert parse_arguments(["a=1", "b=x"], None) == {"a": 1, "b": "x"}


def test_all_arguments_may_come_as_one_object() -> None:
    assert parse_json_arguments('{"a": [1]}') == {"a": [1]}
    for text in ("[1]", "{", '{"a": NaN}', '{"a": -1e999}', "[" * 100_000):
        with pytest.raises(BadUsage):
            parse_json_arguments(text)


def test_bad_usage_exits_2() -> None:
    assert BadUsage("x").exit_code == Exit.REFUSED == 2


def test_references_that_turn_in_a_circle_end() -> None:
    root = {"$defs": {"A": {"$ref": "#/$defs/A"}}}
    assert "string" in accepted_types({"$ref": "#/$defs/A"}, root)
    assert accepted_types({"allOf": [{"type": "string"}]}, {}) == {"string"}


def test_arguments_are_described_as_one_types_them() -> None:
    described = describe_arguments(SCHEMA)
    assert described[:3] == ["folder: string", "size: integer = 256", "fail: boolean = false"]
    assert "note: null|string = null" in described
    assert "free: any = null" in described
