"""Numbers and times as people read them. Pure but for the local time zone."""

from datetime import datetime
from typing import Any

from cli.safe import safe
from windsock.job import fraction, step_path

_STEPS = ("B", "KiB", "MiB", "GiB", "TiB")
_BYTES = frozenset({"bytes", "byte", "b"})
SYMBOLS = {
    "scheduled": "◷",
    "queued": "…",
    "running": "▶",
    "cancelling": "◌",
    "succeeded": "✔",
    "failed": "✘",
    "cancelled": "⊘",
}
STYLES = {
    "scheduled": "magenta",
    "queued": "yellow",
    "running": "cyan",
    "cancelling": "yellow",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
}


def duration(seconds: float) -> str:
    """Such as "0.4 s", "12 s", "3 m 05 s", "2 h 07 m", "4 d 03 h"."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole // 60 % 60:02d} m"
    return f"{whole // 86_400} d {whole // 3600 % 24:02d} h"


def moment(at: int | None) -> str:
    """Milliseconds since the epoch as local date and time; "" for none."""
    return "" if at is None else datetime.fromtimestamp(at / 1000).strftime("%Y-%m-%d %H:%M:%S")


def recent(at: int, now: float) -> str:
    """As short as it is clear: the time if it was today, else the date and the minute."""
    told = moment(at)
    return told[11:] if told[:10] == moment(int(now * 1000))[:10] else told[:16]


def iso(at: int | None) -> str:
    """Milliseconds since the epoch as ISO 8601 with the zone, for programs; "" for none."""
    return "" if at is None else datetime.fromtimestamp(at / 1000).astimezone().isoformat(timespec="milliseconds")


def clock(at: int) -> str:
    """The time of day of a log entry."""
    return datetime.fromtimestamp(at / 1000).strftime("%H:%M:%S")


def number(value: float) -> str:
    """With thousands marked, and without decimals that say nothing."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def progress(told: dict[str, Any] | None) -> str:
    """Such as "37/120 images", "1.5/3.0 MiB", "37" (total unknown); "" before the task has spoken."""
    if not told:
        return ""
    done, total, unit = told.get("done") or 0, told.get("total"), str(told.get("unit") or "")
    if unit.lower() in _BYTES:
        return _bytes(done, total)
    if not done and total is None and not unit:
        return ""
    amount = number(done) if total is None else f"{number(done)}/{number(total)}"
    return f"{amount} {safe(unit)}".rstrip()


def rate(told: dict[str, Any] | None) -> str:
    """Such as "12 images/s", "1.5 MiB/s"; "" while it is unknown."""
    speed = (told or {}).get("rate")
    if not told or not speed or speed <= 0:
        return ""
    unit = str(told.get("unit") or "")
    if unit.lower() in _BYTES:
        return f"{_bytes(float(speed), None)}/s"
    amount = number(round(speed)) if speed >= 100 else f"{speed:.3g}"
    return f"{amount}{' ' if unit else ''}{safe(unit)}/s"


def left(job: dict[str, Any], now: float) -> str:
    """Such as "8 s left": what was expected at the last update, less what has passed since; "" if it stands still."""
    expected = (job.get("progress") or {}).get("eta_s")
    if expected is None or job.get("finished_at") is not None or job.get("pace") == "stalled":
        return ""
    return f"{duration(max(float(expected) - max(now - job['updated_at'] / 1000, 0.0), 0.0))} left"


def doing(job: dict[str, Any]) -> list[str]:
    """What a job is at, in few words: its steps, its note, its pace, its children, its attempt, its warnings."""
    told = job.get("progress") or {}
    children, warnings = job.get("children"), job.get("warnings")
    parts = [" / ".join(str(name) for name in step_path(told)), str(told.get("note") or ""), str(job.get("pace") or "")]
    if children:
        parts.append(kin(children))
    if job.get("attempt", 1) > 1:
        parts.append(f"attempt {job['attempt']}")
    if job["state"] == "queued" and job.get("start_in_s") is not None:
        parts.append(f"starts in about {duration(float(job['start_in_s']))}")
    if job["state"] == "scheduled" and job.get("scheduled_at") is not None:
        parts.append(f"at {moment(job['scheduled_at'])}")
    if warnings:
        parts.append(f"⚠ {len(warnings)}")
    return [part for part in parts if part]


def kin(children: dict[str, Any]) -> str:
    """Such as "7/10 children, 1 failed"."""
    told = f"{children.get('ended', 0)}/{children.get('total', 0)} children"
    for state in ("failed", "cancelled"):
        if children.get(state):
            told += f", {children[state]} {state}"
    return told


def warning(told: dict[str, Any]) -> str:
    """What a warning says: its message, and where the code stood."""
    message = str(told.get("message") or told.get("kind") or "warning")
    where = str(told.get("where") or "")
    return f"{message} ({where})" if where and where not in message else message


def share(told: dict[str, Any] | None) -> float | None:
    """How much is done, 0 to 1; None while the total is unknown."""
    return fraction(told) if told else None


def run_seconds(job: dict[str, Any], now: float) -> float | None:
    """How long the present attempt has run or ran, in seconds; None if it has not started."""
    started_at = job.get("started_at")
    if started_at is None:
        return None
    finished_at = job.get("finished_at")
    return float((now * 1000 if finished_at is None else finished_at) - started_at) / 1000


def _bytes(done: float, total: float | None) -> str:
    largest = done if total is None else total
    step = 0
    while largest >= 1024 and step < len(_STEPS) - 1:
        largest /= 1024
        step += 1
    digits = 1 if step else 0
    amount = f"{done / 1024**step:,.{digits}f}"
    if total is not None:
        amount += f"/{total / 1024**step:,.{digits}f}"
    return f"{amount} {_STEPS[step]}"
