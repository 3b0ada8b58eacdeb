"""Text from jobs, made safe for a terminal. Pure.

A log line may hold anything: an escape sequence that retitles the window, a carriage return that overwrites
what stands there, a bidi override that turns a line around. Each such character is shown as its escape.
"""

import json
import re
from typing import Any

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\xad\u061c\u200b\u200e\u200f\u180e\ufeff"  # invisible; marks of direction
    "\u2028-\u202e\u2060-\u206f\ufff9-\ufffb"  # line separators, bidi embeddings, overrides and isolates
    "\ud800-\udfff"  # lone surrogates: no terminal encoding has them
    "\U000e0000-\U000e0fff"  # tags and selectors that hide text
    "]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def safe(text: object) -> str:
    """`text` on one line, without a character that a terminal would obey."""
    return _UNSAFE.sub(_escape, str(text))


def safe_lines(text: object) -> list[str]:
    """As `safe`, but newlines part lines and tabs become spaces: for log entries and tracebacks."""
    plain = str(text).replace("\r\n", "\n").expandtabs(4)
    return [safe(line) for line in plain.split("\n")]


def safe_json(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON for a reader: non-ASCII letters stay, control characters never do."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "\n".join(safe(line) for line in text.split("\n"))


def wire_json(value: Any) -> str:
    """`value` as one line of pure ASCII JSON for programs; any reader decodes it to the same value."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
