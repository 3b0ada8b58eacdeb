"""Names in Redis that Python has to know. The keys of the data are built in `scripts/_prelude.lua` and nowhere else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """All names of one installation, under one hash tag, so that a Cluster serves them as one shard."""

    namespace: str

    @property
    def tag(self) -> str:
        """What every script gets as KEYS[1]."""
        return "{" + self.namespace + "}"

    @property
    def events(self) -> str:
        """The channel of every change of every job."""
        return f"{self.tag}:events"

    def worker(self, worker_id: str) -> str:
        """The channel of wake-ups and cancels for one worker."""
        return f"{self.tag}:worker:{worker_id}"
