"""`key=value` on the command line, made into the arguments of a task. Pure."""

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

from cli.exits import BadUsage

Schema = dict[str, Any]
ANY = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
_PYTHON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_MAX_DEPTH = 8  # of references and alternatives


def parse_arguments(pairs: Iterable[str], schema: Schema | None) -> dict[str, Any]:
    """The arguments in `pairs`.

    Args:
        pairs: `key=value` each.
        schema: the task's JSON Schema; None if the server knows no such task (it will say so).

    Raises:
        BadUsage: a pair without `=`, a name given twice, a value that is not the JSON it must be.
    """
    arguments: dict[str, Any] = {}
    properties = (schema or {}).get("properties", {})
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise BadUsage(f"{pair!r} is not an argument: write key=value, such as size=256")
        if name in arguments:
            raise BadUsage(f'{name} is given twice; for a list write JSON: {name}=\'["a", "b"]\'')
        kinds = accepted_types(properties[name], schema or {}) if name in properties else ANY
        arguments[name] = parse_value(name, text, kinds)
    return arguments


def parse_value(name: str, text: str, kinds: frozenset[str]) -> Any:
    """`text` as one of the JSON types `kinds`: a string keeps its text, all else is read as JSON.

    Raises:
        BadUsage: it is not JSON and may not be a string.
    """
    if kinds <= {"string", "null"}:
        return text
    try:
        return _loads(text)
    except (ValueError, RecursionError):
        if "string" in kinds:
            return text
    wanted = " or ".join(sorted(kinds - {"null"})) or "null"
    hint = f'; for a list write {name}=\'["a", "b"]\'' if "array" in kinds else ""
    raise BadUsage(f"{name}={text}: not readable as JSON ({wanted} is expected){hint}")


def parse_json_arguments(text: str) -> dict[str, Any]:
    """All arguments from one JSON object.

    Raises:
        BadUsage: it is not one.
    """
    try:
        value = _loads(text)
    except (ValueError, RecursionError) as error:
        raise BadUsage(f"--json is not readable as JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadUsage("--json must be an object, such as '{\"seconds\": 5}'")
    return value


def accepted_types(schema: Any, root: Schema, depth: int = _MAX_DEPTH) -> frozenset[str]:
    """The JSON types a schema lets through; all of them where it does not say."""
    if not isinstance(schema, dict) or depth == 0:
        return ANY
    if "$ref" in schema:
        return accepted_types(_resolve(str(schema["$ref"]), root), root, depth - 1)
    if "type" in schema:
        kinds = schema["type"]
        return frozenset([kinds] if isinstance(kinds, str) else kinds)
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return frozenset(_PYTHON_TYPES.get(type(value), "object") for value in values)
    either = schema.get("anyOf") or schema.get("oneOf")
    if either:
        return frozenset[str]().union(*(accepted_types(one, root, depth - 1) for one in either))
    return ANY.intersection(*(accepted_types(one, root, depth - 1) for one in schema.get("allOf", ())))


def describe_arguments(schema: Schema) -> list[str]:
    """Each argument of a task as one would type it: `folder: string`, `size: integer = 256`."""
    required = set(schema.get("required", ()))
    described = []
    for name, one in schema.get("properties", {}).items():
        kinds = accepted_types(one, schema)
        wanted = "any" if kinds == ANY else "|".join(sorted(kinds))
        default = "" if name in required else f" = {json.dumps(one.get('default'), ensure_ascii=False)}"
        described.append(f"{name}: {wanted}{default}")
    return described


def _resolve(reference: str, root: Schema) -> Any:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse, parse_float=_finite)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large for a number")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")
