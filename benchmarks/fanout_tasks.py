"""The jobs that `fanout.py` watches, and a timed collection.

The node imports this file like any task file. Importing it makes the process print, on SIGUSR1, how many milliseconds a
full collection takes; the peers do the same.
"""

import asyncio
import gc
import math
import signal
import threading
import time

from windsock import Progress, task


@task
async def beacon(rate: float, phase: float, progress: Progress) -> None:
    """Says what time it is (ns) and which time it says so, `rate` times a second, until it is ended.

    `phase` is a part of the period, from 0 to 1; beacons of one rate and phase speak at the same moment.
    """
    period_s, number = 1 / rate, 0
    at = math.ceil(time.time() / period_s) * period_s + phase * period_s
    while True:
        await asyncio.sleep(at - time.time())
        number += 1
        progress.update(time.time_ns(), number)
        at += period_s
        if time.time() > at + period_s:  # a whole period behind: fewer updates, instead of a burst
            at = time.time()


def _collect(*_: object) -> None:
    began = time.perf_counter()
    gc.collect()
    print(f"{(time.perf_counter() - began) * 1e3:.1f}", flush=True)


if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGUSR1, _collect)
