"""The first contact with a Redis that may be on its way still."""

import asyncio
import logging

from server.broker import Broker
from server.broker.connection import shown
from server.errors import StartupError, Unavailable
from server.settings import Settings

log = logging.getLogger("windsock.node")
AGAIN_S = 0.2


async def open_broker(broker: Broker, settings: Settings, within_s: float) -> None:
    """Open the broker when its Redis answers.

    Raises:
        StartupError: it does not in time, or cannot be used.
    """
    refusals: list[Unavailable] = []
    try:
        async with asyncio.timeout(within_s):
            await _until_open(broker, refusals)
    except TimeoutError:
        if refusals:
            raise StartupError(f"{refusals[-1].message} (tried for {within_s:g} s)") from None
        where = shown(settings.redis or "the private redis-server")
        raise StartupError(f"no answer from Redis at {where} within {within_s:g} s") from None


async def _until_open(broker: Broker, refusals: list[Unavailable]) -> None:
    while True:
        try:
            return await broker.open()
        except Unavailable as error:
            if not refusals:
                log.warning("waiting for Redis: %s", error)
            refusals.append(error)
            await asyncio.sleep(AGAIN_S)
