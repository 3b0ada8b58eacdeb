"""All that one connection is to tell: jobs, feeds, stats, and how frames reach them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from windsock.watched import Frame, LogWish, Watched


class Subscription(Protocol):
    """One thing that is watched."""

    sub: int

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""

    def subscribe(self) -> Frame:
        """The wish to be told, from where it stands."""

    def apply(self, frame: Frame) -> Frame | None:
        """Take a frame of this subscription; what of it is new, or None."""


@dataclass(slots=True)
class Watch:
    """All that is watched, by subscription."""

    told: dict[int, Subscription] = field(default_factory=dict)
    stale: str = ""  # why what is shown may be old; "" when it is not
    _last: int = 0

    @classmethod
    def of(cls, job_ids: Iterable[str], log: LogWish, after: Mapping[str, str] | None = None) -> "Watch":
        """A watch of these jobs, from the cursors in `after`; the same job twice counts once."""
        watch = cls()
        for job_id in dict.fromkeys(job_ids):
            cursor = (after or {}).get(job_id)
            watch.add(Watched(job_id, watch.free(), log, cursor=cursor, shown=cursor))
        return watch

    def free(self) -> int:
        """A number that no subscription has had."""
        self._last += 1
        return self._last

    def add(self, one: Subscription) -> Subscription:
        """Watch this too."""
        self.told[one.sub] = one
        return one

    def drop(self, sub: int) -> Frame:
        """Watch this no more; the frame that says so."""
        self.told.pop(sub, None)
        return {"type": "unsubscribe", "id": sub, "sub": sub}

    @property
    def jobs(self) -> dict[int, Watched]:
        """The jobs among it."""
        return {sub: one for sub, one in self.told.items() if isinstance(one, Watched)}

    def hello(self) -> Frame:
        """The first frame of a connection: all that is not done, from where it stands."""
        return {"type": "hello", "subscribe": [one.subscribe() for one in self.told.values() if not one.done]}

    def apply(self, frame: Frame) -> Frame | None:
        """Take a frame of the server; what of it is new, or None."""
        kind = frame["type"]
        if kind == "stale":
            self.stale = str(frame.get("why") or "the server lost its store")
            return frame
        if kind in ("fresh", "welcome"):
            was_stale, self.stale = self.stale, ""
            return frame if kind == "fresh" and was_stale else None
        one = self.told.get(frame.get("sub", 0))
        return None if one is None else one.apply(frame)

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return all(one.done for one in self.told.values())
