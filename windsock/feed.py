"""What is held of a live list of jobs, and of the numbers of a store. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from windsock.job import Job
from windsock.watched import Frame, version

Filter = Mapping[str, str | Sequence[str]]


@dataclass(slots=True)
class WatchedFeed:
    """The newest jobs that match a filter."""

    sub: int
    filter: Filter
    limit: int = 100
    rate: float | None = None  # updates a second; None: the server's default
    jobs: dict[str, Job] = field(default_factory=dict)
    counts: Mapping[str, int] | None = None  # jobs by state, where the server counts them
    live: bool = False  # the window is complete
    changed: tuple[Job, ...] = ()  # by the last frame
    gone: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """A feed has no end."""
        return False

    @property
    def window(self) -> tuple[Job, ...]:
        """The jobs, newest first."""
        return tuple(sorted(self.jobs.values(), key=lambda job: job.id, reverse=True))

    def subscribe(self) -> Frame:
        """The wish to be told; there is no cursor."""
        frame: Frame = {"type": "subscribe", "sub": self.sub, "feed": dict(self.filter), "limit": self.limit}
        return frame if self.rate is None else {**frame, "rate": self.rate}

    def apply(self, frame: Frame) -> Frame | None:
        """Take a frame of this subscription; the frame, if it changes anything."""
        kind = frame["type"]
        if kind == "live":
            self.live, self.changed, self.gone = True, (), ()
            return frame
        if kind not in ("snapshot", "update"):
            return frame if kind == "error" else None
        if kind == "snapshot":
            self.live = False
            self.jobs.clear()
        self.counts = frame.get("counts")
        self.changed = tuple(Job.of(told) for told in frame["jobs"] if self._newer(told))
        self.gone = tuple(frame.get("gone", ()))
        self.jobs |= {job.id: job for job in self.changed}
        for job_id in self.gone:
            self.jobs.pop(job_id, None)
        return frame

    def _newer(self, told: Frame) -> bool:
        held = self.jobs.get(told["id"])
        return held is None or (version(told) or 0) >= (version(dict(held.raw)) or 0)


@dataclass(slots=True)
class WatchedStats:
    """How a whole store goes, once a second."""

    sub: int

    @property
    def done(self) -> bool:
        """They have no end."""
        return False

    def subscribe(self) -> Frame:
        """The wish to be told."""
        return {"type": "subscribe", "sub": self.sub, "stats": True}

    def apply(self, frame: Frame) -> Frame | None:
        """Take a frame of this subscription."""
        return frame if frame["type"] in ("stats", "error") else None
