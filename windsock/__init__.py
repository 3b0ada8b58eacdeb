"""What other programs import: `from windsock import task, Progress` in task files.

Names are fetched when first used, so that importing `windsock` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.progress import JobCancelled, Progress
    from server.registry import task
    from server.version import __version__

__all__ = ["JobCancelled", "Progress", "__version__", "task"]

_HOMES = {
    "JobCancelled": "server.progress",
    "Progress": "server.progress",
    "task": "server.registry",
    "__version__": "server.version",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'windsock' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
