"""What clients are still to be told of one feed. Pure: state and a monotonic time in, frames out."""

from collections.abc import Hashable

from server.codec import JSON, Codec
from server.cursor import How
from server.metrics import Traffic
from server.protocol import DEFAULT_RATE, FrameType
from server.subscription import Due, Frame, Phase, Subscription
from server.window import Window

SUMMARY_WEIGHT = 700  # bytes, about: how many summaries fit in a batch


class FeedSubscription(Subscription):
    """Tells of one feed: snapshot, the rest of the window, live, then what changed."""

    __slots__ = ("_counts", "_generation", "_rest", "_revision", "window")
    kind = "feed"

    def __init__(
        self,
        number: int,
        window: Window,
        *,
        rate: float = DEFAULT_RATE,
        traffic: Traffic | None = None,
        codec: Codec = JSON,
        due: Due | None = None,
    ) -> None:
        super().__init__(number, window, rate=rate, traffic=traffic, codec=codec, due=due)
        self.window = window
        self._revision = 0
        self._generation = 0
        self._counts: dict[str, int] | None = None  # as last told
        self._rest: list[str] = []  # ids of the snapshot that did not fit into its batch

    def _point(self) -> Hashable:
        if self.phase is Phase.OPENING:
            return 0
        if self.phase is not Phase.LIVE:
            return None
        counts = None if self._counts is None else tuple(sorted(self._counts.items()))
        return (self._generation, self._revision, counts)

    def next(self, now: float, room: int, hidden_s: float | None = None) -> Frame | None:
        """The next frame of at most about `room` bytes, or None."""
        self._due_s, self.done = None, False
        if not self.window.loaded or self.phase is Phase.ENDED:
            return None
        most = max(1, room // SUMMARY_WEIGHT)
        if self.phase is Phase.OPENING or self._generation != self.window.generation:
            return self._snapshot(most)
        if self.phase is Phase.REPLAY:
            return self._replay(most)
        return self._live(now, most, hidden_s)

    def _snapshot(self, most: int) -> Frame:
        how = How.FRESH if self._generation == 0 else How.RESET
        self._traffic.snapshots[how.value] += self._told
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
        missed = max(0, diff.revision - self._revision - len(diff.jobs) - len(diff.gone))
        self._traffic.conflated += missed * self._told
        self._revision = diff.revision
        if self._revision == self.window.revision:
            self._pace.last, self.done = now, True
        self._remember_counts()
        jobs = [job.summary() for job in diff.jobs]
        return self._frame(FrameType.UPDATE, jobs=jobs, gone=diff.gone, counts=self._counts)

    def _remember_counts(self) -> None:
        counts = self.window.counts
        self._counts = dict(counts) if counts is not None else None
