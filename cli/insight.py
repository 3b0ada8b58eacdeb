"""`windsock stack` and `profile`: what a job is doing."""

import asyncio
import time
import webbrowser
from pathlib import Path
from typing import Any

import click

from cli import words
from cli.exits import BadUsage, NoProfile, say
from cli.options import Duration, command, json_option, option, run
from cli.safe import safe, safe_lines, wire_json
from cli.server import checked, connect
from cli.terminal import cell, echo_lines, is_terminal, make_console, tabbed
from windsock.async_client import AsyncClient

FORMS = ("html", "json", "pstats")
LOOK_S = 0.3
LATE_S = 15.0  # how long a profile may be late


@command("stack")
@click.argument("job_id", metavar="JOB")
@json_option
def stack(url: str, job_id: str, as_json: bool) -> None:
    """Show where a running job stands in its code, right now.

    The innermost frame comes last, as in a traceback. A job that does not run is refused (2), a worker that does not
    answer is not waited for (4).

    \b
    Example:
      windsock stack 01JD2V6B8Q4W0G7N3M5T9RXKHA
    """
    found = run(_stack(url, job_id))
    if as_json:
        echo_lines([wire_json(found)])
        return
    idle = found.get("idle_s")
    about = f"{found.get('kind')} on {found.get('node')}, attempt {found.get('attempt')}"
    told = about if idle is None else f"{about}, at this place for {words.duration(float(idle))}"
    if is_terminal():
        make_console().print(cell(told, "dim"))
    echo_lines(safe_lines(str(found.get("text") or "").rstrip()))


async def _stack(url: str, job_id: str) -> dict[str, Any]:
    checked(job_id)
    async with connect(url) as client:
        return dict(await client.stack(job_id))


@command("profile")
@click.argument("job_id", metavar="JOB")
@option("--seconds", type=Duration(), default=5.0, metavar="DURATION", help="For how long: 5, 30s, 1m.")
@option("--format", "form", type=click.Choice(FORMS), default="html", help="A flame graph, or a file for a program.")
@option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Where it is written.")
@option("--open", "opens", is_flag=True, help="Show it in the browser.")
@option("--last", is_flag=True, help="Take the newest profile that is kept instead of making one.")
@option("--list", "lists", is_flag=True, help="List the profiles that are kept, and end.")
def profile(
    url: str, job_id: str, *, seconds: float, form: str, out: Path | None, opens: bool, last: bool, lists: bool
) -> None:
    """Measure where a running job spends its time, as a flame graph.

    It is sampled for --seconds, or to its end; the file is written to --out, or to profile-<end of the id>-<number>
    here, and its name is printed. json is for https://www.speedscope.app, pstats for Python's module pstats (only of
    jobs that were submitted with the profile "cprofile"). --list prints a line for each profile that is kept, its
    columns parted by tabs: number, kind, attempt, seconds, samples, bytes.

    \b
    Examples:
      windsock profile 01JD2V6B8Q4W0G7N3M5T9RXKHA --seconds 10 --open
      windsock profile 01JD2V6B8Q4W0G7N3M5T9RXKHA --last --format json --out job.json
    """
    if lists:
        echo_lines(run(_list(url, job_id)))
        return
    number, data = run(_profile(url, job_id, seconds, form, last))
    path = out or Path(f"profile-{safe(job_id[-8:])}-{number}.{form}")
    try:
        path.write_bytes(data)
    except OSError as error:
        raise BadUsage(f"--out {path}: {error.strerror}") from None
    click.echo(safe(path))
    if opens and not webbrowser.open(path.resolve().as_uri()):
        say(f"no browser is found here; open {path.resolve()} in one")


async def _list(url: str, job_id: str) -> list[str]:
    checked(job_id)
    async with connect(url) as client:
        names = ("number", "kind", "attempt", "seconds", "samples", "bytes")
        return [tabbed(str(one.get(name)) for name in names) for one in await client.profiles(job_id)]


async def _profile(url: str, job_id: str, seconds: float, form: str, last: bool) -> tuple[int, bytes]:
    checked(job_id)
    async with connect(url) as client:
        if last:
            kept = await client.profiles(job_id)
            if not kept:
                raise NoProfile(f"{job_id} has no profile: leave out --last to make one")
            number = int(kept[-1]["number"])
        else:
            number = await client.profile(job_id, seconds)
            await _until_kept(client, job_id, number, seconds)
        return number, await client.profile_file(job_id, number, form)


async def _until_kept(client: AsyncClient, job_id: str, number: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds + LATE_S
    while time.monotonic() < deadline:
        if any(one["number"] == number for one in await client.profiles(job_id)):
            return
        await asyncio.sleep(LOOK_S)
    raise NoProfile(f"profile {number} of {job_id} did not come: its attempt was lost, or its worker is away")
