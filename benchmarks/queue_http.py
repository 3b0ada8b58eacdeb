"""The row of submits by HTTP: wrk on one connection and on 32, then batches."""

import json
import re
import subprocess
import urllib.request
from shutil import which

from fanout_peers import Missing
from queue_contestants import PEERS, Contestant
from queue_scale import Cells, Scale
from queue_stage import REST, Stage

CONNECTIONS = 32


def http(contestant: Contestant, folder: str, scale: Scale) -> Cells:
    """Submits by HTTP: wrk on one connection and on 32, then batches.

    Raises:
        Missing: there is no wrk.
    """
    if contestant.server is None:
        return {"": "has none"}
    if not which("wrk"):
        raise Missing("wrk not found: apt-get install wrk")
    cells: Cells = {}
    with Stage(contestant, folder, scale.submits) as stage:
        server, url = stage.server()
        _wrk(url, 1, 1)  # warm
        before = _waiting(url)
        single = _wrk(url, 1, scale.wrk_s)
        cpu = server.cpu_s()
        many = _wrk(url, CONNECTIONS, scale.wrk_s)
        cpu = server.cpu_s() - cpu
        stored = _waiting(url) - before
        if stored < single["requests"] + many["requests"]:
            raise RuntimeError(f"{stored} of {single['requests'] + many['requests']:.0f} jobs are there")
        cells["HTTP submit, 1 connection, jobs/s"] = single["rate"]
        cells["HTTP submit, 1 connection, p50 ms"] = single["p50_ms"]
        cells["HTTP submit, 32 connections, jobs/s"] = many["rate"]
        cells["server CPU per HTTP submit, µs"] = cpu / many["requests"] * 1e6
        cells["HTTP, batches of 1,000, jobs/s"] = "has none"
        if contestant.posts:
            client = stage.client(REST, by_http=True)
            stage.submit(client, "one", 10)
            told = stage.submit(client, "batch", 2 * scale.submits)
            cells["HTTP, batches of 1,000, jobs/s"] = 2 * scale.submits / told["seconds"]
    return cells


def _waiting(url: str) -> int:
    with urllib.request.urlopen(f"{url}/api/jobs?limit=1", timeout=30) as answer:
        queued: int = json.load(answer)["counts"]["queued"]
    return queued


def _wrk(url: str, connections: int, seconds: int) -> dict[str, float]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(PEERS / "submit.lua")]
    said = subprocess.run([*command, f"{url}/api/jobs"], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"wrk: {' '.join(said.split())[-150:]}")
    p50 = re.search(r"50%\s+([\d.]+)(us|ms|s)", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    requests = re.search(r"(\d+) requests in", said)
    if not (p50 and rate and requests):
        raise RuntimeError(f"wrk said {said[:100]!r}")
    unit_ms = {"us": 1e-3, "ms": 1.0, "s": 1e3}[p50[2]]
    return {"p50_ms": float(p50[1]) * unit_ms, "rate": float(rate[1]), "requests": float(requests[1])}
