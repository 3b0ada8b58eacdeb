"""Connections of a client, as bytes: they wait, are not taken, are lost, and are made anew at this node or another."""

import asyncio
from collections import deque

from delivering.place import Place
from delivering.reader import Account, Frame
from delivering.truth import Truth
from handlers.session import Session
from server.client import Client
from server.codec import Codec
from server.protocol import CloseCode


class Socket:
    """One connection: transport and wire of a real client, and bytes on their way."""

    def __init__(self, place: Place, codec: Codec, name: str) -> None:
        self.place = place
        self.wire: deque[bytes] = deque()
        self.pending: bytes | None = None  # the kernel has no room for it
        self.full = False
        self.ended: tuple[CloseCode, str] | None = None
        self.client = Client(name, place.node.hub, self, self, codec)
        self.session = Session(place.node, self.client)

    def send(self, message: bytes) -> bool:
        """As the wire."""
        assert self.pending is None, "two batches in flight"
        if self.full:
            self.pending = message
            return False
        self.wire.append(message)
        return True

    def end(self, code: CloseCode, reason: str) -> None:
        """As the transport."""
        self.ended = (code, reason)

    def drain(self) -> None:
        """The kernel has room again."""
        self.full = False
        if self.pending is not None:
            self.wire.append(self.pending)
            self.pending = None
            self.client.writable()

    def close(self) -> None:
        """Both sides know that it is gone."""
        self.session.close()


class Watching:
    """A client over all its connections: what it watches, and where it is connected now."""

    def __init__(self, name: str, codec: Codec, truth: Truth, home: Place) -> None:
        self.name = name
        self.home = home
        self.socket: Socket | None = None
        self.lags = False  # bytes wait on the way
        self.accounts: list[Account] = []
        self.stale = False
        self._codec = codec
        self._truth = truth
        self._numbers: dict[int, Account] = {}
        self._count = 0
        self._asked: dict[int, Account | int] = {}  # commands by id: what they are about
        self._freed: set[int] = set()  # subscriptions that were given up, with the server's word
        self._welcomed = False
        self._calls = 0

    # connections

    def connect(self, place: Place) -> None:
        """Say hello, with all that is watched."""
        if self.socket is not None:
            return
        self._calls += 1
        self.home = place
        self.socket = Socket(place, self._codec, f"{self.name}-{self._calls}")
        self._numbers, self._asked, self._freed = {}, {}, set()
        self._welcomed = self.stale = False
        wishes = [self._wish(account) for account in self.accounts if account.end is None]
        self._send([{"type": "hello", "subscribe": wishes}])

    def cut(self, away_s: float, place: Place) -> None:
        """The connection breaks; bytes on their way are lost. It is made anew after a while."""
        asyncio.get_running_loop().call_later(away_s, self.connect, place)
        if self.socket is None:
            return
        self.socket.close()
        self.socket = None
        for account in self.accounts:
            account.close()
        self.accounts = [account for account in self.accounts if account.job_id is not None]

    def _send(self, frames: list[Frame]) -> None:
        assert self.socket is not None
        self.socket.session.receive(self._codec.decode(self._codec.encode(frames)))

    def _wish(self, account: Account) -> Frame:
        account.open()
        wish = {"type": "subscribe", "sub": self._number(account), "job": account.job_id, "log": account.log}
        return wish if account.cursor is None else {**wish, "after": account.cursor}

    def _number(self, account: Account) -> int:
        self._count += 1
        self._numbers[self._count] = account
        return self._count

    # commands

    def account(self, job_id: str | None, log: str | int) -> Account:
        """A new one."""
        made = Account(f"{self.name}.{len(self.accounts) + 1}", self._truth, job_id, log)
        self.accounts.append(made)
        return made

    def watch(self, job_id: str, log: str | int) -> None:
        """Watch a job from now on; again where it is watched already."""
        account = self.account(job_id, log)
        if self.socket is not None:
            self._send([self._wish(account)])

    def watch_again(self, account: Account) -> None:
        """Give the subscription up and make it anew from the cursor."""
        if self.socket is None or account.job_id is None:
            return
        number = next((one for one, held in self._numbers.items() if held is account), None)
        frames: list[Frame] = []
        if number is not None:
            self._asked[number] = number
            frames.append({"type": "unsubscribe", "id": number, "sub": number})
            self._numbers.pop(number)
        account.end = None
        self._send([*frames, self._wish(account)])

    def submit(self, log: str | int) -> None:
        """A job, watched from its birth."""
        if self.socket is None:
            return
        account = self.account(None, log)
        account.open()
        number = self._number(account)
        self._asked[number] = account
        self._send([{"type": "submit", "id": number, "task": "scripted", "args": {}, "sub": number, "log": log}])

    def cancel(self, job_id: str) -> None:
        """Ask a job to end."""
        if self.socket is not None:
            self._send([{"type": "cancel", "id": 10**6, "job": job_id}])

    # what comes

    def receive(self, most: int = 10**9) -> int:
        """Take in messages that have arrived; how many."""
        count = 0
        while self.socket is not None and self.socket.wire and count < most:
            for frame in self._codec.decode(self.socket.wire.popleft()):
                self._take(frame)
            count += 1
        if self.socket is not None:
            assert self.socket.ended is None, f"{self.name}: ended with {self.socket.ended}"
        return count

    def _take(self, frame: Frame) -> None:
        kind = frame["type"]
        self._truth.seen[" ".join([kind, frame.get("how", frame.get("why", "")) if kind != "stale" else ""])] += 1
        assert self._welcomed is (kind != "welcome"), f"{self.name}: {frame} before or beside the welcome"
        if kind == "welcome":
            self._welcomed = True
        elif kind in ("stale", "fresh"):
            assert self.stale is (kind == "fresh"), f"{self.name}: {frame}, and stale is {self.stale}"
            self.stale = kind == "stale"
        elif kind in ("ok", "error") and "id" in frame:
            self._answered(frame)
        else:
            self._pass_on(frame)

    def _pass_on(self, frame: Frame) -> None:
        number = frame["sub"]
        assert number not in self._freed, f"{self.name}: {frame} of what was given up"
        if number in self._numbers:
            assert self._numbers[number].job_id is not None, f"{self.name}: {frame} before its ok"
            self._numbers[number].take(frame)
            if self._numbers[number].phase == "ended":  # the subscription is free
                del self._numbers[number]
                self._freed.add(number)
        else:
            assert number in self._asked, f"{self.name}: {frame} of nothing that was asked for"

    def _answered(self, frame: Frame) -> None:
        about = self._asked.pop(frame["id"], None)
        if isinstance(about, int):
            assert frame["type"] == "ok"
            self._freed.add(about)
        elif about is not None and frame["type"] == "ok":
            about.job_id = frame["job"]["id"]
        elif about is not None:
            assert frame["code"] == "unavailable", frame
            self.accounts.remove(about)
            self._freed.add(frame["id"])
