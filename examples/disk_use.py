"""Measures what a folder holds: by night for all of --files, or whenever somebody asks."""

import heapq
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from examples._paths import folder_below, readable, root, shown
from windsock import Progress, task

MAX_KINDS = 50  # in the result; the rest is summed up
MOVES = 100  # files between two progress calls


@task(
    name="disk_use",
    queue="upkeep",
    priority=-5,
    timeout_s=1800,
    unique=True,
    cron="0 4 * * *",
    timezone="Europe/Berlin",
    missed="once",
)
def measure(progress: Progress, folder: str = ".", largest: Annotated[int, Field(ge=0, le=100)] = 10) -> dict[str, Any]:
    """Say how much a folder holds: by kind of file, and which files are the largest.

    Runs by itself every night at four, and after a night without a server when one is back. It gives way to all other
    jobs. Links are not followed.

    Args:
        folder: where to begin, below --files.
        largest: how many of the largest files are named.
    """
    top = folder_below(folder)
    sizes, counts = Counter[str](), Counter[str]()
    heaviest: list[tuple[int, str]] = []
    for number, (name, size) in enumerate(files(top, progress), 1):
        kind = readable(Path(name).suffix.lower()) or "none"
        sizes[kind] += size
        counts[kind] += 1
        heaviest = heapq.nlargest(largest, [*heaviest, (size, readable(name))])
        if number % MOVES == 0:
            progress.update(number, unit="files", note=readable(name)[-200:])
    progress.update(counts.total(), counts.total(), unit="files", note=f"{sizes.total():,} bytes")
    kinds = {kind: {"files": counts[kind], "bytes": size} for kind, size in sizes.most_common(MAX_KINDS)}
    return {
        "folder": shown(top),
        "files": counts.total(),
        "bytes": sizes.total(),
        "kinds": kinds,
        "largest": [{"path": name, "bytes": size} for size, name in heaviest],
    }


def files(top: Path, progress: Progress) -> Iterator[tuple[str, int]]:
    """Name, from the root on, and bytes of every file below a folder; what cannot be read is told and passed over."""

    def unreadable(error: OSError) -> None:
        progress.log(readable(str(error)), "warning")

    for folder, _, names in os.walk(top, onerror=unreadable):
        for name in names:
            path = os.path.join(folder, name)
            try:
                found = os.lstat(path)
            except OSError as error:  # gone meanwhile
                unreadable(error)
            else:
                yield os.path.relpath(path, root()), found.st_size
