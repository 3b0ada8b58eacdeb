"""What Python's collector need not walk: what was there at the start, and connections that stay.

A full collection looks at each object that may be part of a circle, and nobody is served meanwhile. 15,000 idle
connections are 180,000 such objects, and walking them takes from 40 ms on a quiet machine to 200 on a busy one. They
are in no circle and go when they are let go of. So they are set aside (`gc.freeze`), some at a time, and a collection
looks at what came after them.

What is set aside and becomes part of a circle later is not found. So nothing is set aside while a job runs here, whose
objects may be of any kind; and all is walked once an hour, and when most connections have gone.
"""

import gc
import logging
from collections.abc import Callable

log = logging.getLogger("windsock.collector")
STEP = 1000  # more connections than when it was done last
WHOLE_S = 3600.0  # from one walk over all objects to the next


def calm() -> None:
    """What is there after the start stays: the collector need not look at it again, nor look so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


class Collector:
    """Owns what is set aside while a node serves.

    Args:
        works: whether a job runs in this process.
    """

    def __init__(self, works: Callable[[], bool]) -> None:
        self._works = works
        self._aside = 0  # connections that were open when it was done last
        self._whole_at = float("-inf")  # monotonic seconds: when all is walked next

    def settle(self, connections: int, now: float) -> None:
        """Set aside what is there, if there is much that was not yet.

        Args:
            connections: open now.
            now: monotonic seconds.
        """
        whole = self._aside > 0 and (connections < self._aside / 2 or now >= self._whole_at)
        if not (whole or connections >= self._aside + STEP) or self._works():
            return
        if whole:
            gc.unfreeze()
        if whole or not self._aside:
            self._whole_at = now + WHOLE_S
        gc.collect()
        gc.freeze()
        self._aside = connections
        log.debug("%d objects are set aside, with %d connections", gc.get_freeze_count(), connections)
