"""Clients without a socket, and an outbox whose batches are taken at once."""

from collections import deque

from server.codec import JSON
from server.outbox import Outbox


class Reader:
    """A client as the outbox knows it."""

    def __init__(self, codec=JSON):
        self.id = "c1"
        self.codec = codec
        self.transport = None
        self.closed = False
        self.last_sent = 0.0
        self.replies = None
        self.subscriptions = {}

    def add(self, outbox, subscription, *, held=False):
        """Begin to be told of something."""
        subscription.held = held
        subscription.join(self)
        subscription.source.watchers[subscription] = None
        outbox.touch(subscription)
        return subscription

    def reply(self, outbox, *frames):
        """Be owed these."""
        self.replies = self.replies or deque()
        self.replies.extend(map(self.codec.encode, frames))
        outbox.call(self)


class Desk(Outbox):
    """An outbox that notes who needs a read, and who failed."""

    def __init__(self, max_bytes=1000, hidden_s=5.0):
        self.wanting, self.failed = [], []
        super().__init__(max_bytes, hidden_s, self.wanting.append, lambda *failure: self.failed.append(failure))

    def taken(self, reader, now=0.0):
        """The frames of the next batch of a reader, decoded; all batches are gone then."""
        self.compose(now)
        batch = self.batches.get(reader)
        self.batches.clear()
        for full in self.take_full():
            self.owe(full)
        return [] if batch is None else reader.codec.decode(batch.message(reader.codec))

    def short(self, reader, now=0.0):
        """The same in short: type and subscription."""
        return [(frame["type"], frame.get("sub")) for frame in self.taken(reader, now)]
