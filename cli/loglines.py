"""Log entries, gaps and ends as lines for a person. Pure."""

from typing import Any

from rich.text import Text

from cli import words
from cli.safe import safe, safe_json, safe_lines
from cli.terminal import cell
from windsock.watched import Watched

_LEVEL_STYLES = {"debug": "dim", "warning": "yellow", "error": "red"}
_RESULT_CHARACTERS = 2000  # of a result, below its bar; `windsock show` has the whole
_WHY = {
    "trimmed": "no longer kept",
    "slow": "this client was too slow",
    "reset": "the log begins anew",
    "lost": "lost with the server's store",
}


def log_lines(entries: list[dict[str, Any]], prefix: str = "") -> list[Text]:
    """The lines of some log entries; an emitted value is shown as JSON behind an arrow."""
    lines: list[Text] = []
    for entry in entries:
        head = f"{words.clock(entry['at'])} {prefix}"
        if "value" in entry:
            lines.append(_line(head, f"→ {safe_json(entry['value'])}", "cyan"))
            continue
        level = str(entry.get("level", "info"))
        label = f"{level}: " if level in ("warning", "error") else ""  # a level is never told by colour alone
        first, *rest = safe_lines(entry.get("text", ""))
        lines.append(_line(head, label + first, _LEVEL_STYLES.get(level, "")))
        lines += [_line(" " * len(head), one, _LEVEL_STYLES.get(level, "")) for one in rest]
    return lines


def gap_line(gap: dict[str, Any], prefix: str = "") -> Text:
    """What is said in place of entries that will not come."""
    first, last = gap["from"], gap["to"]
    which = f"line {first} is" if first == last else f"lines {first} to {last} are"
    why = _WHY.get(str(gap.get("why")), str(gap.get("why")))
    return cell(f"{prefix}· {which} missing: {why}", "dim")


def reset_line(snapshot: dict[str, Any], prefix: str = "") -> Text:
    """What is said when the history that was shown is not the server's."""
    first = snapshot.get("log_from") or 1
    if first == 1:
        told = "the cursor is not of this job as the server has it: the log begins anew"
    else:
        told = f"the server has other lines from {first} on than were shown: they come anew"
    return cell(f"{prefix}· {told}", "yellow")


def is_reset(frame: dict[str, Any]) -> bool:
    """Whether a frame takes back what was shown."""
    return frame["type"] == "snapshot" and frame.get("how") == "reset"


def refusal_text(watched: Watched) -> str:
    """Why the server would not tell of a job."""
    return watched.refusal.detail if watched.refusal is not None else ""


def end_lines(job: dict[str, Any], prefix: str = "") -> list[Text]:
    """The result or the error of an ended job."""
    if job["state"] == "succeeded":
        return _result_lines(job, prefix)
    error = job.get("error")
    if not error:
        return []
    told = f"{prefix}{error.get('code')}: {error.get('message')}"
    hint = f"{prefix}the traceback: windsock show {job['id']}" if error.get("traceback") else ""
    return [cell(told, "red")] + ([cell(hint, "dim")] if hint else [])


def _result_lines(job: dict[str, Any], prefix: str) -> list[Text]:
    if "result" not in job:
        size = job.get("result_bytes")
        return [cell(f"{prefix}a result of {size} bytes: windsock show {job['id']}", "dim")] if size else []
    if job["result"] is None:
        return []
    text = safe_json(job["result"])
    if len(text) > _RESULT_CHARACTERS:
        text = f"{text[:_RESULT_CHARACTERS]}… (windsock show {job['id']} has it all)"
    return [Text(f"{safe(prefix)}result: {text}")]


def _line(head: str, text: str, style: str) -> Text:
    return Text(safe(head), style="dim").append(text, style=f"not dim {style}".strip())
