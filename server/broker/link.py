"""The Pub/Sub connection, supervised: whoever listens through it is told when it was away.

redis-py's own PubSub reconnects silently, and what was published meanwhile is lost without a sign. Here every loss and
every return is an event, and a link that is up but deaf is found out: each beat publishes to the process's own channel.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from server.broker.connection import Connector, end
from server.errors import Unavailable

log = logging.getLogger("windsock.link")
FIRST_DELAY_S, MAX_DELAY_S = 0.05, 1.0
TURN = 100  # messages handled before the loop gets a turn


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
        self._connection: AbstractConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._breaking: asyncio.Task[None] | None = None  # a disconnect under way
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
        if self._connection is not None:
            log.warning("the Pub/Sub link is deaf (%s); connecting again", why)
            self._breaking = asyncio.create_task(self._connection.disconnect(nowait=True))

    async def _run(self) -> None:
        delay = FIRST_DELAY_S
        while True:
            try:
                await self._subscribe()
                delay = FIRST_DELAY_S
                self.up = True
                self._on_up()
                await self._listen()
            except (RedisError, OSError, Unavailable, AttributeError) as error:
                # AttributeError: redis-py reads from a connection that `suspect` has just closed under it
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

    async def _subscribe(self) -> None:
        self._connection = await self._connector.connect(listening=True)
        await self._connection.send_command("SUBSCRIBE", *self._channels)
        for _ in self._channels:
            await self._connection.read_response(disable_decoding=True, timeout=5.0)

    async def _listen(self) -> None:
        connection = self._connection
        assert connection is not None
        handled = 0
        while True:
            message = await connection.read_response(disable_decoding=True)
            if isinstance(message, list) and message and message[0] == b"message":
                self._handle(message[1].decode(), message[2])
            handled += 1
            if handled % TURN == 0:
                await asyncio.sleep(0)

    def _handle(self, channel: str, data: bytes) -> None:
        try:
            self._on_message(channel, data)
        except Exception:  # a message nobody can read must not silence all others
            log.exception("a message on %s was not understood", channel)

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
