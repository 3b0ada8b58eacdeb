"""`windsock submit`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from cli.arguments import parse_arguments, parse_json_arguments
from cli.exits import BadUsage, Exit
from cli.options import Duration, Moment, command, log_option, option, run
from cli.safe import safe
from cli.server import connect
from cli.watching import watch_jobs
from windsock.async_client import AsyncClient
from windsock.submission import Options, Submission
from windsock.watch import Watch
from windsock.watched import LogWish


@dataclass(frozen=True, slots=True)
class Wish:
    """A submission as it was typed."""

    task: str
    pairs: Sequence[str]  # key=value each
    json_text: str | None  # all arguments at once, instead
    fields: dict[str, Any]  # queue, priority … as the wire names them


@command("submit")
@click.argument("task")
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@option("--json", "json_text", metavar="OBJECT", help="All arguments as one JSON object, instead of KEY=VALUE.")
@option("--queue", metavar="NAME", help="The queue to wait in.  [default: the task's own]")
@option("--priority", type=click.IntRange(-10, 10), metavar="N", help="-10 to 10, higher first.  [default: 0]")
@option(
    "--delay",
    "delay_s",
    type=Duration(),
    metavar="DURATION",
    help="Not before: 90, 30s, 5m, 2h, 1d from now.",
)
@option("--at", type=Moment(), metavar="TIME", help="Not before: 2030-01-31T18:30 (local) or …T18:30Z.")
@option("--tag", "tags", multiple=True, metavar="TAG", help="A tag to find it by; may be repeated.")
@option("--timeout", "timeout_s", type=Duration(), metavar="DURATION", help="The longest an attempt may run.")
@option(
    "--max-attempts",
    type=click.IntRange(1),
    metavar="N",
    help="How many attempts may be lost with their worker.",
)
@option("--watch", is_flag=True, help="Watch it to its end instead of printing its id.")
@log_option
def submit(
    url: str,
    task: str,
    pairs: tuple[str, ...],
    *,
    json_text: str | None,
    watch: bool,
    log: LogWish,
    **fields: Any,
) -> None:
    """Submit a job: TASK with its arguments.

    Prints the job's id and returns at once; with --watch it shows the job live, as `windsock watch` does, and
    the exit code tells the outcome.

    A VALUE is text where the task wants a string; for anything else it is JSON: 256, true, null,
    '["a", "b"]'. `windsock tasks` lists the tasks and what they take.

    \b
    Examples:
      windsock submit sleep seconds=5 --watch
      windsock submit thumbnails folder=photos size=256 --tag user:7
      windsock submit fetch urls='["https://example.org/"]' --delay 10m
      id=$(windsock submit sleep --json '{"seconds": 60}') && windsock watch $id
    """
    chosen = {name: value for name, value in fields.items() if value not in (None, ())}
    wish = Wish(task, pairs, json_text, chosen)
    raise SystemExit(run(_submit(url, wish, watch, log)))


async def _submit(url: str, wish: Wish, watch: bool, log: LogWish) -> Exit:
    if wish.json_text is not None and wish.pairs:
        raise BadUsage("give the arguments as KEY=VALUE or as --json, not both")
    if "delay_s" in wish.fields and "at" in wish.fields:
        raise BadUsage("give --delay or --at, not both")
    async with connect(url) as client:
        args = await _arguments(client, wish)
        job = await client.send(Submission(wish.task, args, Options(**wish.fields)))
    if watch:
        return await watch_jobs(client.target, Watch.of([job.id], log), known=True)
    click.echo(safe(job.id))
    return Exit.SUCCEEDED


async def _arguments(client: AsyncClient, wish: Wish) -> dict[str, Any]:
    if wish.json_text is not None:
        return parse_json_arguments(wish.json_text)
    if not wish.pairs:
        return {}
    tasks = await client.tasks()
    schema = next((one["arguments"] for one in tasks if one["name"] == wish.task), None)
    return parse_arguments(wish.pairs, schema)
