"""`windsock watch`."""

from pathlib import Path

import click

from cli.cursors import CursorFile
from cli.exits import BadUsage
from cli.options import command, json_option, log_option, option, run
from cli.server import checked, connect
from cli.watching import watch_jobs
from windsock.watch import Watch
from windsock.watched import LogWish

MAX_JOBS = 256  # subscriptions a connection may have


@command("watch")
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@log_option
@option("--after", metavar="CURSOR", help="Go on after this cursor of an earlier watch of the job.")
@option(
    "--cursor-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Go on after the cursors in FILE if it is there, and keep them there.",
)
@json_option
def watch(
    url: str, job_ids: tuple[str, ...], log: LogWish, *, after: str | None, cursor_file: Path | None, as_json: bool
) -> None:
    """Watch jobs live, to their end.

    On a terminal each job is a bar, with its log above. In a pipe (or with --json) each line is one frame of
    the server as JSON: snapshot, update, log, gap, live, end (docs/protocol.md, section 3).

    A restart of the server does not end the watch: it comes back by itself and goes on where it was.
    Ctrl-C detaches; the jobs go on. The exit code tells the outcome; of several jobs the gravest counts:
    failed, then refused, then cancelled.

    A cursor says how far a watch has come: frames carry it as "cursor", Ctrl-C prints the last one, and
    --cursor-file keeps them once a second and at the end, for several jobs too. After one, --log all and
    --log N go on with the entry that follows. A cursor that the server cannot use is told in a line, and the
    log comes as if there were none. Cursors of GET /api/jobs/JOB and of its events are the same.

    \b
    Examples:
      windsock watch 01JD2V6B8Q4W0G7N3M5T9RXKHA
      windsock watch --log none $(windsock jobs --state running | cut -f1)
      windsock watch 01JD… | jq -c 'select(.type == "end") | .job.result'
      windsock watch 01JD… --after k3f9-1.1790000003000.5
      windsock watch 01JD… --cursor-file last.cursor >> job.ndjson
    """
    checked(*job_ids)
    if len(job_ids) > MAX_JOBS:
        raise BadUsage(f"{len(job_ids)} jobs are too many for one watch: at most {MAX_JOBS}")
    file = None if cursor_file is None else CursorFile(cursor_file)
    begin = Watch.of(job_ids, log, _cursors(job_ids, after, file))
    raise SystemExit(run(watch_jobs(connect(url).target, begin, as_json=as_json, file=file)))


def _cursors(job_ids: tuple[str, ...], after: str | None, file: CursorFile | None) -> dict[str, str]:
    """Where to go on with each job."""
    if after and file is not None:
        raise BadUsage("give --after or --cursor-file, not both")
    if after and len(set(job_ids)) > 1:
        raise BadUsage("--after is for one job; for several give --cursor-file")
    if file is not None:
        return file.read()
    return {job_ids[0]: after} if after else {}
