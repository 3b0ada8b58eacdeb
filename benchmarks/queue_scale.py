"""How much is asked of each contestant, and what comes back."""

from dataclasses import dataclass

Cells = dict[str, float | str]  # a figure, or why there is none


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    submits: int = 5000
    wrk_s: int = 5
    drains: int = 20_000
    drain_s: float = 30.0  # a drain that takes longer is cut there
    ends: int = 300
    ends_s: float = 30.0  # no further sample after that
    sleeps: int = 2000
    sleepers: int = 1000
    idle_s: float = 10.0
    kill_s: float = 70.0


FULL = Scale()
QUICK = Scale(submits=1000, wrk_s=1, drains=2000, drain_s=4, ends=50, ends_s=3, sleeps=200, sleepers=100, idle_s=3)
