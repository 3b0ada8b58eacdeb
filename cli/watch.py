"""`windsock watch`."""

import click

from cli.api import job_path, server_url
from cli.exits import BadUsage
from cli.options import command, json_option, log_option, run
from cli.watched import LogWish
from cli.watching import watch_jobs

MAX_JOBS = 256  # subscriptions a connection may have


@command("watch")
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@log_option
@json_option
def watch(url: str, job_ids: tuple[str, ...], log: LogWish, as_json: bool) -> None:
    """Watch jobs live, to their end.

    On a terminal each job is a bar, with its log above. In a pipe (or with --json) each line is one frame of
    the server as JSON: snapshot, update, log, gap, live, end (docs/protocol.md, section 3).

    A restart of the server does not end the watch: it comes back by itself and goes on where it was.
    Ctrl-C detaches; the jobs go on. The exit code tells the outcome; of several jobs the gravest counts:
    failed, then refused, then cancelled.

    \b
    Examples:
      windsock watch 01JD2V6B8Q4W0G7N3M5T9RXKHA
      windsock watch --log none $(windsock jobs --state running | cut -f1)
      windsock watch 01JD… | jq -c 'select(.type == "end") | .job.result'
    """
    for job_id in job_ids:
        job_path(job_id)
    if len(job_ids) > MAX_JOBS:
        raise BadUsage(f"{len(job_ids)} jobs are too many for one watch: at most {MAX_JOBS}")
    raise SystemExit(run(watch_jobs(server_url(url), job_ids, log, as_json=as_json)))
