"""Talks, on purpose: a job whose log can be counted."""

import asyncio
import time
from typing import Annotated

from pydantic import Field

from windsock import Progress, task


@task
async def chatter(
    progress: Progress,
    lines: Annotated[int, Field(ge=0, le=1_000_000)],
    per_second: Annotated[float, Field(ge=0, le=100_000)] = 10,
) -> dict[str, int]:
    """Log numbered lines and emit every tenth number.

    Args:
        lines: how many.
        per_second: how fast; 0 is as fast as it goes. A log faster than the store can take shows a gap.
    """
    began = time.monotonic()
    async for number in progress.track(range(1, lines + 1), unit="lines"):
        if per_second:
            await asyncio.sleep(max(0, began + (number - 1) / per_second - time.monotonic()))
        progress.log(f"line {number} of {lines}")
        if number % 10 == 0:
            progress.emit(number)
    return {"lines": lines, "emitted": lines // 10}
