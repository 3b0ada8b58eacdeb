"""`windsock show`."""

import json
import time
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from cli import words
from cli.loglines import log_lines
from cli.options import command, option, run
from cli.safe import safe_json, safe_lines, wire_json
from cli.server import checked, connect
from cli.terminal import cell, make_console, state_cell
from windsock.job import LogPage

Job = dict[str, Any]
NO_LOG = LogPage((), 0, 0, None)
_TIMES = ("created_at", "scheduled_at", "started_at", "finished_at", "updated_at")


@command("show")
@click.argument("job_id", metavar="JOB")
@option("--log", "log_count", type=click.IntRange(0), default=20, metavar="N", help="Show the last N log entries.")
@option("--json", "as_json", is_flag=True, help="The whole job as one JSON object, with its log entries.")
def show(url: str, job_id: str, log_count: int, as_json: bool) -> None:
    """Show all there is about one job.

    Its state, times, arguments, warnings, recent log, and its result, or its error with the traceback.
    This looks once; `windsock watch` stays.

    \b
    Examples:
      windsock show 01JD2V6B8Q4W0G7N3M5T9RXKHA
      windsock show --json --log 0 01JD… | jq .result
    """
    job, log = run(_fetch(url, job_id, log_count))
    if as_json:
        click.echo(wire_json({**job, "log": list(log.entries)}))
        return
    console = make_console()
    _print_fields(console, job)
    _print_warnings(console, job)
    _print_log(console, log)
    _print_outcome(console, job)


async def _fetch(url: str, job_id: str, log_count: int) -> tuple[Job, LogPage]:
    checked(job_id)
    async with connect(url) as client:
        job = dict((await client.get(job_id)).raw)
        if not log_count:
            return job, NO_LOG
        ends = await client.log(job_id, limit=1)
        return job, await client.log(job_id, after=max(ends.last - log_count, 0), limit=log_count)


def _print_fields(console: Console, job: Job) -> None:
    _field(console, "job", cell(job["id"], "bold"))
    _field(console, "task", cell(job["task"]))
    _field(console, "state", state_cell(job["state"]))
    for name in ("queue", "position", "priority", "node", "rerun_of"):
        if job.get(name) is not None:
            _field(console, name, cell(job[name]))
    _field(
        console,
        "attempt",
        cell(f"{job['attempt']} (at most {job['max_attempts']} may be lost with their worker)"),
    )
    if job.get("tags"):
        _field(console, "tags", cell(" ".join(job["tags"])))
    _print_going(console, job)
    for name in _TIMES:
        if job.get(name) is not None:
            _field(console, name.removesuffix("_at"), cell(words.moment(job[name])))
    seconds = words.run_seconds(job, job["updated_at"] / 1000)
    if seconds is not None:
        _field(console, "ran", cell(words.duration(seconds)))
    _block(console, "args", json_lines(job.get("args")))


def _print_going(console: Console, job: Job) -> None:
    """How far it is, how fast, how long still, and what it is at."""
    told = job.get("progress")
    parts = [words.progress(told), words.rate(told), words.left(job, time.time())]
    for name, said in (("progress", [part for part in parts if part]), ("at", words.doing(job))):
        if said:
            _field(console, name, cell(" · ".join(said)))


def _print_warnings(console: Console, job: Job) -> None:
    for warning in job.get("warnings", ()):
        stack = warning.get("stack")
        told = {name: value for name, value in warning.items() if name != "stack"}
        _block(console, "warning", [safe_json(told), *(safe_lines(stack) if stack else [])], "yellow")


def _print_log(console: Console, log: LogPage) -> None:
    entries = [dict(entry) for entry in log.entries]
    if entries:
        last = log.last or len(entries)
        console.print(cell(f"log, the last {len(entries)} of {last}", "bold"))
        console.print(*(_indented(line) for line in log_lines(entries)), sep="\n", soft_wrap=True)


def _print_outcome(console: Console, job: Job) -> None:
    if "result" in job:
        _block(console, "result", json_lines(job["result"]))
    error = job.get("error")
    if error:
        _block(console, "error", safe_lines(f"{error.get('code')}: {error.get('message')}"), "red")
        if error.get("traceback"):
            _block(console, "traceback", safe_lines(error["traceback"].rstrip()), "dim")


def json_lines(value: Any) -> list[str]:
    """A value as safe lines: on one line if it fits, indented if not."""
    short = safe_json(value)
    if len(short) <= 80:
        return [short]
    return [line for part in json.dumps(value, ensure_ascii=False, indent=2).split("\n") for line in safe_lines(part)]


def _field(console: Console, name: str, value: Text) -> None:
    console.print(Text(f"{name:<10}", style="dim") + value, soft_wrap=True)


def _block(console: Console, name: str, lines: list[str], style: str = "") -> None:
    console.print(Text(name, style="bold"))
    console.print(*(_indented(Text(line, style=style)) for line in lines), sep="\n", soft_wrap=True)


def _indented(line: Text) -> Text:
    return Text("  ") + line
