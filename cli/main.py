"""The client's commands, for `run.py` to add beside `serve` and `worker`."""

import click

from cli.children import children
from cli.insight import profile, stack
from cli.jobs import cancel, jobs, rerun
from cli.show import show
from cli.submit import submit
from cli.tasks import tasks
from cli.top import top
from cli.watch import watch

COMMANDS: list[click.Command] = [submit, watch, jobs, show, cancel, rerun, tasks, top, stack, profile, children]
