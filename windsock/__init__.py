"""What other programs import.

In task files: `from windsock import task, Progress`. In programs that hand in and watch jobs: `windsock.submit`,
`windsock.Client`, `windsock.AsyncClient`, which need neither Redis nor the server.

Names are fetched when first used, so that importing `windsock` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.options import task
    from server.outcome import ProcessDied
    from server.progress import JobCancelled, Progress
    from server.resource import resource
    from server.retries import Retry
    from server.tree import Child, ChildFailed, SpawnRefused
    from server.version import __version__
    from windsock.async_client import AsyncClient
    from windsock.client import Client
    from windsock.default import submit
    from windsock.errors import (
        Busy,
        Conflict,
        Error,
        Invalid,
        JobEnded,
        JobFailed,
        JobWasCancelled,
        NotFound,
        Refused,
        Unreachable,
    )
    from windsock.events import (
        Connection,
        End,
        Event,
        Feed,
        Gap,
        Gone,
        JobEvent,
        Live,
        Log,
        Reset,
        Stats,
        Update,
        Value,
    )
    from windsock.handles import AsyncJobHandle, JobHandle
    from windsock.job import Job
    from windsock.submission import Options, Submission

__all__ = [
    "AsyncClient",
    "AsyncJobHandle",
    "Busy",
    "Child",
    "ChildFailed",
    "Client",
    "Conflict",
    "Connection",
    "End",
    "Error",
    "Event",
    "Feed",
    "Gap",
    "Gone",
    "Invalid",
    "Job",
    "JobCancelled",
    "JobEnded",
    "JobEvent",
    "JobFailed",
    "JobHandle",
    "JobWasCancelled",
    "Live",
    "Log",
    "NotFound",
    "Options",
    "ProcessDied",
    "Progress",
    "Refused",
    "Reset",
    "Retry",
    "SpawnRefused",
    "Stats",
    "Submission",
    "Unreachable",
    "Update",
    "Value",
    "__version__",
    "resource",
    "submit",
    "task",
]

_HOMES = {
    "task": "server.options",
    "ProcessDied": "server.outcome",
    "JobCancelled": "server.progress",
    "Progress": "server.progress",
    "resource": "server.resource",
    "Retry": "server.retries",
    "Child": "server.tree",
    "ChildFailed": "server.tree",
    "SpawnRefused": "server.tree",
    "__version__": "server.version",
    "AsyncClient": "windsock.async_client",
    "Client": "windsock.client",
    "submit": "windsock.default",
    "Busy": "windsock.errors",
    "Conflict": "windsock.errors",
    "Error": "windsock.errors",
    "Invalid": "windsock.errors",
    "JobEnded": "windsock.errors",
    "JobFailed": "windsock.errors",
    "JobWasCancelled": "windsock.errors",
    "NotFound": "windsock.errors",
    "Refused": "windsock.errors",
    "Unreachable": "windsock.errors",
    "Connection": "windsock.events",
    "End": "windsock.events",
    "Event": "windsock.events",
    "Feed": "windsock.events",
    "Gap": "windsock.events",
    "Gone": "windsock.events",
    "JobEvent": "windsock.events",
    "Live": "windsock.events",
    "Log": "windsock.events",
    "Reset": "windsock.events",
    "Stats": "windsock.events",
    "Update": "windsock.events",
    "Value": "windsock.events",
    "AsyncJobHandle": "windsock.handles",
    "JobHandle": "windsock.handles",
    "Job": "windsock.job",
    "Options": "windsock.submission",
    "Submission": "windsock.submission",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'windsock' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
