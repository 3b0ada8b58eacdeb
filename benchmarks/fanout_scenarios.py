"""What is asked of every contestant: how many rooms, how many clients in how many rooms each, how many updates.

A room is a job of Windsock, a channel of nchan, a set of connections elsewhere.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """One table of the report."""

    name: str
    title: str
    rooms: int
    clients: int
    each: int = 1  # rooms of a client
    rate: float = 10.0  # updates per second in a room; 0: none, connections are only held
    together: bool = False  # all rooms at the same moment, else spread over ten slots of a period

    @property
    def wanted(self) -> float:
        """Updates per second that clients would get if nothing were joined away or lost."""
        return self.clients * self.each * self.rate

    def blocks(self) -> list[list[int]]:
        """The rooms of the first client, of the second, …; then again from the first."""
        return [list(range(first, first + self.each)) for first in range(0, self.rooms, self.each)]


SCENARIOS = (
    Scenario("1000", "1 room, 1,000 clients, 10 updates/s", rooms=1, clients=1000),
    Scenario("5000", "1 room, 5,000 clients, 10 updates/s", rooms=1, clients=5000),
    Scenario("fast", "1,000 clients in 5 rooms each, 20 updates/s a room", rooms=5, clients=1000, each=5, rate=20),
    Scenario("busy", "1,000 clients in 10 rooms each, 10 updates/s a room", rooms=10, clients=1000, each=10),
    Scenario("rooms", "500 rooms of 10 clients, 10 updates/s a room", rooms=500, clients=5000),
    Scenario(
        "joined",
        "1,000 clients in 10 rooms each, 10 updates/s a room, all rooms at once",
        rooms=10,
        clients=1000,
        each=10,
        together=True,
    ),
    Scenario("idle", "15,000 idle connections in 1 room", rooms=1, clients=15_000, rate=0),
)
QUICK = (
    SCENARIOS[0],
    SCENARIOS[4],
    Scenario("idle", "3,000 idle connections in 1 room", rooms=1, clients=3000, rate=0),
)
