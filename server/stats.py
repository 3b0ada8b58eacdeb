"""What happens in the whole store, a second at a time, and the subscription that tells one client of it. Pure.

A node computes one `Stats` for all its clients, from the events it hears anyway.
"""

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from server.codec import JSON, Codec
from server.job import HELD, Job, JobState
from server.metrics import Traffic
from server.protocol import FrameType
from server.subscription import Due, Frame, Phase, Subscription
from server.watcher import Watched
from server.window import Match, Window

SECONDS = 60  # that the percentiles look back
STEPS = ("submitted", "started", "succeeded", "failed", "cancelled")
FINE = 6  # binary digits of a duration that are kept: it is told with an error under 2 %


class Recent:
    """The durations of the last minute, by second, in buckets: bounded whatever their number."""

    def __init__(self) -> None:
        self._seconds: deque[Counter[int]] = deque([Counter()], maxlen=SECONDS)

    def add(self, duration_ms: int) -> None:
        """One more in this second."""
        shift = max(0, max(0, duration_ms).bit_length() - FINE)
        low = max(0, duration_ms) >> shift << shift
        self._seconds[-1][low + (1 << shift >> 1)] += 1  # the middle of its bucket

    def next_second(self) -> None:
        """A second is over."""
        self._seconds.append(Counter())

    def percentiles(self) -> dict[str, int | None]:
        """p50 and p99 in milliseconds; None where nothing happened."""
        total: Counter[int] = Counter()
        for second in self._seconds:
            total.update(second)
        return {"p50": _percentile(total, 50), "p99": _percentile(total, 99)}


def _percentile(total: "Counter[int]", percent: int) -> int | None:
    """The least duration that is not exceeded by so many percent (nearest rank)."""
    wanted = total.total() * percent / 100
    below = 0
    for duration_ms in sorted(total):
        below += total[duration_ms]
        if below >= wanted:
            return duration_ms
    return None


class Stats(Watched):
    """Counts the steps of all jobs and makes the fields of a `stats` frame of them, once a second."""

    def __init__(self, traffic: Traffic) -> None:
        super().__init__()
        self._traffic = traffic
        self.number = 0  # of the present fields
        self.fields: dict[str, Any] | None = None  # of the frame; None until the first second is over
        self.begin(0.0)

    def begin(self, now: float) -> None:
        """Count anew from this monotonic time on: nobody has listened before."""
        self._since = now
        self._steps: Counter[str] = Counter()
        self._told = self._totals()
        self._pickup, self._run = Recent(), Recent()
        self.fields = None

    def _totals(self) -> dict[str, int]:
        traffic = self._traffic
        return {
            "frames_out": traffic.frames_out,
            "bytes_out": traffic.bytes_out,
            "conflated": traffic.conflated,
        }

    def note(self, job: Job, was: JobState | None, gone: bool) -> None:
        """One change of one job."""
        if gone or was is job.state:
            return
        if was is None:
            self._steps["submitted"] += 1
        elif job.ended:
            self._steps[job.state.value] += 1
            if was in HELD and job.started_at is not None and job.finished_at is not None:
                self._run.add(job.finished_at - job.started_at)
        elif job.state is JobState.RUNNING:
            self._steps["started"] += 1
            waited_ms = job.waited_ms
            if waited_ms is not None:
                self._pickup.add(waited_ms)

    def tick(self, now: float, counts: Mapping[str, int], nodes: Iterable[Mapping[str, Any]], lag_ms: float) -> None:
        """A second is over.

        Args:
            now: monotonic seconds.
            counts: jobs by state.
            nodes: the processes alive, as they describe themselves.
            lag_ms: lateness of this node's loop.
        """
        elapsed = max(0.001, now - self._since)
        totals = self._totals()
        alive = list(nodes)
        self.number += 1
        self.fields = {
            **{step: round(self._steps[step] / elapsed, 1) for step in STEPS},
            "queued": counts.get("queued", 0),
            "scheduled": counts.get("scheduled", 0),
            "running": counts.get("running", 0) + counts.get("cancelling", 0),
            "clients": sum(node.get("clients", 0) for node in alive),
            "subscriptions": sum(node.get("subscriptions", 0) for node in alive),
            "nodes": len(alive),
            "loop_lag_ms": lag_ms,
            **{name: round((total - self._told[name]) / elapsed) for name, total in totals.items()},
            "pickup_ms": self._pickup.percentiles(),
            "run_ms": self._run.percentiles(),
        }
        self._since, self._steps, self._told = now, Counter(), totals
        self._pickup.next_second()
        self._run.next_second()


class Census(Window):
    """The feed of all jobs, without the jobs: only how many there are in each state, and what happens to them."""

    def __init__(self, stats: Stats) -> None:
        super().__init__(Match(), 0)  # no client can ask for a limit of 0, so nobody shares it
        self._stats = stats

    def apply(self, seq: int, job: Job, was: JobState | None, gone: bool) -> bool:
        """Take in one change. Nobody has to be told: the second will be over soon enough."""
        self._stats.note(job, was, gone)
        super().apply(seq, job, was, gone)
        return False

    def _place(self, job: Job, gone: bool) -> None:
        """It holds none."""


class StatsSubscription(Subscription):
    """Tells how it goes: a frame for each second, without snapshot, live or end."""

    __slots__ = ("_number_told", "_stats")
    kind = "stats"

    def __init__(
        self,
        number: int,
        stats: Stats,
        *,
        traffic: Traffic | None = None,
        codec: Codec = JSON,
        due: Due | None = None,
    ) -> None:
        super().__init__(number, stats, rate=1000.0, traffic=traffic, codec=codec, due=due)  # as they come
        self.phase = Phase.LIVE
        self._stats = stats
        self._number_told = 0

    def _point(self) -> Hashable:
        return self._number_told

    def next(self, now: float, room: int, hidden_s: float | None = None) -> Frame | None:
        """The latest second, if it was not told yet."""
        self._due_s = None
        if self._stats.fields is None or self._number_told == self._stats.number:
            return None
        wait = self._pace.due_in(now, hidden_s)
        if wait > 0:
            self._due_s = wait
            return None
        self._number_told, self._pace.last = self._stats.number, now
        return self._frame(FrameType.STATS, **self._stats.fields)
