"""What a person feels: submit, update → client, submit → end, cancel, a killed worker, a restart. `make bench` runs it.

Everything goes to loopback and stops by itself, in about two minutes. Figures of a run are in README.md beside this
file.
"""

import asyncio
import json
import subprocess
import time

from felt_crowd import among, storm
from felt_table import both, row, show
from felt_watcher import Watcher
from processes import TASKS, Folder, Http, Process, serve


async def submits(folder: str) -> None:
    """POST → 202 on one connection, then on 32, of a server that runs no jobs itself."""
    server = serve(folder, "--no-worker")
    url = server.url
    body = b'{"task":"noop"}'
    http = await Http(url).open()
    for _ in range(200):
        await http.post("/api/jobs", body)
    times = []
    for _ in range(3000):
        began = time.perf_counter()
        await http.post("/api/jobs", body)
        times.append(time.perf_counter() - began)
    row("POST → 202, one connection, p50 / p99", both(times), "0.4 ms p50")
    connections = [await Http(url).open() for _ in range(32)]

    async def some(one: Http) -> None:
        for _ in range(300):
            await one.post("/api/jobs", body)

    cpu, began = server.cpu_s(), time.perf_counter()
    await asyncio.gather(*(some(one) for one in connections))
    row("POST → 202, 32 connections", f"{32 * 300 / (time.perf_counter() - began):,.0f}/s", "5,500/s")
    row("  server CPU per submit", f"{(server.cpu_s() - cpu) / 9600 * 1e6:.0f} µs", "")
    for one in (http, *connections):
        one.close()
    server.stop()


async def updates(url: str) -> None:
    """progress.update → client, on an idle node, each one the first after a pause."""
    watcher = await Watcher.open(url)
    body = json.dumps({"task": "stamps", "args": {"count": 200, "pause_s": 0.06}}).encode()
    answer = await (await Http(url).open()).post("/api/jobs", body)
    await watcher.send({"type": "subscribe", "sub": 1, "job": json.loads(answer)["id"], "rate": 20})
    row("update → one client, idle node, p50 / p99", both(await watcher.late()), "3 / 10 ms")
    watcher.connection.close()


async def ends(url: str) -> None:
    """POST → first line of the job, and → its end at the watcher."""
    watcher = await Watcher.open(url)
    starts, ended = [], []
    for number in range(300):
        began = time.time()
        await watcher.send({"type": "submit", "id": number, "task": "first_line", "sub": 1})
        frame = await watcher.until(lambda frame: frame["type"] == "end")
        ended.append(time.time() - began)
        starts.append(frame["job"]["result"] - began)
        await asyncio.sleep(0.06)
    row("submit → first line of the job, p50 / p99", both(starts), "2 / 5 ms")
    row("submit → end at the watcher, p50 / p99", both(ended), "3 / 8 ms")
    watcher.connection.close()


async def cancels(url: str) -> None:
    """cancel of a running coroutine → the end at the client."""
    watcher = await Watcher.open(url)
    times = []
    for number in range(100):
        await watcher.send({"type": "submit", "id": number, "task": "forever", "sub": 1})
        frame = await watcher.until(lambda frame: frame["type"] == "update" and frame["job"]["progress"] is not None)
        began = time.perf_counter()
        await watcher.send({"type": "cancel", "id": 1000 + number, "job": frame["job"]["id"]})
        await watcher.until(lambda frame: frame["type"] == "end")
        times.append(time.perf_counter() - began)
        await asyncio.sleep(0.15)  # two commands each time, and a connection may send 20 a second
    row("cancel → end at the client, p50 / p99", both(times), "20 / 100 ms")
    watcher.connection.close()


async def counts(url: str) -> dict[str, int]:
    """Jobs by state."""
    reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
    writer.write(b"GET /api/jobs?limit=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    data = await reader.read()
    writer.close()
    found: dict[str, int] = json.loads(data.split(b"\r\n\r\n", 1)[1])["counts"]
    return found


async def drain(folder: str) -> None:
    """20,000 no-ops that wait, run by one worker process."""
    server = serve(folder, "--no-worker")
    total = 20_000
    connections = [await Http(server.url).open() for _ in range(16)]

    async def some(one: Http) -> None:
        for _ in range(total // 16):
            await one.post("/api/jobs", b'{"task":"noop"}')
        one.close()

    await asyncio.gather(*(some(one) for one in connections))
    worker = Process("worker", "--tasks", TASKS, "--data-dir", folder)
    cpu, began = worker.cpu_s(), time.perf_counter()
    while (await counts(server.url))["succeeded"] < total:
        await asyncio.sleep(0.05)
    took = time.perf_counter() - began
    row("no-op coroutine jobs, one worker", f"{total / took:,.0f}/s", "8,000/s")
    row("worker CPU per 1,000 jobs", f"{(worker.cpu_s() - cpu) / total * 1000:.3f} s", "0.12 s")
    worker.stop()
    server.stop()


async def crash(folder: str) -> None:
    """kill -9 of a worker → its job runs again elsewhere."""
    server = serve(folder, "--no-worker")
    first = Process("worker", "--tasks", TASKS, "--data-dir", folder)
    watcher = await Watcher.open(server.url)
    await watcher.send({"type": "submit", "id": 1, "task": "forever", "sub": 1})
    frame = await watcher.until(lambda frame: frame["type"] == "update" and frame["job"]["progress"] is not None)
    second = Process("worker", "--tasks", TASKS, "--data-dir", folder)
    await asyncio.sleep(2)
    first.kill()
    began = time.perf_counter()
    await watcher.until(lambda frame: frame["type"] == "update" and frame["job"]["attempt"] == 2)
    await watcher.until(lambda frame: frame["type"] == "update" and frame["job"]["state"] == "running")
    row("worker killed → job runs again, watcher told", f"{time.perf_counter() - began:.1f} s", "10 s")
    await watcher.send({"type": "cancel", "id": 2, "job": frame["job"]["id"]})
    watcher.connection.close()
    for process in (second, server):
        process.stop()


async def main() -> None:
    """All of it, then the table."""
    print("commit", subprocess.getoutput("git rev-parse --short HEAD"))
    with Folder() as folder:
        server = serve(folder)
        await asyncio.sleep(2)
        row("idle node, memory", f"{server.memory_mib():.0f} MiB", "60 MiB")
        for measure in (updates, ends, cancels):
            await measure(server.url)
        for watchers in (100, 1000):
            await among(watchers, server.url)
        server.stop()
    for life in (submits, drain, crash, storm):
        with Folder() as folder:
            await life(folder)
    show()


if __name__ == "__main__":
    asyncio.run(main())
