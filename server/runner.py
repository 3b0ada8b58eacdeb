"""One job from claim to verdict.

The road: `start` → `_call` (bind the arguments, run the function) → an end for whatever came out → `Reporter.finish`.
What may happen on the way is an interruption with a reason: cancel, timeout, drain, fenced. The function is asked to
end; if it does not within the grace, the verdict is given without it.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Protocol

from server.attempt import Attempt, Reason, interrupted, now_ms
from server.broker import Lease
from server.errors import Invalid
from server.executors import Executor, Executors
from server.gathering import Gathering
from server.job import TERMINAL, ErrorCode, JobState
from server.marks import FILE as MARKS_FILE
from server.marks import MARK, Mark, Marks
from server.metrics import Metrics
from server.outcome import End, failed, name_of, raised, returned
from server.progress import JobCancelled
from server.registry import Registry
from server.reporter import Reporter
from server.settings import Settings

log = logging.getLogger("windsock.runner")
_CALLERS = (  # frames of these files stand above a task's own
    __file__,
    Executors.__init__.__code__.co_filename,
    MARKS_FILE,
    "concurrent/futures/thread.py",
    "asyncio/futures.py",
)


class Watch(Protocol):
    """Who knows what blocked the loop."""

    def clear(self, mark: Mark) -> None:
        """An attempt has returned: tell what there is to tell of it before its end is told."""


class Recorder(Protocol):
    """Who makes profiles of whole runs."""

    def begin(self, attempt: "Attempt") -> None:
        """Its function is about to run."""

    async def end(self, attempt: "Attempt") -> None:
        """It has returned: keep the profile."""


class Runner:
    """Runs attempts. `on_free(attempt)` is called when a slot is free, `on_end(attempt)` when the store has the end."""

    def __init__(
        self,
        registry: Registry,
        executors: Executors,
        reporter: Reporter,
        settings: Settings,
        metrics: Metrics,
        on_free: Callable[[Attempt], None],
        on_end: Callable[[Attempt], None],
        gathering: Gathering | None = None,
    ) -> None:
        self._registry = registry
        self._executors = executors
        self.reporter = reporter
        self.settings = settings
        self.metrics = metrics
        self.marks = Marks()
        self.watch: Watch | None = None
        self.recorder: Recorder | None = None
        self._on_free = on_free
        self._on_end = on_end
        self.gathering = gathering

    def executor(self, attempt: Attempt) -> Executor:
        """Where an attempt runs."""
        return self._executors[attempt.task.kind]

    def start(self, lease: Lease) -> Attempt:
        """Begin an attempt."""
        loop = asyncio.get_running_loop()
        attempt = Attempt(lease, self._registry.get(lease.task), self)
        waited_ms = lease.job.waited_ms
        attempt.voice.progress.relate(attempt.relatives)
        attempt.meter.start(None if waited_ms is None else waited_ms / 1000)
        attempt.work = attempt.mark.work = loop.create_task(self._run(attempt), name=f"job {lease.id}")
        return attempt

    async def _run(self, attempt: Attempt) -> None:
        attempt.function_runs = True
        MARK.set(attempt.mark)  # for whatever the function starts
        place = attempt.mark.place
        profiled = self.recorder if attempt.lease.profile else None
        if profiled is not None:
            profiled.begin(attempt)
        end = await place.wait(lambda: self._call(attempt)) if attempt.reason is None else interrupted(attempt)
        attempt.function_runs = False
        attempt.stop_timers()
        if attempt.family is not None:
            attempt.family.leave()
            attempt.voice.progress.stop()  # a thread that goes on waits for children no more
        if self.watch is not None:
            self.watch.clear(attempt.mark)
        self.marks.end(attempt.mark)  # before the profile ends: what is done for that is not the job's
        if profiled is not None:
            await profiled.end(attempt)
        self._on_free(attempt)
        if not attempt.abandoned:
            await self._finish(attempt, end)

    async def _call(self, attempt: Attempt) -> End:
        """Run the function; how it ended. Nothing a task raises gets past here."""
        retries, retried = attempt.task.retries, attempt.lease.retried
        try:
            executor, progress = self.executor(attempt), attempt.voice.progress
            result = await executor.run(attempt.task, attempt.lease.args, progress, attempt.begin)
            if attempt.family is not None:
                await attempt.family.settle()
            return returned(result, self.settings.result_bytes)
        except (asyncio.CancelledError, JobCancelled):
            late = attempt.reason is Reason.TIMEOUT
            delay_s = retries.timeout_delay_s(retried, random.random()) if late else None
            return attempt.or_again(interrupted(attempt), delay_s)
        except Invalid as error:
            return failed(ErrorCode.EXCEPTION, f"the arguments do not fit the task as this worker knows it: {error}")
        except BaseException as error:
            if attempt.reason is Reason.DRAIN:
                return End(JobState.QUEUED)
            log.info("job %s (%s) raised %s", attempt.lease.id, attempt.task.name, name_of(error))
            return attempt.or_again(raised(error, _CALLERS), retries.delay_s(error, retried, random.random()))

    async def _finish(self, attempt: Attempt, end: End) -> None:
        """Tell the end, however long it takes: only the end of the process stops it."""
        if attempt.reason is not Reason.FENCED:
            ran_s = asyncio.get_running_loop().time() - attempt.begun
            answer = await self.reporter.finish(attempt.voice, end.state, end.outcome, end.result_bytes, end.delay_s)
            if answer.code == "ok":
                self._count(attempt, end, ran_s)
            elif end.state in TERMINAL:  # what is given back or tried again may have gone already
                log.warning("job %s: its end came too late (%s)", attempt.lease.id, answer.code)
        self._on_end(attempt)

    def _count(self, attempt: Attempt, end: End, ran_s: float) -> None:
        if end.state in TERMINAL:
            attempt.end = end
            attempt.meter.end(end.state.value, ran_s)
        elif end.state is JobState.SCHEDULED:
            attempt.meter.retried += 1

    def abandon(self, attempt: Attempt) -> None:
        """The grace is over: end the function by force, or tell the end without it; then it keeps its slot until it
        returns."""
        if attempt.abandoned or not attempt.function_runs or self.executor(attempt).end(attempt.voice.progress):
            return
        attempt.abandoned = True
        log.warning("job %s (%s) does not end; its slot stays taken", attempt.lease.id, attempt.task.name)
        if attempt.reason in (Reason.CANCEL, Reason.TIMEOUT):
            text = "did not end when asked to; the job ended without its function, which still runs and keeps its slot"
            attempt.voice.warn("not_ending", text, now_ms())
        attempt.voice.progress.stop()
        attempt.verdict = asyncio.get_running_loop().create_task(
            self._finish(attempt, interrupted(attempt)), name=f"verdict {attempt.lease.id}"
        )
