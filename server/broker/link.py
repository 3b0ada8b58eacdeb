"""The Pub/Sub connection, supervised: whoever listens through it is told when it was away.

redis-py's own PubSub reconnects silently, and what was published meanwhile is lost without a sign. Here every loss and
every return is an event, and a link that is up but deaf is found out: each beat publishes to the process's own channel.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from redis.exceptions import RedisError

from server.broker.connection import Connector, end
from server.broker.ear import Ear
from server.errors import Unavailable

log = logging.getLogger("windsock.link")
FIRST_DELAY_S, MAX_DELAY_S = 0.05, 1.0
SUBSCRIBE_S = 5.0  # for Redis to confirm


class Link:
    """Listens on some channels, for as long as the process lives.

    Calls `on_message(channel, data)`, `on_up()` after every subscribe and `on_down(why)` after every loss; all of them
    plain functions on the loop.
    """

    def __init__(
        self,
        connector: Connector,
        channels: Sequence[str],
        on_message: Callable[[str, bytes], None],
        on_up: Callable[[], None],
        on_down: Callable[[str], None],
    ) -> None:
        self._connector = connector
        self._channels = list(channels)
        self._on_message = on_message
        self._on_up = on_up
        self._on_down = on_down
        self._ear: Ear | None = None
        self._task: asyncio.Task[None] | None = None
        self.up = False
        self.why = ""  # of the last loss or failed try
        self.losses = 0  # how often it went down

    def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._run(), name="link")

    async def stop(self) -> None:
        """Stop listening, without an event."""
        if self._task is not None:
            task, self._task = self._task, None
            await end(task)

    def suspect(self, why: str) -> None:
        """The connection looks healthy and delivers nothing: break it, so that it is made anew."""
        if self._ear is not None:
            log.warning("the Pub/Sub link is deaf (%s); connecting again", why)
            self._ear.hang_up()

    async def _run(self) -> None:
        delay = FIRST_DELAY_S
        while True:
            try:
                ear = await self._subscribe()
                delay = FIRST_DELAY_S
                self.up = True
                self._on_up()
                await ear.listen()
            except (RedisError, OSError, Unavailable) as error:
                self._lost(str(error) or type(error).__name__)
            finally:
                await self._close()
            await asyncio.sleep(random.uniform(0, delay))
            delay = min(delay * 2, MAX_DELAY_S)

    def _lost(self, why: str) -> None:
        self.why = why
        if self.up:
            self.up = False
            self.losses += 1
            log.warning("the Pub/Sub link is down: %s", why)
            self._on_down(why)

    async def _subscribe(self) -> Ear:
        self._ear = Ear(await self._connector.connect(listening=True), self._handle)
        await self._ear.subscribe(self._channels, SUBSCRIBE_S)
        return self._ear

    def _handle(self, channel: str, data: bytes) -> None:
        try:
            self._on_message(channel, data)
        except Exception:  # a message nobody can read must not silence all others
            log.exception("a message on %s was not understood", channel)

    async def _close(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            await ear.close()
