"""What the store announces of its jobs, heard at its own channel: nothing of it is conflated."""

import threading
import time
from collections import defaultdict

import redis

from server.broker.record import Change, changes_of


class Announced:
    """Hears every change of every job, in a thread, with the moment it was heard (monotonic ns)."""

    def __init__(self, url: str, namespace: str = "windsock") -> None:
        self._client = redis.Redis.from_url(url, protocol=2)
        self._pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe(f"{{{namespace}}}:events")
        self._pubsub.get_message(timeout=5)
        self._changes: dict[str, list[tuple[int, Change]]] = defaultdict(list)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._stopping.is_set():
            message = self._pubsub.get_message(timeout=0.1)
            if message is not None:
                at = time.monotonic_ns()
                for change in changes_of(message["data"], "store")[1]:
                    self._changes[change.id].append((at, change))

    def of(self, job_id: str) -> list[tuple[int, Change]]:
        """Its changes, in order."""
        return list(self._changes[job_id])

    def close(self) -> None:
        """Hear no more."""
        self._stopping.set()
        self._thread.join(5)
        self._pubsub.close()
        self._client.close()
