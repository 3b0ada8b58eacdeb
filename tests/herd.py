"""Thousands of light WebSocket clients of one job, in a process of their own: `python tests/herd.py PORT JOB COUNT`.

Commands are lines on stdin, each answered by one line of JSON with how all of them are (`Herd.told`):

    come SECONDS    whoever is not connected comes, at a moment of its own within so long; before that, nobody does
    tell            nothing else

A client that was refused, or that nobody answered, comes again by full jitter (protocol.md, section 3), one that was
told `Retry-After` not before. What it was told of the job's log is checked as it comes. Ends with its stdin.
"""

import heapq
import json
import random
import resource
import selectors
import socket
import sys
import time
from typing import Any

BASE_S, CAP_S = 0.5, 20.0
PATIENCE_S = 10.0  # until `live`
PER_ADDRESS = 800  # a node takes 1,000 of one address
REQUEST = (
    b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Protocol: windsock.v1.json\r\n\r\n"
)


def masked(payload: bytes) -> bytes:
    """A text frame as a client sends it, with a mask of zeros (RFC 6455, section 5.2)."""
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else bytes((0x81, 0xFE)) + size.to_bytes(2)
    return head + b"\0\0\0\0" + payload


def unframed(data: bytearray) -> tuple[int, bytes] | None:
    """The first whole frame, taken away: its opcode and payload."""
    if len(data) < 2:
        return None
    size, at = data[1], 2
    if size >= 126:
        at = 4 if size == 126 else 10
        if len(data) < at:
            return None
        size = int.from_bytes(data[2:at])
    if len(data) < at + size:
        return None
    opcode, payload = data[0] & 0x0F, bytes(data[at : at + size])
    del data[: at + size]
    return opcode, payload


class Account:
    """What one client was told of the log, over all its connections."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.offset = 0  # of the last entry
        self.faults: list[str] = []
        self.ended = False

    def take(self, frame: dict[str, Any]) -> None:
        """One more frame of the job."""
        kind = frame["type"]
        if kind == "snapshot" and frame["how"] != ("resumed" if self.cursor else "fresh"):
            self.faults.append(f"snapshot {frame['how']} after {self.cursor}")
        elif kind == "log":
            if frame["first"] != self.offset + 1:
                self.faults.append(f"log from {frame['first']} after {self.offset}")
            self.offset = frame["first"] + len(frame["entries"]) - 1
        elif kind in ("gap", "error"):
            self.faults.append(json.dumps(frame))
        elif kind == "end":
            if frame["last"] != self.offset:
                self.faults.append(f"end at {frame['last']} after {self.offset}")
            self.ended = True
        self.cursor = frame.get("cursor", self.cursor)


class Caller:
    """One client: away, or on its way to `live`, or live."""

    __slots__ = (
        "account",
        "address",
        "data",
        "due",
        "failures",
        "live",
        "moved",
        "number",
        "opened",
        "sock",
        "window_s",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.address = f"127.0.0.{2 + number // PER_ADDRESS}"
        self.account = Account()
        self.sock: socket.socket | None = None
        self.data = bytearray()
        self.opened = False  # 101 was read
        self.live = self.moved = False  # on this connection: the replay is complete; something new came after it
        self.failures = 0
        self.due = 0.0  # when it comes, or gives up this try; an entry of another time is void
        self.window_s = -1.0  # of the last `drain`; none yet


class Herd:
    """All callers, on one selector."""

    def __init__(self, port: int, job: str, count: int) -> None:
        self._port, self._job = port, job
        self._callers = [Caller(number) for number in range(count)]
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int]] = []  # who comes when, by number
        self._began = time.monotonic()
        self._live_s: list[float] = []  # since the last `come`
        self._counts = {"refused": 0, "unanswered": 0, "lost": 0, "drained": 0}
        self._waits: list[int] = []  # what Retry-After said

    def come(self, seconds: float) -> None:
        """Whoever is away comes within `seconds`."""
        self._began, self._live_s, self._waits = time.monotonic(), [], []
        self._counts = dict.fromkeys(self._counts, 0)
        away = [number for number, caller in enumerate(self._callers) if caller.sock is None]
        for number in away:
            self._later(self._callers[number], random.uniform(0, seconds))

    def told(self) -> dict[str, Any]:
        """How all are. Times in seconds since the last `come`."""
        callers, times = self._callers, sorted(self._live_s)
        faults = [f"{number}: {one}" for number, caller in enumerate(callers) for one in caller.account.faults]
        return {
            "open": sum(caller.sock is not None for caller in callers),
            "live": sum(caller.live for caller in callers),
            "moved": sum(caller.moved for caller in callers),
            "ended": sum(caller.account.ended for caller in callers),
            "least": min(caller.account.offset for caller in callers),
            "faults": faults[:10],
            "waits": sorted(set(self._waits)),
            "live_s": [round(times[int(part * (len(times) - 1))], 3) for part in (0.5, 0.99, 1)] if times else [],
            **self._counts,
        }

    def run(self) -> None:
        """Until stdin ends."""
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            left = self._due[0][0] - time.monotonic() if self._due else 1.0
            for key, _ in self._selector.select(max(0.0, min(1.0, left))):
                if key.data is not None:
                    self._on_event(key.data)
                elif not self._command():
                    return
            self._start_due()

    def _command(self) -> bool:
        words = sys.stdin.readline().split()
        if words[:1] == ["come"]:
            self.come(float(words[1]))
        if words:
            print(json.dumps(self.told()), flush=True)
        return bool(words)

    def _start_due(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            due, number = heapq.heappop(self._due)
            caller = self._callers[number]
            if caller.due != due or caller.live:
                continue
            if caller.sock is None:
                self._connect(caller)
            else:
                self._again(caller, "unanswered")

    def _connect(self, caller: Caller) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((caller.address, 0))
        sock.connect_ex(("127.0.0.1", self._port))
        caller.sock, caller.data = sock, bytearray()
        self._selector.register(sock, selectors.EVENT_WRITE, caller)
        self._later(caller, PATIENCE_S)

    def _later(self, caller: Caller, seconds: float) -> None:
        caller.due = time.monotonic() + seconds
        heapq.heappush(self._due, (caller.due, caller.number))

    def _on_event(self, caller: Caller) -> None:
        sock = caller.sock
        if sock is None:  # given up in this turn
            return
        try:
            if self._selector.get_key(sock).events == selectors.EVENT_WRITE:
                sock.send(REQUEST)
                self._selector.modify(sock, selectors.EVENT_READ, caller)
                return
            data = sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._again(caller, "lost" if caller.opened else "unanswered")
            return
        caller.data += data
        if caller.opened or self._is_opened(caller):
            while caller.sock is not None and (frame := unframed(caller.data)) is not None:
                self._on_frame(caller, *frame)

    def _is_opened(self, caller: Caller) -> bool:
        head, end, rest = bytes(caller.data).partition(b"\r\n\r\n")
        if not end:
            return False
        lines = head.decode().split("\r\n")
        if " 101 " not in lines[0]:
            self._on_refusal(caller, lines)
            return False
        assert caller.sock is not None
        caller.opened, caller.data = True, bytearray(rest)
        wish = {"sub": 1, "job": self._job, "log": "all", "after": caller.account.cursor}
        caller.sock.send(masked(json.dumps([{"type": "hello", "subscribe": [wish]}]).encode()))
        return True

    def _on_refusal(self, caller: Caller, lines: list[str]) -> None:
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        if " 503 " not in lines[0] or "retry-after" not in headers:
            caller.account.faults.append(f"refused: {lines[0]}")
        wait_s = int(headers.get("retry-after", "1"))
        self._waits.append(wait_s)
        self._again(caller, "refused", wait_s)

    def _again(self, caller: Caller, why: str, at_least_s: float = 0.0) -> None:
        """Its connection is over; unless it was told all, it comes again."""
        self._counts[why] += 1
        self._hang_up(caller)
        if caller.account.ended or (why == "lost" and caller.window_s < 0):
            caller.due = 0.0  # the job is over; or it comes with `come`
            return
        drained, caller.window_s = caller.window_s, -1.0
        if drained >= 0:
            self._later(caller, random.uniform(0, drained))
            return
        self._later(caller, at_least_s + random.uniform(0, min(CAP_S, BASE_S * 2**caller.failures)))
        caller.failures += 1

    def _hang_up(self, caller: Caller) -> None:
        assert caller.sock is not None
        self._selector.unregister(caller.sock)
        caller.sock.close()
        caller.sock = None
        caller.opened = caller.live = caller.moved = False

    def _on_frame(self, caller: Caller, opcode: int, payload: bytes) -> None:
        if opcode == 8:
            self._again(caller, "lost")
        elif opcode == 1:
            for frame in json.loads(payload):
                self._on_told(caller, frame)

    def _on_told(self, caller: Caller, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if "sub" in frame:
            caller.account.take(frame)
        if kind == "live":
            caller.live, caller.failures = True, 0
            self._live_s.append(time.monotonic() - self._began)
        elif kind in ("log", "update"):
            caller.moved = caller.live
        elif kind == "drain":
            caller.window_s = frame["within_s"][1]
            self._counts["drained"] += 1


def main() -> None:
    """Open the descriptors that are needed, and run."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    port, job, count = sys.argv[1:]
    Herd(int(port), job, int(count)).run()


if __name__ == "__main__":
    main()
