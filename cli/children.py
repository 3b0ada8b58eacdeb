"""`windsock children`."""

import click

from cli.jobs import echo_jobs
from cli.options import command, json_option, option, run
from cli.server import checked, connect
from windsock.job import STATES, JobPage


@command("children")
@click.argument("job_id", metavar="JOB")
@option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@option("--limit", type=click.IntRange(1, 500), default=100, metavar="N", help="At most this many, the newest.")
@json_option
def children(url: str, job_id: str, *, state: str | None, limit: int, as_json: bool) -> None:
    """List the jobs that a job has spawned, or that a group has, newest first.

    Shown as `windsock jobs` shows jobs, on a terminal and in a pipe.

    \b
    Example:
      windsock children 01JD2V6B8Q4W0G7N3M5T9RXKHA --state failed
    """
    page = run(_children(url, job_id, state, limit))
    echo_jobs([dict(job.raw) for job in page.jobs], page.counts, as_json=as_json)


async def _children(url: str, job_id: str, state: str | None, limit: int) -> JobPage:
    checked(job_id)
    async with connect(url) as client:
        return await client.children(job_id, state=state, limit=limit)
