"""What clients are still to be told of one job. Pure: state and a monotonic time in, frames out.

A subscription is asked for its next frame until it has none. It holds no queue: between two frames lies whatever the
topic says then, so a slow client costs one slot.
"""

from collections import deque
from collections.abc import Hashable
from typing import Any, Self

from server.codec import JSON, Codec
from server.cursor import Cursor, How, Resume, resume
from server.errors import Code
from server.job import Job, JobState
from server.metrics import Traffic
from server.protocol import DEFAULT_RATE, FrameType, GapReason
from server.subscription import Due, Frame, Phase, Subscription
from server.topic import Gap, Run, Topic, clipped

FRESH_S = 3.0  # the place of a job that waits is told for so long after it was read
MISSING = "no such job: it never was, was deleted, or has expired"


class JobSubscription(Subscription):
    """Tells of one job: snapshot, replay of the log, live, updates, end (protocol.md section 3, Order)."""

    __slots__ = (
        "_after",
        "_caught_up",
        "_epoch",
        "_limit_log",
        "_offset",
        "_replay_to",
        "_runs",
        "_seen",
        "_version",
        "topic",
    )
    kind = "job"

    def __init__(
        self,
        number: int,
        topic: Topic,
        *,
        after: str | None = None,
        log: str | int = "none",
        rate: float = DEFAULT_RATE,
        traffic: Traffic | None = None,
        codec: Codec = JSON,
        due: Due | None = None,
    ) -> None:
        super().__init__(number, topic, rate=rate, traffic=traffic, codec=codec, due=due)
        self.topic = topic
        self._after = after
        self._limit_log = log
        self._caught_up = False  # it was read once because the clients were `ahead`
        self._seen = 0  # changes of the topic, when the clients were told last
        self._offset = 0  # they have been told of the log up to here
        self._version = 0  # and of this summary
        self._epoch = ("", 1)  # store and attempt the offset belongs to
        self._replay_to = 0
        self._runs: deque[Run | Gap] = deque()  # read from the store, not yet sent

    def _point(self) -> Hashable:
        if self.phase is Phase.OPENING:
            return None if self._caught_up else (self._after, self._limit_log)
        if self.phase is not Phase.LIVE or self._runs:
            return None
        return (self._limit_log, self._epoch, self._version, self._offset)

    def _copy(self) -> Self:
        other = super()._copy()
        other._runs = deque(self._runs)
        return other

    @property
    def offset(self) -> int:
        """Where the log goes on for this client: everything up to here was sent or declared a gap."""
        return self._offset

    def next(self, now: float, room: int, hidden_s: float | None = None) -> Frame | None:
        """The next frame of at most about `room` bytes, or None: then see `due_s` and `behind`."""
        self._due_s, self.done = None, False
        if self.phase is Phase.OPENING:
            return self._open(now)
        if self.phase is Phase.ENDED:
            return None
        if self.topic.missing and self.topic.job is None:
            return self._error()
        if self._uprooted():
            return self._open(now)
        if self.phase is Phase.REPLAY:
            return self._replay(room)
        return self._live(now, room, hidden_s)

    def catch_up(self) -> None:
        """The job was read from the store because this subscription was `ahead`: whatever it says now holds."""
        self.ahead = False
        self._caught_up = True

    def take(self, found: list[Run | Gap]) -> None:
        """What was read from the store because this subscription was `behind`.

        Entries after the tail that the topic knows of are left out: they may be of an attempt it does not know yet.
        """
        self.behind = False
        tail = 0 if self.topic.job is None else self._tail(self.topic.job)
        self._runs.extend(part for piece in found if (part := clipped(piece, tail)) is not None)
        if not found and self.topic.job is not None and self._offset < self._tail(self.topic.job):
            # The store had more when it was announced: it has lost its tail.
            self._runs.append(Gap(self._offset + 1, self._tail(self.topic.job), GapReason.LOST))

    def _error(self) -> Frame:
        self.phase = Phase.ENDED
        return self._frame(FrameType.ERROR, code=Code.NOT_FOUND.value, message=MISSING, retryable=False)

    def _cursor(self, version: int) -> str:
        job = self.topic.job
        assert job is not None
        return str(Cursor(job.store, job.attempt, version, self._offset))

    # opening

    def _open(self, now: float) -> Frame | None:
        if not self.topic.loaded:
            return None
        job = self.topic.job
        if job is None:
            return self._error()
        if not self._caught_up and self._outruns(job):
            self.ahead = True
            return None
        answer = self._resume(job)
        self.phase, self._caught_up = Phase.REPLAY, False
        self._offset = answer.offset
        self._epoch = (job.store, job.attempt)
        # An ended job's end is still to come: a client that is cut off before it must not count it as told.
        self._version = job.version - 1 if job.ended else job.version
        self._replay_to = self._tail(job)
        self._seen = self.topic.changes
        self._traffic.snapshots[answer.how.value] += self._told
        fields = {} if answer.log_from is None else {"log_from": answer.log_from}
        shown = {**job.summary(), **self._waiting(job, now)}
        return self._frame(
            FrameType.SNAPSHOT, job=shown, how=answer.how.value, cursor=self._cursor(self._version), **fields
        )

    def _waiting(self, job: Job, now: float) -> dict[str, Any]:
        """The place of a job that waits, unless it was read too long ago to be true."""
        topic = self.topic
        return topic.waiting if job.state is JobState.QUEUED and now - topic.waiting_at <= FRESH_S else {}

    def _uprooted(self) -> bool:
        """Whether the store, or a new attempt, has other entries where this client holds some already: begin anew."""
        job = self.topic.job
        if job is None or self._epoch == (job.store, job.attempt):
            return False
        seen = Cursor(*self._epoch, self._version, self._offset)
        self._epoch = (job.store, job.attempt)
        self._runs.clear()  # read before: the store may have lost them
        if resume(seen, job.store, job.attempt_firsts).how is How.RESUMED:
            return False
        self._after = str(seen)
        return True

    def _outruns(self, job: Job) -> bool:
        """Whether the client's cursor is of a later moment than this node knows of: it comes from another node."""
        cursor = Cursor.parse(self._after)
        return (
            cursor is not None
            and cursor.store == job.store
            and (cursor.attempt, cursor.version) > (job.attempt, job.version)
        )

    def _resume(self, job: Job) -> Resume:
        if self._after is None:
            return Resume(How.FRESH, self._tail_start(job))
        cursor = Cursor.parse(self._after) or Cursor("", 1, 0, 0)
        answer = resume(cursor, job.store, job.attempt_firsts)
        if answer.how is How.RESET and answer.log_from == 1:
            return Resume(How.RESET, self._tail_start(job), log_from=1)
        return answer

    def _tail_start(self, job: Job) -> int:
        if isinstance(self._limit_log, int):
            return max(0, self._tail(job) - self._limit_log)
        return 0

    def _tail(self, job: Job) -> int:
        return max(self.topic.ring.tail, job.offset)

    # the log

    @property
    def _wants_log(self) -> bool:
        return self._limit_log != "none"

    def _replay(self, room: int) -> Frame | None:
        job = self.topic.job
        assert job is not None
        if self._wants_log and self._offset < min(self._replay_to, self._tail(job)):
            return self._log(room)
        self.phase = Phase.LIVE
        return self._frame(FrameType.LIVE)

    def _log(self, room: int) -> Frame | None:
        """The next piece of the log, from what was read or from the ring."""
        while self._runs and not self._runs[0].first <= self._offset + 1 <= self._runs[0].last:
            self._runs.popleft()  # told from elsewhere meanwhile, or asked for before a new beginning
        piece = self._runs.popleft() if self._runs else self.topic.ring.run(self._offset, room)
        if piece is None:
            self.behind = True
            return None
        if isinstance(piece, Gap):
            return self._gap(self._offset + 1, piece.last, piece.why)
        return self._entries(piece, room)

    def _gap(self, first: int, last: int, why: GapReason) -> Frame:
        self._traffic.gaps[why.value] += self._told
        self._offset = last
        return self._frame(
            FrameType.GAP,
            **{"from": first, "to": last, "why": why.value, "cursor": self._cursor(self._version)},
        )

    def _entries(self, run: Run, room: int) -> Frame:
        start = self._offset + 1 - run.first
        count, size = 0, 0
        for entry in run.entries[start:]:
            if count and size + entry.size > room:
                break
            count, size = count + 1, size + entry.size
        if start + count < len(run.entries):
            self._runs.appendleft(run)
        first = self._offset + 1
        self._offset += count
        if self.phase is Phase.REPLAY:
            self._traffic.replayed += count * self._told
        return self._frame(
            FrameType.LOG,
            first=first,
            entries=[entry.value for entry in run.entries[start : start + count]],
            cursor=self._cursor(self._version),
        )

    # live

    def _live(self, now: float, room: int, hidden_s: float | None) -> Frame | None:
        job = self.topic.job
        assert job is not None
        tail = self._tail(job)
        owes_log = self._wants_log and self._offset < tail
        if job.ended:
            return self._log(room) if owes_log else self._end(job)
        newer = job.version > self._version
        if not newer and not owes_log:
            return None
        wait = self._pace.due_in(now, hidden_s)
        if wait > 0 and not self._runs:
            self._due_s = wait
            return None
        if newer:
            return self._update(job, now, owes_log)
        frame = self._log(room)
        if frame is not None and self._offset >= tail:
            self._pace.last = now
        return frame

    def _update(self, job: Job, now: float, owes_log: bool) -> Frame:
        self._version = job.version
        if self.topic.changes > self._seen + 1:
            self._traffic.conflated += (self.topic.changes - self._seen - 1) * self._told
        self._seen = self.topic.changes
        if not owes_log:
            self._pace.last, self.done = now, True
        return self._frame(FrameType.UPDATE, job=job.summary(), cursor=self._cursor(job.version))

    def _end(self, job: Job) -> Frame | None:
        if self.topic.outcome is None:
            return None
        self.phase = Phase.ENDED
        self._traffic.conflated += max(0, self.topic.changes - self._seen - 1) * self._told
        self._version = job.version
        summary = {**job.summary(), **self.topic.outcome}
        return self._frame(FrameType.END, job=summary, last=job.offset, cursor=self._cursor(job.version))
