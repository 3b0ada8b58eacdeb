"""Windsock as a contestant: a node without a worker, measured; its worker and its private Redis beside the clients."""

import asyncio
import json
import os
import tempfile

from fanout_running import Running
from fanout_scenarios import Scenario
from processes import ROOT, Http, Process, serve

TASKS = str(ROOT / "benchmarks" / "fanout_tasks.py")
SLOTS = 10  # as in peers/publishing.py
PATIENT = {  # all clients come from one machine and none comes back later: nobody is to be sent away
    "WINDSOCK_CONNECTIONS_PER_ADDRESS": "20000",
    "WINDSOCK_GREETING": "20000",
    "WINDSOCK_ACCEPT_S": "60",
    "WINDSOCK_HELLO_S": "60",
}


async def submit(url: str, scenario: Scenario) -> list[str]:
    """One job for each room; their ids."""
    http = await Http(url).open()
    ids = []
    for room in range(scenario.rooms):
        args = {"rate": scenario.rate, "phase": 0.0 if scenario.together else room % SLOTS / SLOTS}
        job = json.dumps({"task": "beacon", "args": args}).encode()
        ids.append(json.loads(await http.post("/api/jobs", job))["id"])
    http.close()
    return ids


def hello(jobs: list[str]) -> str:
    """The first message of a client that watches these."""
    subscribes = [{"sub": sub, "job": job, "rate": 20} for sub, job in enumerate(jobs, 1)]
    return json.dumps([{"type": "hello", "subscribe": subscribes}])


class Windsock:
    """The contestant all this is for."""

    name = "windsock"
    what = "subscriptions to jobs"

    def start(self, scenario: Scenario, folder: str) -> Running:
        """Start the node and submit the jobs, which wait for a worker, with all data in a new folder in `folder`.

        Raises:
            RuntimeError: it does not start.
        """
        os.environ.update(PATIENT)
        data = tempfile.mkdtemp(dir=folder)
        node = serve(data, "--no-worker", "--tasks", TASKS)
        try:
            jobs = asyncio.run(submit(node.url, scenario))
        except BaseException:
            node.stop()
            raise
        plan = [("/api/stream", hello([jobs[room] for room in block])) for block in scenario.blocks()]
        port, live = int(node.url.rsplit(":", 1)[1]), '"type":"live"'
        return Running(
            port,
            node.popen.pid,
            node.popen,
            plan,
            live,
            "windsock.v1.json",
            collects=True,
            publisher=lambda: Process(
                "worker", "--tasks", TASKS, "--data-dir", data, "--slots", "1000", "--drain", "0"
            ),
        )
