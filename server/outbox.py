"""What one client still has to be told: replies in order, and one slot for each subscription. Pure.

`take` fills one batch; the caller sends it and comes again when it is gone, so that at most one is in flight. What
changes meanwhile is conflated by the subscriptions themselves.
"""

from collections import deque
from collections.abc import Callable, Iterator

from server.pace import Frame, Phase
from server.stats import Subscription
from server.subscription import JobSubscription


class Outbox:
    """The subscriptions of a client, and the frames they and the commands owe it."""

    def __init__(self, encode: Callable[[Frame], bytes], max_bytes: int, hidden_s: float) -> None:
        self._encode = encode
        self._max_bytes = max_bytes  # of one batch, about
        self._hidden_s = hidden_s
        self._replies: deque[Frame] = deque()
        self._dirty: dict[int, Subscription] = {}
        self._subscriptions: dict[int, Subscription] = {}
        self._held: set[int] = set()  # subscriptions that stand, and wait for the reply before them
        self.hidden = False  # nobody looks: updates every `hidden_s`
        self.due_s: float | None = None  # after a `take` with nothing more to send: when to come again

    def __contains__(self, number: int) -> bool:
        return number in self._subscriptions

    def __len__(self) -> int:
        return len(self._subscriptions)

    def __iter__(self) -> Iterator[Subscription]:
        return iter(list(self._subscriptions.values()))

    @property
    def owed(self) -> int:
        """How many replies wait to be sent."""
        return len(self._replies)

    def add(self, subscription: Subscription, *, held: bool = False) -> None:
        """Begin to tell of something; one that is `held` says nothing until `release`."""
        self._subscriptions[subscription.number] = subscription
        if held:
            self._held.add(subscription.number)
        self.touch(subscription)

    def release(self, number: int) -> None:
        """A held subscription may speak."""
        self._held.discard(number)
        if number in self._subscriptions:
            self.touch(self._subscriptions[number])

    def pop(self, number: int) -> Subscription | None:
        """Tell of it no more; None when there is no such subscription."""
        self._dirty.pop(number, None)
        self._held.discard(number)
        return self._subscriptions.pop(number, None)

    def touch(self, subscription: Subscription) -> None:
        """There may be news of this one."""
        if self._subscriptions.get(subscription.number) is subscription and subscription.number not in self._held:
            self._dirty[subscription.number] = subscription

    def touch_all(self) -> None:
        """There may be news of any."""
        for subscription in self._subscriptions.values():
            self.touch(subscription)

    def reply(self, frame: Frame) -> None:
        """Owe a frame that belongs to no subscription's course; sent before what subscriptions owe."""
        self._replies.append(frame)

    def take(self, now: float) -> tuple[list[bytes], list[Subscription]]:
        """The frames of the next batch, encoded, and the subscriptions that ended with it or need a read (`behind`)."""
        batch: list[bytes] = []
        room = self._max_bytes
        while self._replies and room > 0:
            batch.append(self._encode(self._replies.popleft()))
            room -= len(batch[-1])
        hidden_s = self._hidden_s if self.hidden else None
        self.due_s = None
        attention: list[Subscription] = []
        while self._dirty and room > 0:  # one frame from each in turn: a long log must not hold back the others
            for subscription in list(self._dirty.values()):
                frame = subscription.next(now, room, hidden_s)
                if frame is None:
                    self._rest(subscription, attention)
                    continue
                batch.append(frame if isinstance(frame, bytes) else self._encode(frame))
                room -= len(batch[-1])
                if subscription.phase is Phase.ENDED:
                    self.pop(subscription.number)
                    attention.append(subscription)
                if room <= 0:
                    break
        return batch, attention

    def _rest(self, subscription: Subscription, attention: list[Subscription]) -> None:
        del self._dirty[subscription.number]
        if isinstance(subscription, JobSubscription) and (subscription.behind or subscription.ahead):
            attention.append(subscription)
        if subscription.due_s is not None:
            self.due_s = subscription.due_s if self.due_s is None else min(self.due_s, subscription.due_s)
