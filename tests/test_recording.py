"""The document of the flight recorder: whatever a job says, it is text."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from handlers.recording import head, lines, pretty, tail, text

NASTY = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</pre></section></main><h1>forged</h1>",
    "</title><base href=//evil>",
    "</style><link rel=stylesheet href=//evil>",
    "<!-- comment",
    "--><svg onload=alert(1)>",
    "]]><![CDATA[",
    "&lt;b&gt; &amp; &#60;",
    "\"' onmouseover='alert(1)",
    "\x00\x1b[31m \u202egnp.exe\u2066",
    "{{ 7 * 7 }} ${7*7} {% raw %}",
    "ﬁ ü 漢字 🎏",
]
OURS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "section", "details", "summary",
    "h1", "h2", "p", "code", "span", "b", "pre", "dl", "div", "dt", "dd", "ol", "ul", "li", "progress",
    "fieldset", "legend", "label", "input",
}  # fmt: skip


class Reader(HTMLParser):
    """Notes elements, attributes and text as a browser would see them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def job(evil: str) -> dict[str, Any]:
    """A whole job that says the same everywhere it can say something."""
    return {
        "id": "01JD", "task": "t", "queue": "default", "state": "failed", "attempt": 2, "max_attempts": 3,
        "priority": 0, "tags": [evil], "progress": {"done": 1, "total": 4, "unit": evil, "note": evil},
        "created_at": 1_790_000_000_000, "scheduled_at": None, "started_at": 1_790_000_000_120,
        "finished_at": 1_790_000_003_120, "updated_at": 1_790_000_003_120, "node": evil, "args": {evil: [evil]},
        "warnings": [{"kind": evil, "at": 1, "attempt": 1, "message": evil, "where": evil, "stack": evil}],
        "error": {"code": "exception", "message": evil, "traceback": evil}, "cursor": "e-1.2.3",
    }  # fmt: skip


def entries(*texts: str, first: int = 1) -> Iterator[dict[str, Any]]:
    for offset, one in enumerate(texts, first):
        yield {"offset": offset, "at": 1_790_000_000_000, "level": "info", "text": one}


def read(document: str) -> Reader:
    reader = Reader()
    reader.feed(document)
    reader.close()
    return reader


def document(evil: str) -> str:
    values = [{"offset": 2, "at": 1, "value": {evil: evil}}]
    log = [*lines(entries(evil), 0), *lines(values, 1)]
    return head(job(evil), 1_790_000_004_000, "0.1.0") + "".join(log) + tail(job(evil), 0)


@pytest.mark.parametrize("evil", NASTY)
def test_whatever_a_job_says_is_text_everywhere(evil: str) -> None:
    plain = read(document("plain"))
    reader = read(document(evil))
    assert reader.tags == plain.tags
    assert set(reader.tags) == OURS
    assert reader.attributes == plain.attributes
    assert not {name for name in reader.attributes if name.startswith("on") or name in ("src", "style")}


@pytest.mark.parametrize("evil", [evil for evil in NASTY if "\x00" not in evil])
def test_what_was_said_can_be_read_as_it_was(evil: str) -> None:
    reader = read(document(evil))
    assert reader.texts.count(evil) >= 7  # tag, node, message, traceback, warning, stack, log
    assert json.loads("".join(reader.texts).rpartition("The whole job as JSON")[2]) == job(evil)


def test_controls_and_turned_writing_are_spelled_out() -> None:
    assert text("\x00\x1b\u202e a\nb\tc") == "\\u0000\\u001b\\u202e a\nb\tc"


def test_the_document_forbids_scripts_and_requests_to_itself() -> None:
    page = document("plain")
    assert "<script" not in page
    assert page.index("Content-Security-Policy") < page.index("<title>")
    assert "default-src 'none'" in page
    assert "http:" not in page
    assert "https:" not in page


def test_holes_in_the_log_are_named() -> None:
    shown = "".join(lines(entries("c", first=3), 0)) + "".join(lines(entries("f", first=6), 3)) + tail(job("x"), 1)
    assert [part for part in read(shown).texts if "not kept" in part] == [
        "2 lines not kept",
        "2 lines not kept",
        "1 line not kept",
    ]


def test_a_job_that_has_said_nothing_is_a_document_too() -> None:
    waiting = {**job("x"), "state": "queued", "progress": None, "started_at": None, "finished_at": None, "warnings": []}
    waiting.pop("error")
    page = head(waiting, 0, "0.1.0") + tail(waiting, 0)
    assert "it had not ended when this was recorded" in page
    assert "<progress" not in page
    assert "Error" not in page


def test_values_are_written_as_json() -> None:
    assert pretty({"ü": [1, None]}) == '{\n  "ü": [\n    1,\n    null\n  ]\n}'
