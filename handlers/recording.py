"""A job as one HTML document that needs nothing else: no script, no request, all that a job said escaped. Pure."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

STYLE = (Path(__file__).parent / "recording.css").read_text(encoding="utf-8")
# Even should something slip through the escaping, the document itself forbids scripts and requests.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
LEVELS = ("debug", "info", "warning", "error", "value")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_ENDED = frozenset({"succeeded", "failed", "cancelled"})


def text(value: object) -> str:
    """Any text for HTML: markup and quotes escaped, and what cannot be seen (controls, turned writing) spelled out."""
    return escape(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", str(value)))


def pretty(value: Any) -> str:
    """A JSON value, for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def moment(at: int | None) -> str:
    """Milliseconds since the epoch as UTC, or nothing."""
    if at is None:
        return ""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{at % 1000:03d} UTC"


def head(job: Mapping[str, Any], now: int, version: str) -> str:
    """The document up to its log. `job` is the whole job as GET answers it, `now` in milliseconds."""
    parts = [_opening(job), _standing(job, now, version)]
    parts += [_failure(job), _warnings(job)]
    if job["state"] == "succeeded":
        parts.append(_block("Result", pretty(job.get("result"))))
    parts += [_block("Arguments", pretty(job.get("args"))), _facts(job), _log_opening()]
    return "".join(parts)


def lines(entries: Iterable[Mapping[str, Any]], after: int) -> Iterator[str]:
    """Log entries that follow offset `after`, as `GET …/log` gives them; a line for each, and for each hole."""
    for entry in entries:
        if entry["offset"] > after + 1:
            yield _hole(entry["offset"] - after - 1)
        after = entry["offset"]
        yield _line(entry)


def _line(entry: Mapping[str, Any]) -> str:
    level = entry["level"] if "text" in entry else "value"
    said = entry["text"] if "text" in entry else json.dumps(entry["value"], ensure_ascii=False)
    at = moment(entry["at"])
    when = f'<span class="at" title="{at}, line {entry["offset"]}">{at[11:23]}</span>'
    kind = level if level in LEVELS else "info"
    return f'<li class="{kind}">{when} <b>{text(level)}</b> <span>{text(said)}</span></li>\n'


def tail(job: Mapping[str, Any], missing: int) -> str:
    """The rest; `missing` log entries at the end are not kept any more."""
    closing = (_hole(missing) if missing else "") + "</ol></section>\n"
    raw = f"<details><summary>The whole job as JSON</summary><pre>{text(pretty(job))}</pre></details>\n"
    return f"{closing}{raw}</main>\n</body>\n</html>\n"


def _opening(job: Mapping[str, Any]) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(job['task'])} {text(job['state'])} · Windsock</title>\n<style>\n{STYLE}</style>\n</head>\n"
        f'<body class="{text(job["state"])}">\n<main>\n'
    )


def _standing(job: Mapping[str, Any], now: int, version: str) -> str:
    progress = job.get("progress") or {}
    part = _fraction(job, progress)
    bar = "" if part is None else f'<progress max="1" value="{part:.4f}" aria-label="Progress"></progress>\n'
    words = " · ".join(filter(None, [_amount(progress), progress.get("note")]))
    return (
        f'<header><p class="about">Recorded {moment(now)} by Windsock {text(version)}</p>\n'
        f'<h1>{text(job["task"])} <span class="state">{text(job["state"])}</span></h1>\n'
        f"<p><code>{text(job['id'])}</code>{_took(job)}</p>\n{bar}"
        f"{f'<p>{text(words)}</p>' if words else ''}</header>\n"
    )


def _fraction(job: Mapping[str, Any], progress: Mapping[str, Any]) -> float | None:
    if job["state"] == "succeeded" and progress:
        return 1.0
    if progress.get("fraction") is not None:
        return float(progress["fraction"])
    total = progress.get("total")
    return min(1.0, max(0.0, progress["done"] / total)) if total else None


def _amount(progress: Mapping[str, Any]) -> str:
    if progress.get("done") is None:
        return ""
    amount = str(progress["done"]) + (f" / {progress['total']}" if progress.get("total") is not None else "")
    return f"{amount} {progress.get('unit') or ''}".strip()


def _took(job: Mapping[str, Any]) -> str:
    if job["started_at"] is None or job["finished_at"] is None:
        return "" if job["state"] in _ENDED else " · it had not ended when this was recorded"
    return f" · took {(job['finished_at'] - job['started_at']) / 1000:.3f} s"


def _block(title: str, content: str, kind: str = "") -> str:
    return f"<section{f' class={kind}' if kind else ''}><h2>{title}</h2>\n<pre>{text(content)}</pre></section>\n"


def _failure(job: Mapping[str, Any]) -> str:
    error = job.get("error")
    if not error:
        return ""
    trace = f"<pre>{text(error['traceback'])}</pre>" if error.get("traceback") else ""
    return (
        f'<section class="failure"><h2>Error <code>{text(error["code"])}</code></h2>\n'
        f'<p class="message">{text(error.get("message") or "")}</p>{trace}</section>\n'
    )


def _warnings(job: Mapping[str, Any]) -> str:
    if not job["warnings"]:
        return ""
    return (
        f'<section class="warnings"><h2>Warnings</h2>\n<ul>{"".join(map(_warning, job["warnings"]))}</ul></section>\n'
    )


def _warning(one: Mapping[str, Any]) -> str:
    words = [moment(one.get("at")), f"attempt {one.get('attempt', '')}", one.get("where") or ""]
    stack = f"<pre>{text(one['stack'])}</pre>" if one.get("stack") else ""
    message = f'<p class="message">{text(one.get("message") or "")}</p>'
    return f"<li><b>{text(one['kind'])}</b> {text(' '.join(words))}{message}{stack}</li>\n"


def _facts(job: Mapping[str, Any]) -> str:
    facts = {
        "queue": job["queue"],
        "node": job["node"],
        "attempt": str(job["attempt"]),
        "max attempts": str(job["max_attempts"]),
        "priority": job["priority"] or None,
        "tags": ", ".join(job["tags"]),
        "created": moment(job["created_at"]),
        "due": moment(job["scheduled_at"]),
        "started": moment(job["started_at"]),
        "finished": moment(job["finished_at"]),
        "parent": job.get("parent"),
        "children": job.get("children") and ", ".join(f"{name} {number}" for name, number in job["children"].items()),
        "runs again": job.get("rerun_of"),
        "cursor": job["cursor"],
    }
    rows = "".join(f"<div><dt>{name}</dt><dd>{text(value)}</dd></div>\n" for name, value in facts.items() if value)
    return f"<section><h2>Facts</h2>\n<dl>{rows}</dl></section>\n"


def _log_opening() -> str:
    choices = "".join(
        f'<label><input type="radio" name="least" id="least-{level}"{" checked" if level == "debug" else ""}>'
        f"{'all' if level == 'debug' else level + ' and above'}</label>\n"
        for level in LEVELS[:4]
    )
    return f'<section class="log"><h2>Log</h2>\n<fieldset><legend>Show</legend>{choices}</fieldset>\n<ol>\n'


def _hole(entries: int) -> str:
    return f'<li class="hole">{entries} line{"" if entries == 1 else "s"} not kept</li>\n'
