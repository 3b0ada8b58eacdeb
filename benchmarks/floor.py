"""Tornado's own floor on this machine: a handler that parses a small JSON body and answers 202, nothing else.

What a submit costs beyond this is ours.
"""

import asyncio
import json
import multiprocessing
import os
import time

from processes import Http, percentile
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

PORT = 8944
REQUESTS = 3000
AT_ONCE = 32


class Floor(RequestHandler):
    """Parses and answers."""

    async def post(self) -> None:
        """202 with what came."""
        body = json.loads(self.request.body)
        self.set_status(202)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"id": "0" * 26, **body}))


def serve() -> None:
    """The server's process."""

    async def main() -> None:
        application = Application([("/api/jobs", Floor)], log_function=lambda handler: None)
        server = HTTPServer(application, idle_connection_timeout=10, body_timeout=60)
        server.listen(PORT, "127.0.0.1")
        await asyncio.Event().wait()

    asyncio.run(main())


def cpu_s(pid: int) -> float:
    """CPU seconds of a process."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def ask(pid: int) -> None:
    """One connection, then several."""
    url, body = f"http://127.0.0.1:{PORT}", b'{"task":"noop"}'
    http = await Http(url).open()
    times = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        await http.post("/api/jobs", body)
        times.append(time.perf_counter() - began)
    connections = [await Http(url).open() for _ in range(AT_ONCE)]

    async def some(one: Http) -> None:
        for _ in range(300):
            await one.post("/api/jobs", body)

    cpu, began = cpu_s(pid), time.perf_counter()
    await asyncio.gather(*(some(one) for one in connections))
    total = AT_ONCE * 300
    print(f"one connection, p50: {percentile(times, 0.5) * 1e3:.2f} ms")
    print(f"{AT_ONCE} connections: {total / (time.perf_counter() - began):,.0f}/s")
    print(f"CPU per request: {(cpu_s(pid) - cpu) / total * 1e6:.0f} µs")


def main() -> None:
    """Server in one process, client in the other."""
    server = multiprocessing.get_context("spawn").Process(target=serve, daemon=True)
    server.start()
    time.sleep(1)
    asyncio.run(ask(server.pid or 0))
    server.terminate()


if __name__ == "__main__":
    main()
