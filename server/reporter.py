"""Carries what jobs say to the store: one call for all that have something new, and one for all that have ended.

A job's first word leaves at once, the next not before `flush_s` has passed, or `flush_unwatched_s` where nobody looks;
whatever it says meanwhile is conflated.
While Redis is away everything is kept and told again until it is taken.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from server.backlog import Backlog, Keep
from server.broker import Broker, Lease, Report, ReportAnswer, Verdict
from server.errors import Unavailable
from server.job import JobState
from server.outcome import End
from server.pace import Sampling
from server.progress import Progress
from server.settings import Settings
from server.voice import NO_MORE, Voice

log = logging.getLogger("windsock.reporter")
CHUNK_BYTES = 64 * 1024  # log of one job in one call
CALL_BYTES = 1024 * 1024  # log of all jobs in one call, about
RETRY_S, MAX_RETRY_S = 0.25, 1.0


class Reporter:
    """Owns the flush timer of a worker and the calls under way."""

    def __init__(
        self, broker: Broker, settings: Settings, reclaim: Callable[[Lease], Awaitable[bool]] | None = None
    ) -> None:
        self._broker = broker
        self._reclaim = reclaim  # whether an attempt that was refused holds its job again: the store had gone back
        self._settings = settings
        self.loop = self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._dirty: dict[Voice, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._not_before = 0.0  # monotonic seconds: Redis was away at the last try
        self._verdicts: list[tuple[Verdict, asyncio.Future[ReportAnswer]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._sampling = Sampling(settings.history)

    def open(self, lease: Lease, on_fenced: Callable[[str], None]) -> Voice:
        """The voice of an attempt that begins."""
        settings = self._settings
        keep = Keep(settings.sent_s, settings.sent_entries, settings.sent_bytes)
        backlog = Backlog(settings.unsent_entries, settings.unsent_bytes, keep, first=lease.log_last + 1)

        def wake() -> None:
            if threading.get_ident() == self._thread:
                self.touch(voice)
            else:
                self._loop.call_soon_threadsafe(self.touch, voice)

        progress = Progress(
            lease.id,
            lease.attempt,
            wake,
            backlog=backlog,
            entry_bytes=settings.log_entry_bytes,
            checkpoint_bytes=settings.checkpoint_bytes,
            checkpoint=lease.checkpoint,
        )
        now, stall_s = self._loop.time(), settings.stall_s
        voice = Voice(lease, progress, on_fenced, now=now, stall_s=stall_s)  # `wake` cannot be called before this
        return voice

    def touch(self, voice: Voice) -> None:
        """This attempt has something new to tell."""
        if not voice.closed:
            if voice.progress.pressing:
                voice.due = 0.0  # it would run over
            self._dirty[voice] = None
            self._wake_at(max(voice.due, self._not_before, self._loop.time()))

    def hurry(self, voice: Voice) -> None:
        """Somebody has begun to look at this job: what was held back leaves."""
        voice.due = min(voice.due, voice.told + self._settings.flush_s)
        if voice in self._dirty:
            self._wake_at(max(voice.due, self._not_before, self._loop.time()))

    def _wake_at(self, when: float) -> None:
        if self._flushing is not None:
            return  # it looks again when it is done
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._flushing is None:
            self._flushing = self._loop.create_task(self._flush(), name="flush")

    async def _flush(self) -> None:
        """One report for all that are due, then the next timer."""
        retry_s = 0.0
        try:
            await self._report([voice for voice in self._dirty if voice.due <= self._loop.time() + 0.001])
        except Unavailable as error:
            if not self._not_before:
                log.info("reports have to wait: %s", error)
            retry_s = RETRY_S
        except Exception:
            log.exception("a report failed")
            retry_s = MAX_RETRY_S
        finally:
            self._flushing = None
        self._not_before = self._loop.time() + retry_s if retry_s else 0.0
        if self._dirty:
            self._wake_at(max(min(voice.due for voice in self._dirty), self._not_before, self._loop.time()))

    async def _report(self, due: Sequence[Voice]) -> None:
        voices: list[Voice] = []
        reports: list[Report] = []
        size = 0
        for voice in due:
            if size > CALL_BYTES:
                break
            del self._dirty[voice]
            reports.append(voice.report(CHUNK_BYTES, self._loop.time()))
            voices.append(voice)
            size += sum(map(len, reports[-1].entries))
        if not reports:
            return
        try:
            answers = await self._broker.report(reports)
        except BaseException:
            for voice in voices:
                self._again(voice)
            raise
        now = self._loop.time()
        for voice, report, answer in zip(voices, reports, answers, strict=True):
            voice.told = now
            voice.due = now + (self._settings.flush_s if answer.watched else self._settings.flush_unwatched_s)
            self._heed(voice, report, answer)

    def _heed(self, voice: Voice, report: Report, answer: ReportAnswer) -> None:
        if voice.settle(report, answer, self._loop.time()):
            voice.due = 0.0  # a long log goes on without a pause
            self._again(voice)
        elif answer.code in NO_MORE and not voice.closed:
            self._spawn(self._contest(voice, answer.code), "contest")

    async def _contest(self, voice: Voice, code: str) -> None:
        """Refused: by a newer attempt, or by a store that has forgotten this one."""
        if await self._holds_again(voice):
            self.touch(voice)
        elif not voice.closed:
            voice.closed = True
            self._dirty.pop(voice, None)
            voice.on_fenced(code)

    async def _holds_again(self, voice: Voice) -> bool:
        voice.progress.mark.forget()  # should it be so, the store lacks what it had
        try:
            return self._reclaim is not None and await self._reclaim(voice.lease)
        except Unavailable:
            return True  # the next report says so

    def _again(self, voice: Voice) -> None:
        if not voice.closed:
            self._dirty[voice] = None

    # ends

    async def finish(
        self,
        voice: Voice,
        state: JobState,
        outcome: bytes | None = None,
        result_bytes: int | None = None,
        delay_s: float = 0.0,
    ) -> ReportAnswer:
        """Tell the end of an attempt, with the last of its progress and log; returns when the store has it.

        Args:
            state: a terminal one; QUEUED gives the job back, SCHEDULED asks for another attempt after `delay_s`.

        Tried again for as long as Redis is away: whoever stops waiting leaves the job to be rescued.
        """
        if state is JobState.SUCCEEDED and not voice.closed:
            voice.progress.complete()
            self._sample(voice, self._loop.time())
        voice.closed = True
        self._dirty.pop(voice, None)
        retry_s = 0.05
        while True:
            try:
                answer = await self._finish_once(voice, End(state, outcome, result_bytes, delay_s))
            except Unavailable as error:
                log.info("the end of job %s has to wait: %s", voice.lease.id, error)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, MAX_RETRY_S)
                continue
            if answer.code in NO_MORE and not await self._holds_again(voice):
                return answer
            if answer.code == "ok":
                return answer
            voice.stored = answer.last  # nothing of the verdict was stored

    def _sample(self, voice: Voice, now: float) -> None:
        """Keep how long it took, unless it went on from a checkpoint; some are enough."""
        if voice.lease.checkpoint is None and self._sampling.take(voice.lease.task, now):
            voice.took_ms = round((now - voice.began) * 1000)

    async def _finish_once(self, voice: Voice, end: End) -> ReportAnswer:
        report = voice.report(CHUNK_BYTES, self._loop.time(), ending=True)
        while report.first + len(report.entries) < voice.progress.next_offset:  # a long log goes ahead in pieces
            (answer,) = await self._broker.report([report], ending=True)
            voice.settle(report, answer, self._loop.time())
            if answer.code in NO_MORE:
                return answer
            report = voice.report(CHUNK_BYTES, self._loop.time(), ending=True)
        return await self._tell(Verdict(report, end.state, end.outcome, end.result_bytes, end.delay_s, voice.took_ms))

    async def _tell(self, verdict: Verdict) -> ReportAnswer:
        """All verdicts of one loop turn leave in one call."""
        answer: asyncio.Future[ReportAnswer] = self._loop.create_future()
        self._verdicts.append((verdict, answer))
        if len(self._verdicts) == 1:
            self._loop.call_soon(self._carry)
        return await answer

    def _carry(self) -> None:
        told, self._verdicts = self._verdicts, []
        self._spawn(self._finish_all(told), "finish")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish_all(self, told: "list[tuple[Verdict, asyncio.Future[ReportAnswer]]]") -> None:
        try:
            answers = await self._broker.finish([verdict for verdict, _ in told])
        except BaseException as error:
            for _, future in told:
                if not future.done():
                    future.set_exception(
                        error if isinstance(error, Exception) else Unavailable("this node has stopped")
                    )
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), answer in zip(told, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def stop(self) -> None:
        """Stop the timer and what is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = [task for task in (self._flushing, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
