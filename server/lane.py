"""The slots of a worker for one kind of task."""

import hashlib
from collections.abc import Sequence

from server.registry import Kind


class Lane:
    """The slots for one kind of task."""

    def __init__(self, kind: Kind, slots: int, tasks: Sequence[str], queues: Sequence[str]) -> None:
        self.kind = kind
        self.slots = slots
        self.tasks = list(tasks)
        self.busy = 0  # slots taken
        self.hungry = True  # there may be jobs for it
        self.claiming = False  # a claim is under way or about to be
        text = "|".join([kind.value, ",".join(queues), ",".join(sorted(tasks))])
        self.signature = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]

    @property
    def free(self) -> int:
        """Slots not taken."""
        return self.slots - self.busy
