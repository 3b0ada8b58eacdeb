"""`windsock tasks`."""

from typing import Any

from rich.table import Table
from rich.text import Text

from cli.arguments import describe_arguments
from cli.options import command, json_option, run
from cli.safe import wire_json
from cli.server import connect
from cli.terminal import cell, echo_lines, is_terminal, make_console, tabbed


@command("tasks")
@json_option
def tasks(url: str, as_json: bool) -> None:
    """List the tasks that can be submitted, with what they take.

    An argument with `=` has a default and may be left out. In a pipe there is one task per line, the columns
    parted by tabs: name, kind, arguments (parted by commas), summary. --json gives the JSON Schemas.

    \b
    Examples:
      windsock tasks
      windsock tasks --json | jq 'select(.name == "thumbnails").arguments'
    """
    found = run(_fetch(url))
    if as_json:
        echo_lines(wire_json(one) for one in found)
    elif is_terminal():
        _print_table(found)
    else:
        echo_lines(tabbed(_columns(one)) for one in found)


async def _fetch(url: str) -> list[dict[str, Any]]:
    async with connect(url) as client:
        return [dict(one) for one in await client.tasks()]


def _columns(one: dict[str, Any]) -> list[str]:
    return [
        one["name"],
        one["kind"],
        ", ".join(describe_arguments(one["arguments"])),
        one.get("summary") or "",
    ]


def _print_table(found: list[dict[str, Any]]) -> None:
    console = make_console()
    if not found:
        console.print(cell("no tasks: start the server with --tasks FILE", "dim"))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("task", "kind", "arguments", "summary"):
        table.add_column(name, no_wrap=name in ("task", "kind"))
    for one in found:
        name, kind, _, summary = _columns(one)
        arguments = Text("\n").join(cell(line) for line in describe_arguments(one["arguments"]))
        table.add_row(cell(name, "bold"), cell(kind, "dim"), arguments, cell(summary))
    console.print(table)
