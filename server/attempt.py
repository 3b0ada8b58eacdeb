"""One attempt at a job while it runs: the function, its voice, and why it is interrupted, if it is."""

import asyncio
import time
from enum import Enum, auto
from typing import TYPE_CHECKING

from server.broker import Lease
from server.codec import MSGPACK
from server.family import LoopFamily, make_family
from server.job import ErrorCode, JobState
from server.lane import Lane, Seat
from server.outcome import End, failed
from server.registry import Task
from server.tree import Family, SpawnRefused
from server.voice import Voice

if TYPE_CHECKING:
    from server.runner import Runner

NOTICE_S = 1.0  # a job that has not ended this long after it was asked to says so


class Reason(Enum):
    """Why a running job is interrupted."""

    CANCEL = auto()
    TIMEOUT = auto()
    DRAIN = auto()
    FENCED = auto()  # another attempt has the job, or the store has forgotten it


class Attempt:
    """One attempt while it runs: the function, its voice, and why it is interrupted, if it is."""

    __slots__ = (
        "abandoned",
        "begun",
        "end",
        "family",
        "function_runs",
        "grace",
        "lane",
        "lease",
        "mark",
        "meter",
        "notice",
        "reason",
        "runner",
        "seat",
        "task",
        "timer",
        "verdict",
        "voice",
        "work",
    )

    def __init__(self, lease: Lease, task: Task, runner: "Runner") -> None:
        self.lease = lease
        self.task = task
        self.runner = runner
        self.meter = runner.metrics.job(lease.task, lease.job.queue)
        self.begun = asyncio.get_running_loop().time()  # monotonic seconds
        self.mark = runner.marks.begin(lease.id, lease.attempt, task, self.begun)
        self.voice: Voice = runner.reporter.open(lease, lambda _: self.interrupt(Reason.FENCED))
        self.reason: Reason | None = None
        self.timer: asyncio.TimerHandle | None = None  # of the timeout
        self.grace: asyncio.TimerHandle | None = None  # after an interruption
        self.notice: asyncio.TimerHandle | None = None  # it should have ended by then
        self.work: asyncio.Task[None] | None = None  # runs the function
        self.verdict: asyncio.Task[None] | None = None  # of an abandoned attempt
        self.function_runs = False  # only then may `work` be cancelled: before and after, it is ours
        self.end: End | None = None  # once the store has it
        self.family: LoopFamily | None = None  # its children, if it has any …
        self.seat: Seat | None = None  # … and its slot then
        self.lane: Lane | None = None  # whose slot that is
        self.abandoned = False  # its end was told while the function still runs

    def relatives(self) -> Family:
        """Its children, from when it first speaks of them; called from whichever thread runs it."""
        gathering, lane = self.runner.gathering, self.lane
        if gathering is None or lane is None:
            raise SpawnRefused("children need a worker")
        self.seat = Seat(lane, gathering.on_vacant)
        limit = self.task.limit
        keeps_place = limit is not None and limit.trees
        self.family = LoopFamily(gathering, self.lease, self.seat, keeps_place=keeps_place)
        return make_family(self.family, self.task.kind, self.runner.reporter.loop)

    def begin(self) -> None:
        """The function is about to run: its time counts from here, that of a process to start does not."""
        if self.lease.timeout_s is not None and self.timer is None:
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(self.lease.timeout_s, self.interrupt, Reason.TIMEOUT)

    def interrupt(self, reason: Reason, grace_s: float | None = None) -> None:
        """Ask the function to end; the first reason stands. After the grace the job ends without it."""
        if self.reason is None or reason is Reason.FENCED:
            self.reason = reason
        if self.abandoned or self.work is None or not self.function_runs:
            return
        self.voice.progress.goes_on = self.reason is Reason.DRAIN
        self.runner.executor(self).interrupt(self.work, self.voice.progress)
        if self.grace is None:
            wait_s = self.runner.settings.cancel_grace_s if grace_s is None else grace_s
            loop = asyncio.get_running_loop()
            self.grace = loop.call_later(wait_s, self.runner.abandon, self)
            if reason in (Reason.CANCEL, Reason.TIMEOUT):
                notice_s = min(NOTICE_S, wait_s / 2)
                self.notice = loop.call_later(notice_s, self.say_not_ending, notice_s, wait_s - notice_s)

    def pacing(self) -> Voice:
        """Its voice, which knows whether it waits for its children: it has given up its slot for that."""
        self.voice.resting = self.seat is not None and not self.seat.taken
        return self.voice

    def say_not_ending(self, since_s: float, left_s: float) -> None:
        """Let those who wait for the end know that, and until when, the function does not heed being asked."""
        text = f"asked to end {since_s:g} s ago and still runs; in {left_s:g} s the job ends without it"
        self.voice.warn("not_ending", text, now_ms())
        self.runner.reporter.touch(self.voice)
        self.runner.reporter.hurry(self.voice)  # also where nobody looks

    def or_again(self, end: End, delay_s: float | None) -> End:
        """The failure as it is, or, with a delay, another attempt in its place; what failed is a warning then."""
        if delay_s is None or end.outcome is None:
            return end
        if self.reason is Reason.CANCEL:
            return End(JobState.CANCELLED)
        self.voice.warn("retry", MSGPACK.decode(end.outcome)["message"], now_ms())
        return End(JobState.SCHEDULED, delay_s=delay_s)

    def stop_timers(self) -> None:
        """Nothing will interrupt it any more."""
        for timer in (self.timer, self.grace, self.notice):
            if timer is not None:
                timer.cancel()


def now_ms() -> int:
    """For what is stored."""
    return time.time_ns() // 1_000_000


def interrupted(attempt: Attempt) -> End:
    """The end of an attempt whose function ended because it was asked to, or is not waited for any longer."""
    if attempt.reason is Reason.TIMEOUT:
        return failed(ErrorCode.TIMEOUT, f"ran longer than {attempt.lease.timeout_s:g} s")
    if attempt.reason is Reason.DRAIN:
        return End(JobState.QUEUED)
    if attempt.reason is None:
        return failed(ErrorCode.EXCEPTION, "the task cancelled itself")
    return End(JobState.CANCELLED)
