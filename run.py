"""The door: the command line. `serve` and `worker` are here, the client's commands come from `cli`."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import click
from pydantic import ValidationError

from cli.main import COMMANDS
from server import logs
from server.errors import StartupError
from server.lifeline import Lifeline, Standing
from server.settings import PREFIX, Settings
from server.version import __version__

Command = Callable[..., Any]


def flag(name: str, dashes: str | None = None, **options: Any) -> Callable[[Command], Command]:
    """An option named after a setting, with the setting's description as its help.

    Its variable is read by `Settings` like those of all other settings; here it is only named.
    """
    field = Settings.model_fields[name]
    said = (field.description or name)[:1].upper() + (field.description or name)[1:]
    plain = field.default in (None, (), False, True) or field.default_factory or options.get("multiple")
    shown = f"{said}." if plain else f"{said}. [default: {field.default}]"
    return click.option(
        dashes or "--" + name.replace("_", "-").removesuffix("-s"),
        name,
        default=None,
        callback=_checked,
        help=f"{shown} [env: {PREFIX}{name.upper()}]",
        **options,
    )


def _checked(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """The setting's own check, here so that a refusal names the flag."""
    if value in (None, ()):
        return None
    try:
        Settings.model_validate({option.name: value})
    except ValidationError as error:
        raise click.BadParameter(error.errors()[0]["msg"]) from None
    return value


def flags(*made: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options, in this order in the help."""

    def add(command: Command) -> Command:
        for option in reversed(made):
            command = option(command)
        return command

    return add


DOOR_FLAGS = flags(
    flag("host"),
    flag("port", type=int),
    flag("insecure", is_flag=True),
    flag("allow_host", multiple=True, metavar="NAME"),
    flag("allow_origin", multiple=True, metavar="ORIGIN"),
    click.option(
        "--no-worker", is_flag=True, envvar=PREFIX + "NO_WORKER", help=f"Run no jobs here. [env: {PREFIX}NO_WORKER]"
    ),
)
WORK_FLAGS = flags(
    flag("workers", type=int),
    flag("worker_jobs", type=int),
    flag("tasks", multiple=True, metavar="MODULE|FILE|FOLDER"),
    flag("redis", metavar="URL"),
    flag("data_dir", metavar="FOLDER"),
    flag("namespace"),
    flag("name"),
    flag("queues", "--queue", multiple=True, metavar="NAME"),
    flag("slots", type=int),
    flag("threads", type=int),
    flag("processes", type=int),
    flag("drain_s", type=float, metavar="SECONDS"),
    flag("files", metavar="FOLDER"),
    flag("fetch_private", is_flag=True),
    click.option("--verbose", "-v", is_flag=True, envvar=PREFIX + "VERBOSE", help=f"Log more. [env: {PREFIX}VERBOSE]"),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="windsock")
def main() -> None:
    """Windsock runs slow work for web applications and shows it live.

    \b
    Start a server with the example tasks, give it work, watch it:
      windsock serve --tasks examples
      windsock submit sleep seconds=20 --watch

    Every flag is also an environment variable, as its help says; the limits that have no flag are listed in
    docs/operations.md.
    """


@main.command()
@DOOR_FLAGS
@WORK_FLAGS
def serve(no_worker: bool, verbose: bool, **given: Any) -> None:
    """Serve HTTP and WebSocket, and run jobs.

    Without --redis a private redis-server is started in --data-dir, which must belong to one server at a time.
    SIGTERM and Ctrl-C drain: running jobs get --drain seconds, then they are given back and run again at the next
    start. A second signal stops at once. With --workers jobs run in so many processes beside this one, which SIGUSR1
    replaces one after the other.

    \b
    Examples:
      windsock serve --tasks myapp.tasks --tasks jobs/
      windsock serve --tasks examples --port 9000 --slots 20
      windsock serve --tasks myapp.tasks --workers 4 --worker-jobs 10000
      windsock serve --tasks myapp.tasks --redis redis://10.0.0.5/0 --no-worker
    """
    from handlers.serve import serve as serving  # noqa: PLC0415  the client's commands start without the server

    settings = _settings(worker=False if no_worker else None, **given)
    _run(serving(settings, lambda url: click.echo(f"Windsock answers on {url}")), verbose)


@main.command()
@WORK_FLAGS
@click.option("--child", type=(int, str, int, int), hidden=True)
def worker(verbose: bool, child: tuple[int, str, int, int] | None, **given: Any) -> None:
    """Run jobs, without HTTP.

    Give it the --redis the servers have; or the --data-dir of a server on this machine, to join its private Redis.
    With --workers or --worker-jobs jobs run in so many processes (one by default) that are started again when they
    die, and that SIGUSR1 replaces one after the other; this one keeps them. SIGTERM and Ctrl-C drain, a second signal
    stops at once.

    \b
    Examples:
      windsock worker --tasks myapp.tasks --redis redis://10.0.0.5/0 --slots 50
      windsock worker --tasks myapp.tasks --redis redis://10.0.0.5/0 --workers 4 --worker-jobs 10000
      windsock worker --tasks examples --data-dir .windsock
    """
    if child is not None:
        return _work_for_parent(Lifeline(*child), verbose, **given)
    from handlers.serve import keep, work  # noqa: PLC0415

    settings = _settings(**given)
    if settings.workers or settings.worker_jobs:
        settings = settings.model_copy(update={"workers": settings.workers or 1})
        told = f"takes jobs in {settings.workers} process" + ("es" if settings.workers > 1 else "")
        _run(keep(settings, lambda node: click.echo(f"worker {node} {told}")), verbose)
    else:
        _run(work(settings, lambda node: click.echo(f"worker {node} takes jobs")), verbose)
    return None


def _work_for_parent(lifeline: Lifeline, verbose: bool, **given: Any) -> None:
    """As one of the worker processes that a server or another worker keeps."""
    lifeline.hold()
    from setproctitle import setproctitle  # noqa: PLC0415

    from handlers.serve import work  # noqa: PLC0415

    settings = _settings(**given)
    setproctitle(f"windsock worker {lifeline.number} ({settings.name})")
    _run(work(settings, lambda _: lifeline.say(Standing.READY), lifeline), verbose)


def _settings(**given: Any) -> Settings:
    """The record of all knobs; what the example tasks need to know they find in the environment."""
    try:
        settings = Settings.read(os.environ, **given)
    except StartupError as error:
        raise click.UsageError(error.message) from None
    os.environ["WINDSOCK_FILES"] = str(settings.files)
    os.environ["WINDSOCK_FETCH_PRIVATE"] = "1" if settings.fetch_private else ""
    return settings


def _run(life: Any, verbose: bool) -> None:
    logs.configure(logging.WARNING, logging.DEBUG if verbose else logging.INFO)
    try:
        asyncio.run(life)
    except StartupError as error:
        click.echo(f"windsock: {error.message}", err=True)
        sys.exit(1)


for _command in COMMANDS:
    main.add_command(_command)

if __name__ == "__main__":
    main()
