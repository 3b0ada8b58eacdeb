"""What subscriptions of every kind have in common: how far they have come, how often they may speak, who shares one.

Clients that stand at one point are owed the same from there on, byte for byte. So they share one subscription, which
makes each frame once for all of them. One that falls behind gets a subscription of its own (`part`), and comes back to
the others when it stands where they do (`merge`). Pure.
"""

from collections.abc import Collection, Hashable
from copy import copy
from enum import IntEnum, auto
from typing import Any, Protocol, Self

from server.codec import JSON, Codec
from server.member import Member
from server.metrics import Traffic
from server.watcher import Watched

Frame = dict[str, Any]


class Phase(IntEnum):  # whose members are hashed at C speed: they are part of each point
    """How far a subscription has come."""

    OPENING = auto()
    REPLAY = auto()
    LIVE = auto()
    ENDED = auto()


class Pace:
    """Not more often than a client asked for: the first at once, the next after the interval."""

    __slots__ = ("interval_s", "last")

    def __init__(self, rate: float) -> None:
        self.interval_s = 1 / rate
        self.last = float("-inf")  # monotonic seconds

    def due_in(self, now: float, hidden_s: float | None) -> float:
        """Seconds until the next frame may go; 0 when it may go now."""
        return max(0.0, self.last + max(self.interval_s, hidden_s or 0.0) - now)


class Due(Protocol):
    """Where subscriptions wait that may have something to say."""

    def touch(self, subscription: "Subscription") -> None:
        """There may be news."""


class Subscription:
    """Tells its members of one source, frame by frame; all of them stand at the same point.

    Args:
        number: the clients' own, in every frame.
        source: what is told of; nobody is told of its news before the subscription is among its watchers.
        rate: updates per second, at most.
        traffic: where it is counted.
        codec: how the members want their frames.
        due: told of news.
    """

    __slots__ = (
        "_due",
        "_due_s",
        "_pace",
        "_stood",
        "_traffic",
        "ahead",
        "alarm",
        "behind",
        "codec",
        "done",
        "held",
        "hidden",
        "members",
        "number",
        "phase",
        "reading",
        "source",
    )
    kind = ""  # for the metrics

    def __init__(
        self,
        number: int,
        source: Watched,
        *,
        rate: float,
        traffic: Traffic | None = None,
        codec: Codec = JSON,
        due: Due | None = None,
    ) -> None:
        self.number = number
        self.source = source
        self.codec = codec
        self.phase = Phase.OPENING
        self.members: dict[Member, None] = {}
        self.hidden = False  # nobody looks: updates come rarely
        self.held = False  # it stands, and waits for a reply that has to go before its first frame
        self.behind = False  # something has to be read from the store before it can go on
        self.done = False  # the frame it gave last said all there is: asking for another is of no use
        self.ahead = False  # the clients have seen more elsewhere: the source has to be read from the store
        self.reading = False  # this is under way
        self.alarm: float | None = None  # monotonic seconds: when it will be asked without news
        self._due = due
        self._stood: Hashable = None  # the point at which the source has it for others to join
        self._due_s: float | None = None
        self._pace = Pace(rate)
        self._traffic = traffic or Traffic()

    @property
    def due_s(self) -> float | None:
        """Seconds after the last `next` at which to ask again; None: when there is news."""
        return self._due_s

    def next(self, now: float, room: int, hidden_s: float | None = None) -> Frame | None:
        """The next frame of at most about `room` bytes, or None: then see `due_s`, `behind` and `ahead`."""
        raise NotImplementedError

    def notify(self) -> None:
        """The source has news."""
        if self._due is not None:
            self._due.touch(self)

    def _frame(self, kind: str, **fields: Any) -> Frame:
        return {"type": str(kind), "sub": self.number, **fields}

    @property
    def _told(self) -> int:
        """How many clients hear what it says; while nobody has joined, the one it was made for."""
        return len(self.members) or 1

    # who shares it

    @property
    def point(self) -> Hashable:
        """Where it stands: equal points mean equal frames from here on. None while nobody can join."""
        if self.held or self.reading or self.alarm is not None:
            return None
        point = self._point()
        if point is None:
            return None
        return (self.codec.name, self.number, self.hidden, self._pace.interval_s, self.phase, point)

    def _point(self) -> Hashable:
        """The same, as far as it depends on the kind of subscription."""
        raise NotImplementedError

    def join(self, member: Member) -> None:
        """One more is told."""
        self._traffic.subscriptions[self.kind] += 1
        self._take(member)

    def _take(self, member: Member) -> None:
        self.members[member] = None
        member.subscriptions[self.number] = self

    def leave(self, member: Member) -> None:
        """One is told no more; without any, its source forgets it."""
        del self.members[member], member.subscriptions[self.number]
        self._traffic.subscriptions[self.kind] -= 1
        self._go_if_empty()

    def end(self) -> None:
        """Nothing follows: its number is free."""
        for member in list(self.members):
            self.leave(member)

    def part(self, members: Collection[Member]) -> Self:
        """Some of the members go on by themselves, from the same point; the subscription they now share."""
        other = self._copy()
        other.members, other.alarm, other._stood = {}, None, None
        other.reading = False  # whatever is being read comes to the others
        for member in list(members):
            del self.members[member]
            other._take(member)
        self.source.watchers[other] = None
        self._go_if_empty()
        return other

    def look(self, member: Member, *, hidden: bool) -> Self:
        """Whether one of the members is looked at; what it is told by from now on."""
        own = self if len(self.members) == 1 else self.part([member])
        own._stand_down()
        own.hidden = hidden
        return own

    def _copy(self) -> Self:
        other = copy(self)
        other._pace = copy(self._pace)
        return other

    def merge(self) -> None:
        """Become one with the subscription that stands at the same point, if there is one."""
        point = self.point
        if point is None:
            return
        other: Subscription | None = self.source.standing.get(point)
        if other is self:
            return
        if other is None or other.point != point:  # it has moved on
            self._stand(point)
            return
        few, many = (self, other) if len(self.members) <= len(other.members) else (other, self)
        many._pace.last = max(many._pace.last, few._pace.last)
        for member in few.members:
            many._take(member)
        few.members = {}
        few._go_if_empty()
        many._stand(point)

    def _stand(self, point: Hashable) -> None:
        self._stand_down()
        self.source.standing[point] = self
        self._stood = point

    def _stand_down(self) -> None:
        if self._stood is not None and self.source.standing.get(self._stood) is self:
            del self.source.standing[self._stood]
        self._stood = None

    def _go_if_empty(self) -> None:
        if not self.members:
            self._stand_down()
            self.source.unwatch(self)
