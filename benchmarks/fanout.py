"""One job, many watchers: server CPU for each delivered frame, latency, memory of idle connections.

Server and client are processes of their own, on loopback; the client only reads bytes and counts messages. Stops by
itself. `python benchmarks/fanout.py [WATCHERS]`.
"""

import asyncio
import json
import os
import selectors
import socket
import sys
import time

from processes import Folder, Http, Process, percentile, serve

HELLO = b'[{"type":"hello","subscribe":[{"sub":1,"job":"%s","rate":20}]}]'
SECONDS = 10
PAUSE_S = 0.1


def client_frame(payload: bytes) -> bytes:
    """A masked text frame (RFC 6455, section 5.2), with a mask of zeros."""
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else bytes((0x81, 0x80 | 126)) + size.to_bytes(2)
    return head + b"\0\0\0\0" + payload


def connect(host: str, port: int, hello: bytes) -> socket.socket:
    """An upgraded connection that has said hello."""
    sock = socket.create_connection((host, port))
    sock.sendall(
        f"GET /api/stream HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Protocol: windsock.v1.json\r\n\r\n".encode()
    )
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(4096)
    if b" 101 " not in data.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"refused: {data[:200]!r}")
    sock.sendall(client_frame(hello))
    sock.setblocking(False)
    return sock


class Watchers:
    """Many sockets that read; every message is counted, and the time stamp in it compared with now."""

    def __init__(self, url: str, job: str, count: int) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._selector = selectors.DefaultSelector()
        self.messages = 0
        self.late: list[float] = []
        self.sockets = [connect(host, int(port), HELLO % job.encode()) for _ in range(count)]
        for sock in self.sockets:
            self._selector.register(sock, selectors.EVENT_READ)

    def read_for(self, seconds: float, count: bool = True) -> None:
        """Read whatever comes."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not data:
                    raise RuntimeError("the server has hung up")
                if count:
                    self._note(data)

    def _note(self, data: bytes) -> None:
        found = data.count(b'"type":"update"')
        self.messages += found
        if found and self.messages % 50 == 0:  # one in fifty: the client must not be what is measured
            at = data.rindex(b'"done":') + 7
            self.late.append(time.time() - int(data[at : data.index(b",", at)]) / 1e9)


async def submit(url: str, seconds: float) -> str:
    """A job that says what time it is, ten times a second."""
    http = await Http(url).open()
    args = {"count": int(seconds / PAUSE_S), "pause_s": PAUSE_S}
    job: str = json.loads(await http.post("/api/jobs", json.dumps({"task": "stamps", "args": args}).encode()))["id"]
    http.close()
    return job


def measure(server: Process, watchers_count: int) -> None:
    """One row."""
    before = server.memory_mib()
    job = asyncio.run(submit(server.url, SECONDS + 20))
    began = time.monotonic()
    watchers = Watchers(server.url, job, watchers_count)
    took = time.monotonic() - began
    watchers.read_for(2.0, count=False)
    held = server.memory_mib() - before
    cpu = server.cpu_s()
    watchers.read_for(SECONDS)
    cpu = server.cpu_s() - cpu
    frames = max(1, watchers.messages)
    print(
        f"| {watchers_count:,} | {cpu / frames * 1e6:.1f} µs | {percentile(watchers.late, 0.5) * 1e3:.1f} /"
        f" {percentile(watchers.late, 0.99) * 1e3:.1f} ms | {frames / SECONDS:,.0f}/s |"
        f" {held * 1024 / watchers_count:.1f} KiB | {watchers_count / took:,.0f}/s |",
        flush=True,
    )
    for sock in watchers.sockets:
        sock.close()


def main() -> None:
    """Rows for the numbers of watchers given."""
    counts = [int(word) for word in sys.argv[1:]] or [100, 1000]
    if hasattr(os, "sched_setaffinity") and os.cpu_count() == 2:
        os.sched_setaffinity(0, {1})
    print("| watchers | server CPU per frame | p50 / p99 | frames | memory per connection | handshakes |")
    print("|---|---|---|---|---|---|")
    for count in counts:
        with Folder() as folder:
            os.environ["WINDSOCK_CONNECTIONS_PER_ADDRESS"] = "20000"
            server = serve(folder)
            if hasattr(os, "sched_setaffinity") and os.cpu_count() == 2:
                os.sched_setaffinity(server.popen.pid, {0})
            measure(server, count)
            server.stop()


if __name__ == "__main__":
    main()
