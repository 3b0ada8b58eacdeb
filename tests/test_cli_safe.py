"""Nothing a job writes reaches the terminal as a command."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.safe import safe, safe_json, safe_lines, wire_json

FORMATTING = {"\u200c", "\u200d"}  # joiners that scripts and emoji need; they move nothing


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb", "a\\rb"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x9b2J", "\\x9b2J"),
        ("\x7f", "\\x7f"),
        ("abc\u202edcb", "abc\\u202edcb"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("a\u2028b", "a\\u2028b"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
        ("naïve 日本 🎉 [bold]x[/bold]", "naïve 日本 🎉 [bold]x[/bold]"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Lu", "Zs"])))
def test_no_control_character_ever_comes_through(text: str) -> None:
    shown = safe(text)
    shown.encode()
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [c for c in shown if unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI")]


def test_lines_are_parted_at_newlines_only() -> None:
    assert safe_lines("a\r\nb\tc\n\x1bd") == ["a", "b   c", "\\x1bd"]


def test_json_for_a_reader_keeps_letters_and_escapes_controls() -> None:
    assert safe_json({"é": "\x1b\x7f\u202e"}) == '{"é": "\\u001b\\x7f\\u202e"}'
    assert "\n" in safe_json({"a": 1}, indent=2)


@given(st.text())
def test_json_for_a_program_is_ascii_on_one_line_and_means_the_same(text: str) -> None:
    line = wire_json({"text": text})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"text": text}
