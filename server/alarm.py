"""What a process does when its loop stands still: count it, log it, say so on the job, show it in the list of nodes."""

import logging
from typing import Any

from server.blame import Blame
from server.insight import Insight
from server.marks import Marks
from server.metrics import Metrics
from server.settings import Settings
from server.watchdog import Watchdog
from server.worker import Worker

log = logging.getLogger("windsock.watchdog")


class Alarm:
    """Owns the watchdog of a process. Duties in call order: `start`, `describe`, `stop`."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._insight: Insight | None = None
        self._watchdog: Watchdog | None = None
        self.exits = False  # a process that only works ends itself when its loop stands still for `max_block_s`

    def start(self, worker: Worker | None) -> None:
        """Watch the loop that this is called on."""
        self._insight = worker.insight if worker is not None else None
        marks = self._insight.marks if self._insight is not None else Marks()
        self._watchdog = Watchdog(self._settings, marks, self._tell, exits=self.exits)
        if self._insight is not None:
            self._insight.watch(self._watchdog)
        self._watchdog.start()

    def _tell(self, blame: Blame) -> None:
        """Something blocked the loop for a while."""
        self._metrics.block(blame.task, blame.seconds)
        if blame.mark is None:
            log.warning("the loop was blocked for %.2f s at %s, by no job's code", blame.seconds, blame.place)
        else:
            job_id = blame.mark.job_id
            log.warning("job %s (%s) blocked the loop %.2f s at %s", job_id, blame.task, blame.seconds, blame.place)
        if self._insight is not None:
            self._insight.on_block(blame)

    def describe(self, lateness_s: float) -> dict[str, Any]:
        """For the list of nodes. From any thread.

        Args:
            lateness_s: of the loop, at the last beat.
        """
        late_s, blocked = lateness_s, None
        if self._watchdog is not None:
            late_s, blocked = max(lateness_s, self._watchdog.late_s), self._watchdog.describe()
        return {"loop_lag_ms": round(late_s * 1000, 1), "blocked": blocked}

    def stop(self) -> None:
        """Look no more."""
        if self._watchdog is not None:
            self._watchdog.stop()
