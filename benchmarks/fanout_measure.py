"""One cell: a contestant in a scenario, started, measured and ended."""

import time
from dataclasses import dataclass
from typing import Protocol

from fanout_load import Load
from fanout_running import CORES, Running, cores_cpu_s
from fanout_scenarios import Scenario

SETTLE_S = 2.0
BURST = 5000  # connections opened as fast as possible, for handshakes per second


class Contestant(Protocol):
    """Windsock or a peer."""

    @property
    def name(self) -> str:
        """As the tables say it."""

    @property
    def what(self) -> str:
        """What it does, in a few words."""

    def start(self, scenario: Scenario, folder: str) -> Running:
        """Start it."""


@dataclass(frozen=True)
class FanOut:
    """What one contestant took for the updates of one scenario."""

    cpu_us: float  # of the server, for each update that a client got
    p50_ms: float  # publish → client has read it
    p99_ms: float
    updates_s: float  # that clients got
    part: float  # of those that clients would have got with nothing joined away or lost, at the wanted rate
    rate: float  # updates published per second, in a room
    skipped: float  # part of the published that a client did not get: newer ones overtook them, or they were lost
    joined: float  # updates in a message
    size: float  # bytes per update, as they come from the socket
    server_load: float  # part of its core
    others_load: float  # part of the other cores, whoever kept them busy
    client_load: float  # the clients' own part of that
    closed: int  # connections that were ended
    silent: int  # rooms of clients that got nothing


@dataclass(frozen=True)
class Idle:
    """What many connections cost that are only held."""

    handshakes_s: float
    memory_kib: float  # for each
    collect_ms: float | None


def fan_out(contestant: Contestant, scenario: Scenario, folder: str, seconds: float) -> FanOut:
    """Open all clients, publish, count once it flows.

    Raises:
        Missing, RuntimeError: it cannot be measured.
    """
    with contestant.start(scenario, folder) as running, Load(running, scenario.each, folder) as load:
        load.open(scenario.clients)
        running.begin()
        load.count(SETTLE_S)
        cpu, others = running.cpu_s(), cores_cpu_s(CORES[1:])
        seen = load.count(seconds)
        cpu, others = running.cpu_s() - cpu, cores_cpu_s(CORES[1:]) - others
    if not seen["updates"]:
        raise RuntimeError("no updates came")
    updates, took = seen["updates"], seen["seconds"]
    return FanOut(
        cpu_us=cpu / updates * 1e6,
        p50_ms=seen["p50_ms"],
        p99_ms=seen["p99_ms"],
        updates_s=updates / took,
        part=updates / took / scenario.wanted,
        rate=seen["published"] / took,
        skipped=seen["missed"] / (updates + seen["missed"]),
        joined=updates / seen["messages"],
        size=seen["bytes"] / updates,
        server_load=cpu / took,
        others_load=others / took / max(1, len(CORES) - 1),
        client_load=seen["cpu_s"] / took,
        closed=seen["closed"],
        silent=seen["silent"],
    )


def idle(contestant: Contestant, scenario: Scenario, folder: str) -> Idle:
    """A burst of handshakes, then the rest of the connections; what is held, and one collection.

    Raises:
        Missing, RuntimeError: it cannot be measured.
    """
    with contestant.start(scenario, folder) as running, Load(running, scenario.each, folder) as load:
        before = running.memory_kib()
        burst = load.open(min(BURST, scenario.clients))
        load.open(scenario.clients)
        time.sleep(SETTLE_S)
        held = running.memory_kib() - before
        if (closed := load.count(0.1)["closed"]) > 0:
            raise RuntimeError(f"{closed} connections were ended")
        return Idle(burst["opened"] / burst["seconds"], held / scenario.clients, running.collect_ms())
