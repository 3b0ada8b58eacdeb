"""The work that the programs in this folder hand in."""

import asyncio
from typing import Annotated

from pydantic import Field

from windsock import Progress, task

PAUSE_S = 0.02  # a row of a real report takes its time


@task
async def report(progress: Progress, rows: Annotated[int, Field(ge=1, le=10_000)] = 250) -> dict[str, float]:
    """Add up the sales of some rows.

    Args:
        rows: how many.
    """
    progress.log(f"reading {rows} rows")
    total = 0.0
    async for row in progress.track(range(1, rows + 1), unit="rows"):
        await asyncio.sleep(PAUSE_S)
        total += row * 1.5
    progress.log("adding up")
    return {"rows": rows, "total": total}
