"""What Redis has to do for a call: the commands inside scripts, counted, and the time that Redis itself took."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import redis

Call = Callable[[], Awaitable[Any]]
SCRIPTS = ("evalsha", "eval")
_OURS = (*SCRIPTS, "config", "info")  # all others ran inside a script


@dataclass(frozen=True)
class Cost:
    """What one call takes, in microseconds; and the commands inside the scripts of all calls, by name."""

    least_us: int
    median_us: int
    most_us: int
    commands: Counter[str]


async def weigh(client: redis.Redis, calls: list[Call]) -> Cost:
    """Make these calls, each of which runs a script or two. Nobody else may use this Redis meanwhile."""
    took: list[int] = []
    commands: Counter[str] = Counter()
    for call in calls:
        client.config_resetstat()
        await call()
        stats = {
            name.removeprefix("cmdstat_").partition("|")[0]: one for name, one in client.info("commandstats").items()
        }
        took.append(sum(stats[name]["usec"] for name in SCRIPTS if name in stats))
        commands += Counter({name: one["calls"] for name, one in stats.items() if name not in _OURS})
    took.sort()
    return Cost(took[0], took[len(took) // 2], took[-1], commands)
