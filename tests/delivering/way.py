"""The way to the store: the real pipeline, with calls that fail, lose their answer, or are held up."""

import asyncio
from collections import deque
from typing import Any

import redis

from server.broker import Broker
from server.broker.script import script
from server.errors import Unavailable
from server.settings import Settings


def run_script(client: redis.Redis, tag: str, name: str, *arguments: Any) -> Any:
    """The bare reply of a script."""
    code = script(name)
    try:
        return client.evalsha(code.sha, 1, tag, *arguments)
    except redis.exceptions.NoScriptError:
        return client.eval(code.source, 1, tag, *arguments)


class Way(Broker):
    """A broker whose calls may fail, lose their answer, or be held up on the way there or back."""

    def __init__(self, url: str, settings: Settings) -> None:
        super().__init__(url, settings)
        self.calls = 0  # in all
        self.under_way = 0  # of them Redis has not answered so many
        self.away = False
        self.lose_answers = 0  # of so many calls to come
        self.hold = ""  # there, back
        self._held: deque[asyncio.Future[bool]] = deque()

    async def _call(self, name: str, *arguments: Any, durable: bool = False) -> Any:
        await self._gate("there")
        while True:
            self._check()
            self.calls += 1
            self.under_way += 1
            try:
                reply = await super()._call(name, *arguments, durable=durable)
            finally:
                self.under_way -= 1
            if self.lose_answers and name != "open":
                self.lose_answers -= 1
                raise Unavailable("the answer was lost")
            if not await self._gate("back"):
                self._check()
                return reply

    def _check(self) -> None:
        if self.away:
            raise Unavailable("Redis is away: so the test wants it")

    async def _gate(self, where: str) -> bool:
        """Wait while calls are held up here; whether the connection broke meanwhile and the call goes out again."""
        if self.hold != where:
            return False
        held: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._held.append(held)
        return await held

    def let_go(self) -> None:
        """Calls go on."""
        self.hold = ""
        self._free(again=False)

    def broke(self) -> None:
        """The connection broke: answers that were on their way are lost, and the pipeline asks once more."""
        if self.hold == "back":
            self.hold = ""
            self._free(again=True)

    def _free(self, *, again: bool) -> None:
        while self._held:
            held = self._held.popleft()
            if not held.done():
                held.set_result(again)
