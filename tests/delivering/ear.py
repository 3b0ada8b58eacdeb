"""What a process hears of the store and how it shows that it lives: the link, and the beat, on the loop's clock."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from delivering.way import Way
from server.broker import Ticker
from server.errors import Unavailable


class Ear:
    """Stands for the link: messages wait in it until they are delivered, or are lost."""

    def __init__(
        self,
        way: Way,
        channels: Sequence[str],
        on_message: Callable[[str, bytes], None],
        on_up: Callable[[], None],
        on_down: Callable[[str], None],
    ) -> None:
        self._way = way
        self._channels = frozenset(channels)
        self._on_message = on_message
        self._on_up = on_up
        self._on_down = on_down
        self._stopped = False
        self._back_at = 0.0
        self.up = False
        self.why = ""
        self.losses = 0
        self.slow = False  # messages wait
        self.drop = 0  # so many messages to come are lost without a sign
        self.queue: deque[tuple[str, bytes]] = deque()
        self.heard: deque[tuple[str, bytes]] = deque(maxlen=5)

    def start(self) -> None:
        """Begin to listen."""
        self.up = True
        self._on_up()

    async def stop(self) -> None:
        """Listen no more, without an event."""
        self._stopped, self.up = True, False

    def suspect(self, why: str) -> None:
        """The node thinks that it is deaf."""
        self.cut(0.05)

    def cut(self, for_s: float) -> None:
        """The connection breaks, and is made anew after a while; what is on its way is lost."""
        loop = asyncio.get_running_loop()
        self._back_at = max(self._back_at, loop.time() + for_s)
        loop.call_at(self._back_at, self._back)
        if self.up:
            self.up = False
            self.losses += 1
            self.queue.clear()
            self._on_down("cut")

    def _back(self) -> None:
        loop = asyncio.get_running_loop()
        if self._stopped or self.up or loop.time() < self._back_at - 1e-6:
            return
        if self._way.away:
            loop.call_later(0.2, self._back)
            return
        self.up = True
        self._on_up()

    def publish(self, channel: str, data: bytes) -> None:
        """Redis has sent this to all who listen."""
        if not self.up or channel not in self._channels:
            return
        if self.drop and channel.endswith(":events"):
            self.drop -= 1
        else:
            self.queue.append((channel, data))

    def deliver(self, most: int) -> int:
        """Hand over messages in order; how many."""
        count = 0
        while self.up and self.queue and count < most:
            message = self.queue.popleft()
            self.heard.append(message)
            self._on_message(*message)
            count += 1
        return count

    def repeat(self) -> None:
        """The last message that was heard comes once more."""
        if self.up and self.heard:
            self.queue.appendleft(self.heard[-1])


class Pulse(Ticker):
    """The beat, on the loop and by its clock instead of in a thread of its own."""

    def __init__(self, way: Way, *given: Any) -> None:
        super().__init__(*given)
        self._way = way
        self._halted = False
        self.frozen = False

    def start(self) -> None:
        """Begin to beat."""
        asyncio.get_running_loop().call_later(0.001, self._beat)

    def stop(self) -> None:
        """Beat no more."""
        self._halted = True
        self._close()

    def _beat(self) -> None:
        if self._halted:
            return
        asyncio.get_running_loop().call_later(self._settings.beat_s, self._beat)
        if self.frozen:
            return
        if self._way.away:
            self._fail(Unavailable("Redis is away: so the test wants it"))
            return
        try:
            beat = self._tick()
            self._on_beat(beat)
            self._rescue(beat)
        except Unavailable as error:
            self._fail(error)
