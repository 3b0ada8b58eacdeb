"""Waits, on purpose: the simplest job to watch."""

import asyncio
import time
from typing import Annotated

from pydantic import Field

from windsock import Progress, task

STEP_S = 0.1  # time between two moves of the bar


@task
async def sleep(
    progress: Progress, seconds: Annotated[float, Field(ge=0, le=86_400)], fail: bool = False
) -> dict[str, float]:
    """Wait some seconds, then succeed or fail.

    Args:
        seconds: how long.
        fail: raise an error at the end.
    """
    began = time.monotonic()
    progress.log(f"sleeping {seconds:g} s")
    progress.update(0, seconds, unit="s")
    while (slept := time.monotonic() - began) < seconds:
        await asyncio.sleep(min(STEP_S, seconds - slept))
        progress.update(round(min(time.monotonic() - began, seconds), 2))
    if fail:
        progress.log("failing, as asked", "error")
        raise RuntimeError(f"failed after {seconds:g} s, as the argument fail asked for")
    progress.log("awake")
    return {"slept_s": round(time.monotonic() - began, 3)}
