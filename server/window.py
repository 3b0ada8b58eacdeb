"""The live window of a feed: the newest jobs that match a filter, and how many there are in each state. Pure.

A window numbers its changes. A client keeps one number, the last change it was told of, however many it missed.
"""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from typing import TypeVar

from server.job import Job, JobState
from server.protocol import FeedFilter
from server.watcher import Watched

Value = TypeVar("Value")
MAX_PENDING = 100_000  # changes kept while a page is being read; beyond it the page is read again


@dataclass(frozen=True, slots=True)
class Match:
    """A filter: OR within a field, AND between fields; None lets everything through."""

    states: frozenset[JobState] | None = None
    tasks: frozenset[str] | None = None
    queues: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    parents: frozenset[str] | None = None

    @classmethod
    def of(cls, feed: FeedFilter) -> "Match":
        """The filter a client sent."""
        return cls(_set(feed.state), _set(feed.task), _set(feed.queue), _set(feed.tag), _set(feed.parent))

    def others(self, job: Job) -> bool:
        """Whether all but the state fits."""
        return (
            (self.tasks is None or job.task in self.tasks)
            and (self.queues is None or job.queue in self.queues)
            and (self.tags is None or not self.tags.isdisjoint(job.tags))
            and (self.parents is None or job.parent in self.parents)
        )

    def fits(self, job: Job) -> bool:
        """Whether the job belongs in the feed."""
        return (self.states is None or job.state in self.states) and self.others(job)

    @property
    def countable(self) -> bool:
        """Whether the store counts exactly what this filter lets through: none or one other filter, of one value."""
        given = [field for field in (self.tasks, self.queues, self.tags, self.parents) if field is not None]
        return not given or (len(given) == 1 and len(given[0]) == 1)


def _set(value: list[Value] | Value | None) -> frozenset[Value] | None:
    if value is None:
        return None
    return frozenset(value) if isinstance(value, list) else frozenset([value])


@dataclass(frozen=True, slots=True)
class Diff:
    """What a client has to be told to stand at `revision`."""

    revision: int
    jobs: list[Job]
    gone: list[str]


class Window(Watched):
    """The newest `limit` jobs of a filter, shared by all clients that asked for the same."""

    def __init__(self, match: Match, limit: int) -> None:
        super().__init__()
        self.match = match
        self.limit = limit
        self.counts: dict[str, int] | None = None  # by state; None where the store cannot count exactly
        self.revision = 0  # number of the last change
        self.generation = 0  # raised by a reload: clients of an older one get a new snapshot
        self.loaded = False
        self.loading = False  # a page is being read
        self.hungry = False  # an entry left, and the store may have the next one
        self._entries: dict[str, tuple[Job, int]] = {}  # by id, least recently changed first, with the revision
        self._ids: list[str] = []  # sorted, oldest first
        self._gone: deque[tuple[int, str]] = deque()  # revision, id
        self._forgotten = 0  # changes up to here may lack their `gone`
        self._complete = False  # nothing older matches in the store
        self._pending: list[tuple[int, Job, JobState | None, bool]] = []
        self._seq = 0  # the counts stand at this message

    # what comes in

    def start_page(self) -> None:
        """A page is about to be read: keep what changes meanwhile."""
        self.loading = True
        self._pending = []

    def load(self, seq: int, jobs: list[Job], counts: dict[str, int] | None, more: bool) -> bool:
        """Begin anew with a first page; False when too much changed while it was read."""
        pending, self._pending, self.loading = self._pending, [], False
        if len(pending) >= MAX_PENDING:
            return False
        self.generation += 1
        self.loaded, self.hungry = True, False
        self.counts = dict(counts) if counts is not None and self.match.countable else None
        self._entries, self._ids, self._complete = {}, [], not more
        self._gone.clear()
        self._seq = seq
        for job in reversed(jobs):
            self._put(job)
        self._replay(seq, pending, recount=True)
        return True

    def fill(self, seq: int, jobs: list[Job], more: bool) -> None:
        """Add the next older entries, after some have left."""
        pending, self._pending, self.loading = self._pending, [], False
        self.hungry = False
        new = [job for job in jobs if job.id not in self._entries]
        room = self.limit - len(self._ids)
        self._complete = not more and len(new) <= room  # what did not fit is to be found when there is room again
        for job in new[:room]:
            self._put(job)
        self._replay(seq, pending, recount=False)

    def compare(self, seq: int, jobs: list[Job], counts: dict[str, int] | None, more: bool) -> bool:
        """Take over from a first page what was missed; False when too much changed while it was read."""
        pending, self._pending, self.loading = self._pending, [], False
        if len(pending) >= MAX_PENDING:
            return False
        kept = {job.id for job in jobs} | {job.id for at, job, _, _ in pending if at > seq}
        oldest = jobs[-1].id if jobs and more else ""
        for job_id in [one for one in self._ids if one >= oldest and one not in kept]:
            self._remove(job_id)
        self._complete, self.hungry = not more, False
        for job in reversed(jobs):
            if job.id in self._entries:
                self._place(job, gone=False)
            else:
                self._put(job)
        if self.counts is not None and counts is not None:
            self.counts, self._seq = dict(counts), seq
        self._replay(seq, pending, recount=True)
        return True

    def _replay(self, seq: int, pending: "list[tuple[int, Job, JobState | None, bool]]", *, recount: bool) -> None:
        for at, job, was, gone in pending:
            if at > seq:
                self._place(job, gone)
                if recount:
                    self._count(job, was, gone)

    def apply(self, seq: int, job: Job, was: JobState | None, gone: bool) -> bool:
        """Take in one change; whether clients have to be told."""
        before, counted = self.revision, False
        if self.loading and len(self._pending) < MAX_PENDING:
            self._pending.append((seq, job, was, gone))
        if not self.loaded:
            return False
        if seq > self._seq:
            counted = self._count(job, was, gone)
        self._place(job, gone)
        return counted or self.revision != before

    def _count(self, job: Job, was: JobState | None, gone: bool) -> bool:
        if self.counts is None or not self.match.others(job) or (was is job.state and not gone):
            return False
        if was is not None:
            self.counts[was.value] = max(0, self.counts.get(was.value, 0) - 1)
        if not gone:
            self.counts[job.state.value] = self.counts.get(job.state.value, 0) + 1
        return True

    def _place(self, job: Job, gone: bool) -> None:
        held = self._entries.get(job.id)
        if held is not None and held[0].store == job.store and not gone and not job.newer_than(held[0]):
            return
        if gone or not self.match.fits(job):
            if held is not None:
                self._remove(job.id)
                self.hungry = self.hungry or not self._complete
        elif held is not None or self._complete or not self._ids or job.id > self._ids[0]:
            self._put(job)

    def _put(self, job: Job) -> None:
        if self._entries.pop(job.id, None) is None:
            insort(self._ids, job.id)
        self.revision += 1
        self._entries[job.id] = (job, self.revision)
        if len(self._ids) > self.limit:
            self._complete = False
            self._remove(self._ids[0])

    def _remove(self, job_id: str) -> None:
        del self._entries[job_id]
        del self._ids[bisect_left(self._ids, job_id)]
        self.revision += 1
        self._gone.append((self.revision, job_id))
        if len(self._gone) > 2 * self.limit:
            self._forgotten = self._gone.popleft()[0]

    # what goes out

    @property
    def oldest(self) -> str | None:
        """Id of the oldest entry: the next page is before it."""
        return self._ids[0] if self._ids else None

    @property
    def jobs(self) -> list[Job]:
        """All entries, newest first."""
        return [self._entries[job_id][0] for job_id in reversed(self._ids)]

    def since(self, revision: int, most: int) -> Diff | None:
        """What changed after `revision`, oldest change first and at most about `most` entries; None: too long ago."""
        if revision < self._forgotten:
            return None
        changed: list[tuple[int, Job]] = []
        for job, at in reversed(self._entries.values()):
            if at <= revision:
                break
            changed.append((at, job))
        changed.reverse()
        cut = changed[most - 1][0] if len(changed) > most else self.revision
        jobs = [job for at, job in changed if at <= cut]
        gone = [job_id for at, job_id in self._gone if revision < at <= cut and job_id not in self._entries]
        return Diff(cut, jobs, gone)
