"""What one client is still to be told of one feed. Pure: state and a monotonic time in, frames out."""

from collections.abc import Callable
from typing import Any

from server.cursor import How
from server.metrics import Traffic
from server.pace import Frame, Pace, Phase, nobody
from server.protocol import DEFAULT_RATE, FrameType
from server.window import Window

SUMMARY_WEIGHT = 700  # bytes, about: how many summaries fit in a batch


class FeedSubscription:
    """Tells one client of one feed: snapshot, the rest of the window, live, then what changed."""

    __slots__ = (
        "_counts",
        "_due_s",
        "_generation",
        "_pace",
        "_rest",
        "_revision",
        "_traffic",
        "behind",
        "notify",
        "number",
        "phase",
        "window",
    )
    kind = "feed"

    def __init__(
        self, number: int, window: Window, *, rate: float = DEFAULT_RATE, traffic: Traffic | None = None
    ) -> None:
        self.number = number
        self._traffic = traffic or Traffic()  # where it is counted
        self.window = window
        self.phase = Phase.OPENING
        self.behind = False
        self.notify: Callable[[], None] = nobody
        self._pace = Pace(rate)
        self._revision = 0
        self._generation = 0
        self._counts: dict[str, int] | None = None  # as last told
        self._rest: list[str] = []  # ids of the snapshot that did not fit into its batch
        self._due_s: float | None = None

    @property
    def due_s(self) -> float | None:
        """Seconds after the last `next` at which to ask again; None: when there is news."""
        return self._due_s

    def next(self, now: float, room: int, hidden_s: float | None = None) -> Frame | None:
        """The next frame of at most about `room` bytes, or None."""
        self._due_s = None
        if not self.window.loaded or self.phase is Phase.ENDED:
            return None
        most = max(1, room // SUMMARY_WEIGHT)
        if self.phase is Phase.OPENING or self._generation != self.window.generation:
            return self._snapshot(most)
        if self.phase is Phase.REPLAY:
            return self._replay(most)
        return self._live(now, most, hidden_s)

    def _frame(self, kind: FrameType, **fields: Any) -> Frame:
        return {"type": kind.value, "sub": self.number, **fields}

    def _snapshot(self, most: int) -> Frame:
        how = How.FRESH if self._generation == 0 else How.RESET
        self._traffic.snapshots[how.value] += 1
        self.phase = Phase.REPLAY
        self._generation, self._revision = self.window.generation, self.window.revision
        jobs = self.window.jobs
        self._rest = [job.id for job in jobs[most:]]
        self._remember_counts()
        return self._frame(
            FrameType.SNAPSHOT,
            jobs=[job.summary() for job in jobs[:most]],
            counts=self._counts,
            how=how.value,
        )

    def _replay(self, most: int) -> Frame:
        if not self._rest:
            self.phase = Phase.LIVE
            return self._frame(FrameType.LIVE)
        ids, self._rest = set(self._rest[:most]), self._rest[most:]
        jobs = [job.summary() for job in self.window.jobs if job.id in ids]
        return self._frame(FrameType.UPDATE, jobs=jobs, gone=[], counts=self._counts)

    def _live(self, now: float, most: int, hidden_s: float | None) -> Frame | None:
        if self._revision == self.window.revision and self._counts == self.window.counts:
            return None
        wait = self._pace.due_in(now, hidden_s)
        if wait > 0:
            self._due_s = wait
            return None
        diff = self.window.since(self._revision, most)
        if diff is None:  # too far behind: what left meanwhile is no longer known
            return self._snapshot(most)
        self._traffic.conflated += max(0, diff.revision - self._revision - len(diff.jobs) - len(diff.gone))
        self._revision = diff.revision
        if self._revision == self.window.revision:
            self._pace.last = now
        self._remember_counts()
        jobs = [job.summary() for job in diff.jobs]
        return self._frame(FrameType.UPDATE, jobs=jobs, gone=diff.gone, counts=self._counts)

    def _remember_counts(self) -> None:
        counts = self.window.counts
        self._counts = dict(counts) if counts is not None else None
