"""`windsock jobs`, `cancel` and `rerun`."""

import time
from collections.abc import Mapping
from typing import Any

import click
from rich.table import Table

from cli import words
from cli.exits import Exit, gravest, say
from cli.options import command, json_option, log_option, option, run
from cli.safe import safe, wire_json
from cli.server import checked, connect
from cli.terminal import cell, echo_lines, is_terminal, make_console, state_cell, tabbed
from cli.watching import watch_jobs
from windsock.errors import Busy, Refused
from windsock.job import STATES
from windsock.watch import Watch
from windsock.watched import LogWish

PAGE = 100  # jobs asked for at a time
_ID = 26  # characters of an id, which is for copying: never cut
_MAY_WRAP = ("task", "progress", "tags")  # the rest says too little when cut


@command("jobs")
@option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@option("--task", metavar="NAME", help="Only jobs of this task.")
@option("--queue", metavar="NAME", help="Only jobs of this queue.")
@option("--tag", metavar="TAG", help="Only jobs with this tag.")
@option("--parent", metavar="JOB", help="Only children of this job or group.")
@option("--limit", type=click.IntRange(1), default=50, metavar="N", help="At most this many, the newest.")
@json_option
def jobs(url: str, limit: int, as_json: bool, **filters: str | None) -> None:
    """List jobs, newest first.

    On a terminal this is a table. In a pipe it is one job per line, the columns parted by tabs, without a
    header: id, task, queue, state, progress, attempt, created, finished, tags (parted by commas).

    \b
    Examples:
      windsock jobs --state failed --limit 10
      windsock jobs --tag user:7 --json | jq -r .id
      windsock cancel $(windsock jobs --task sleep --state running | cut -f1)
    """
    echo_jobs(*run(_list(url, limit, filters)), as_json=as_json)


def echo_jobs(found: list[dict[str, Any]], counts: Mapping[str, int] | None, *, as_json: bool) -> None:
    """Jobs as a table for a person, as lines for a program."""
    if as_json:
        echo_lines(wire_json(job) for job in found)
    elif is_terminal():
        _print_table(found, counts)
    else:
        echo_lines(tabbed(_columns(job)) for job in found)


async def _list(
    url: str, limit: int, filters: dict[str, str | None]
) -> tuple[list[dict[str, Any]], Mapping[str, int] | None]:
    found: list[dict[str, Any]] = []
    counts: Mapping[str, int] | None = None
    before: str | None = None
    async with connect(url) as client:
        while len(found) < limit:
            page = await client.list(limit=min(limit - len(found), PAGE), before=before, **filters)
            found += [dict(job.raw) for job in page.jobs]
            counts, before = counts or page.counts, page.next
            if before is None:
                break
    return found[:limit], counts


def _columns(job: dict[str, Any]) -> list[str]:
    told = job.get("progress") or {}
    done, total = told.get("done"), told.get("total")
    return [
        job["id"],
        job["task"],
        job["queue"],
        job["state"],
        "" if done is None else f"{done}/{'' if total is None else total}",
        str(job["attempt"]),
        words.iso(job["created_at"]),
        words.iso(job.get("finished_at")),
        ",".join(job.get("tags", ())),
    ]


def _print_table(found: list[dict[str, Any]], counts: Mapping[str, int] | None) -> None:
    console = make_console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("job", no_wrap=True, min_width=_ID)
    for name in ("task", "state", "progress", "created", "ran", "tags"):
        table.add_column(name, no_wrap=name not in _MAY_WRAP, overflow="ellipsis")
    for job in found:
        seconds = words.run_seconds(job, job["updated_at"] / 1000)
        table.add_row(
            cell(job["id"]),
            cell(job["task"]),
            state_cell(job["state"]),
            cell(words.progress(job.get("progress"))),
            cell(words.recent(job["created_at"], time.time()), "dim"),
            cell("" if seconds is None else words.duration(seconds)),
            cell(" ".join(job.get("tags", ())), "dim"),
        )
    console.print(table if found else cell("no jobs", "dim"))
    told = ", ".join(f"{counts[state]} {state}" for state in STATES if counts.get(state)) if counts else ""
    if told:
        console.print(cell(f"all in all: {told}", "dim"))


@command("cancel")
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
def cancel(url: str, job_ids: tuple[str, ...]) -> None:
    """Ask jobs to end.

    Prints each id with its state: `cancelled` if it had not started, `cancelling` if it runs and is asked to
    stop. A job that has ended already, or is not known, is told on stderr and makes the exit code 2; the
    others are cancelled all the same.

    \b
    Examples:
      windsock cancel 01JD2V6B8Q4W0G7N3M5T9RXKHA
      windsock cancel $(windsock jobs --task sleep --state running | cut -f1)
    """
    raise SystemExit(run(_cancel(url, job_ids)))


async def _cancel(url: str, job_ids: tuple[str, ...]) -> Exit:
    exits = []
    checked(*job_ids)
    async with connect(url) as client:
        for job_id in dict.fromkeys(job_ids):
            try:
                job = await client.cancel(job_id)
            except Busy:
                raise
            except Refused as refused:
                say(f"{job_id}: {refused}")
                exits.append(Exit.REFUSED)
            else:
                click.echo(f"{safe(job.id)}\t{safe(job.state)}")
    return gravest(exits)


@command("rerun")
@click.argument("job_id", metavar="JOB")
@option("--watch", is_flag=True, help="Watch the new job to its end instead of printing its id.")
@log_option
def rerun(url: str, job_id: str, watch: bool, log: LogWish) -> None:
    """Run an ended job anew: a new job with the same task and arguments.

    Prints the id of the new job, or watches it with --watch.

    \b
    Example:
      windsock rerun 01JD2V6B8Q4W0G7N3M5T9RXKHA --watch
    """
    raise SystemExit(run(_rerun(url, job_id, watch, log)))


async def _rerun(url: str, job_id: str, watch: bool, log: LogWish) -> Exit:
    checked(job_id)
    async with connect(url) as client:
        job = await client.rerun(job_id)
    if watch:
        return await watch_jobs(client.target, Watch.of([job.id], log), known=True)
    click.echo(safe(job.id))
    return Exit.SUCCEEDED
