"""What the jobs of every contestant do, and what its programs are told by the environment."""

import asyncio
import os
import time

from marks import Marks

URL = os.environ["QUEUE_REDIS"]
SLOTS = int(os.environ["QUEUE_SLOTS"])
MARKS = Marks(os.environ["QUEUE_MARKS"])
HANG_S = 3600.0


async def noop(number: int) -> None:
    """Says that it ran."""
    MARKS.ran(number)


async def pause(number: int) -> None:
    """Sleeps for a second, then says so."""
    await asyncio.sleep(1)
    MARKS.ran(number)


async def hang(number: int) -> None:
    """Says that it ran, and does not end."""
    MARKS.ran(number)
    await asyncio.sleep(HANG_S)


def noop_now(number: int) -> None:
    """`noop` for those who have no coroutines."""
    MARKS.ran(number)


def hang_now(number: int) -> None:
    """`hang` for those who have no coroutines."""
    MARKS.ran(number)
    time.sleep(HANG_S)
