"""What all clients of a node still have to be told: replies in order, and subscriptions with news. Pure.

`compose` makes one batch for each client that is owed something. A frame is made and encoded once for all who share its
subscription, and clients that are owed the same frames share the batch, down to the bytes that leave. A client whose
last batch is under way is passed over; what changes meanwhile is conflated by its subscriptions.
"""

import itertools
from collections.abc import Callable
from heapq import heappop, heappush

from server.codec import Codec
from server.member import Member
from server.subscription import Phase, Subscription


class Batch:
    """Frames that leave together; a chain, so that batches with the same beginning share it."""

    __slots__ = ("_before", "_message", "count", "frame", "size")

    def __init__(self, before: "Batch | None", frame: bytes) -> None:
        self._before = before
        self._message: bytes | None = None
        self.frame = frame
        self.count: int = 1 if before is None else before.count + 1  # of frames
        self.size: int = len(frame) if before is None else before.size + len(frame)  # bytes

    @property
    def frames(self) -> list[bytes]:
        """In order."""
        found: list[bytes] = []
        batch: Batch | None = self
        while batch is not None:
            found.append(batch.frame)
            batch = batch._before
        found.reverse()
        return found

    def message(self, codec: Codec) -> bytes:
        """As it leaves; made once."""
        if self._message is None:
            self._message = codec.join(self.frames)
        return self._message


class Outbox:
    """Owns who is owed something, and the batches composed and not yet sent.

    Args:
        max_bytes: of one batch, about.
        hidden_s: a hidden page is told of changes so rarely.
        attend: called with a subscription that needs a read (`behind`, `ahead`).
        fail: called with a subscription that cannot say what it owes, and why.
    """

    def __init__(
        self,
        max_bytes: int,
        hidden_s: float,
        attend: Callable[[Subscription], None],
        fail: Callable[[Subscription, Exception], None],
    ) -> None:
        self._max_bytes = max_bytes
        self._hidden_s = hidden_s
        self._attend = attend
        self._fail = fail
        self._due: dict[Subscription, None] = {}  # there may be news
        self._callers: dict[Member, None] = {}  # have replies
        self._alarms: list[tuple[float, int, Subscription]] = []  # heap by monotonic seconds
        self._numbers = itertools.count()
        self.slow: dict[Member, None] = {}  # the kernel has not taken the whole last batch
        self.full: dict[Member, None] = {}  # owed more than one batch holds: to be asked again when it is sent
        self.batches: dict[Member, Batch] = {}  # composed, not yet sent

    def __bool__(self) -> bool:
        return bool(self._due or self._callers)

    @property
    def alarm(self) -> float | None:
        """Monotonic seconds: when to compose although nobody has news."""
        return self._alarms[0][0] if self._alarms else None

    # who is owed something

    def touch(self, subscription: Subscription) -> None:
        """There may be news of this one."""
        if not subscription.held:
            self._due[subscription] = None

    def call(self, member: Member) -> None:
        """It has been replied to."""
        self._callers[member] = None

    def owe(self, member: Member) -> None:
        """Whatever this client is owed."""
        if member.replies:
            self.call(member)
        for subscription in member.subscriptions.values():
            self.touch(subscription)

    def forget(self, member: Member) -> None:
        """It is gone."""
        for table in (self._callers, self.slow, self.full, self.batches):
            table.pop(member, None)

    def take_full(self) -> list[Member]:
        """Those that were owed more than their last batch could hold, and have taken it."""
        full, self.full = self.full, {}
        return [member for member in full if member not in self.slow]

    # one batch each

    def compose(self, now: float) -> None:
        """Fill `batches`; the next time is when they are sent, and there is news or an `alarm`."""
        self._ring(now)
        callers, self._callers = self._callers, {}
        for member in callers:
            if member not in self.slow:  # it will be asked when the kernel has taken its last batch
                self._answer(member)
        while self._due:  # one frame from each in turn: a long log must not hold back the others
            for subscription in list(self._due):
                self._step(subscription, now)

    def _ring(self, now: float) -> None:
        while self._alarms and self._alarms[0][0] <= now:
            when, _, subscription = heappop(self._alarms)
            if subscription.alarm == when:
                subscription.alarm = None
                self.touch(subscription)

    def _answer(self, member: Member) -> None:
        replies, batch = member.replies, self.batches.get(member)
        while replies and (batch is None or batch.size < self._max_bytes):
            batch = Batch(batch, replies.popleft())
        if batch is None:
            return
        self.batches[member] = batch
        if batch.size >= self._max_bytes:
            self.full[member] = None
        if not replies:
            member.replies = None  # an empty deque is 600 bytes

    def _step(self, subscription: Subscription, now: float) -> None:
        """One frame of one subscription, for those of its members who can take it."""
        ready = self._ready(subscription)
        if ready is not subscription:
            del self._due[subscription]
            if ready is None:
                return
            self._due[ready] = None
        hidden_s = self._hidden_s if ready.hidden else None
        alone = self.batches.keys().isdisjoint(ready.members)  # the usual case: nothing to be joined with
        try:
            frame = ready.next(now, self._max_bytes if alone else self._room(ready), hidden_s)
            data = None if frame is None else ready.codec.encode(frame)
        except Exception as error:
            del self._due[ready]
            self._fail(ready, error)
            return
        if data is not None and alone:
            self._begin(ready, data)
        elif data is not None:
            self._add(ready, data)
        if data is None or ready.done or ready.phase is Phase.ENDED:
            del self._due[ready]
            self._rest(ready, now)

    def _ready(self, subscription: Subscription) -> Subscription | None:
        """The subscription of those members who can take a frame now; the others stay where they are."""
        members = subscription.members
        if not members or subscription.reading or subscription.phase is Phase.ENDED:
            return None
        if not self.slow and not self.full:
            return subscription
        blocked = (members.keys() & self.slow.keys()) | (members.keys() & self.full.keys())
        if not blocked:
            return subscription
        if len(blocked) == len(members):
            return None
        if 2 * len(blocked) <= len(members):
            subscription.part(blocked)
            return subscription
        return subscription.part(members.keys() - blocked)

    def _room(self, subscription: Subscription) -> int:
        held = {batch for member in subscription.members if (batch := self.batches.get(member)) is not None}
        return self._max_bytes - max((batch.size for batch in held), default=0)

    def _begin(self, subscription: Subscription, frame: bytes) -> None:
        """The first frame for all of its members."""
        batch = Batch(None, frame)
        self.batches.update(dict.fromkeys(subscription.members, batch))
        if batch.size >= self._max_bytes:
            self.full.update(subscription.members)

    def _add(self, subscription: Subscription, frame: bytes) -> None:
        """A frame behind those that its members, or some of them, are sent already."""
        batches = self.batches
        grown: dict[Batch | None, Batch] = {}
        for member in subscription.members:
            held = batches.get(member)
            after = grown.get(held)
            if after is None:
                after = grown[held] = Batch(held, frame)
            batches[member] = after
        if any(batch.size >= self._max_bytes for batch in grown.values()):
            self.full.update((one, None) for one in subscription.members if batches[one].size >= self._max_bytes)

    def _rest(self, subscription: Subscription, now: float) -> None:
        """It has nothing more to say now."""
        if subscription.phase is Phase.ENDED:
            subscription.end()
        elif subscription.behind or subscription.ahead:
            self._attend(subscription)
        elif subscription.due_s is not None:
            self._set_alarm(subscription, now + subscription.due_s)
        else:
            subscription.alarm = None  # it has come too late
            subscription.merge()

    def _set_alarm(self, subscription: Subscription, when: float) -> None:
        if subscription.alarm is None or when < subscription.alarm - 0.001:
            subscription.alarm = when
            heappush(self._alarms, (when, next(self._numbers), subscription))

    # the last words

    def last(self, member: Member, now: float) -> list[bytes]:
        """All that one client is owed, as far as it fits into a batch, and it is owed no more."""
        held = self.batches.pop(member, None)
        own = Outbox(self._max_bytes, self._hidden_s, lambda _: None, lambda *_: None)
        for subscription in list(member.subscriptions.values()):
            if len(subscription.members) > 1:
                subscription.part([member])
        own.owe(member)
        own.compose(now)
        rest = own.batches.get(member)
        return [*(held.frames if held is not None else []), *(rest.frames if rest is not None else [])]
