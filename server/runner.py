"""One job from claim to verdict.

The road: `start` → `_call` (bind the arguments, run the function) → an end for whatever came out → `Reporter.finish`.
What may happen on the way is an interruption with a reason: cancel, timeout, drain, fenced. The function is asked to
end; if it does not within the grace, the verdict is given without it.
"""

import asyncio
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from server.broker import Lease
from server.codec import MAX_DEPTH, MSGPACK, check_value
from server.errors import Invalid
from server.executors import Executor, Executors
from server.job import ErrorCode, JobState
from server.metrics import Metrics
from server.progress import JobCancelled
from server.registry import Registry, Task
from server.reporter import Reporter, Voice
from server.settings import Settings

log = logging.getLogger("windsock.runner")
MAX_MESSAGE = 4000  # characters of an error message
MAX_TRACEBACK = 16_000  # characters of a traceback; its end is what helps


class Reason(Enum):
    """Why a running job is interrupted."""

    CANCEL = auto()
    TIMEOUT = auto()
    DRAIN = auto()
    FENCED = auto()  # another attempt has the job, or the store has forgotten it


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended."""

    state: JobState
    outcome: bytes | None = None  # packed result or error
    result_bytes: int | None = None


class Attempt:
    """One attempt while it runs: the function, its voice, and why it is interrupted, if it is."""

    __slots__ = (
        "abandoned",
        "begun",
        "end",
        "function_runs",
        "grace",
        "lease",
        "meter",
        "reason",
        "runner",
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
        self.voice: Voice = runner.reporter.open(lease, lambda _: self.interrupt(Reason.FENCED))
        self.reason: Reason | None = None
        self.timer: asyncio.TimerHandle | None = None  # of the timeout
        self.grace: asyncio.TimerHandle | None = None  # after an interruption
        self.work: asyncio.Task[None] | None = None  # runs the function
        self.verdict: asyncio.Task[None] | None = None  # of an abandoned attempt
        self.function_runs = False  # only then may `work` be cancelled: before and after, it is ours
        self.end: End | None = None  # once the store has it
        self.abandoned = False  # its end was told while the function still runs

    def interrupt(self, reason: Reason, grace_s: float | None = None) -> None:
        """Ask the function to end; the first reason stands. After the grace the job ends without it."""
        if self.reason is None or reason is Reason.FENCED:
            self.reason = reason
        if self.abandoned or self.work is None or not self.function_runs:
            return
        self.runner.executor(self).interrupt(self.work, self.voice.progress)
        if self.grace is None:
            wait_s = self.runner.settings.cancel_grace_s if grace_s is None else grace_s
            self.grace = asyncio.get_running_loop().call_later(wait_s, self.runner.abandon, self)

    def stop_timers(self) -> None:
        """Nothing will interrupt it any more."""
        for timer in (self.timer, self.grace):
            if timer is not None:
                timer.cancel()


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
    ) -> None:
        self._registry = registry
        self._executors = executors
        self.reporter = reporter
        self.settings = settings
        self.metrics = metrics
        self._on_free = on_free
        self._on_end = on_end

    def executor(self, attempt: Attempt) -> Executor:
        """Where an attempt runs."""
        return self._executors[attempt.task.kind]

    def start(self, lease: Lease) -> Attempt:
        """Begin an attempt."""
        loop = asyncio.get_running_loop()
        attempt = Attempt(lease, self._registry.get(lease.task), self)
        waited_ms = lease.job.waited_ms
        attempt.meter.start(None if waited_ms is None else waited_ms / 1000)
        attempt.work = loop.create_task(self._run(attempt), name=f"job {lease.id}")
        if lease.timeout_s is not None:
            attempt.timer = loop.call_later(lease.timeout_s, attempt.interrupt, Reason.TIMEOUT)
        return attempt

    async def _run(self, attempt: Attempt) -> None:
        attempt.function_runs = True
        end = await self._call(attempt) if attempt.reason is None else _interrupted(attempt)
        attempt.function_runs = False
        attempt.stop_timers()
        self._on_free(attempt)
        if not attempt.abandoned:
            await self._finish(attempt, end)

    async def _call(self, attempt: Attempt) -> End:
        """Run the function; how it ended. Nothing a task raises gets past here."""
        try:
            call = attempt.task.bind(attempt.lease.args, attempt.voice.progress)
            result = await self.executor(attempt).run(attempt.task, call)
            return _result(result, self.settings.result_bytes)
        except (asyncio.CancelledError, JobCancelled):
            return _interrupted(attempt)
        except Invalid as error:
            return _failed(ErrorCode.EXCEPTION, f"the arguments do not fit the task as this worker knows it: {error}")
        except BaseException as error:
            if attempt.reason is Reason.DRAIN:
                return End(JobState.QUEUED)
            log.info("job %s (%s) raised %s", attempt.lease.id, attempt.task.name, type(error).__name__)
            return _raised(error)

    async def _finish(self, attempt: Attempt, end: End) -> None:
        """Tell the end, however long it takes: only the end of the process stops it."""
        if attempt.reason is not Reason.FENCED:
            ran_s = asyncio.get_running_loop().time() - attempt.begun
            answer = await self.reporter.finish(attempt.voice, end.state, end.outcome, end.result_bytes)
            if answer.code != "ok" and end.state is not JobState.QUEUED:  # what is given back may have gone already
                log.warning("job %s: its end came too late (%s)", attempt.lease.id, answer.code)
            if answer.code == "ok" and end.state is not JobState.QUEUED:
                attempt.end = end
                attempt.meter.end(end.state.value, ran_s)
        self._on_end(attempt)

    def abandon(self, attempt: Attempt) -> None:
        """The grace is over: tell the end without the function, which keeps its slot until it returns."""
        if attempt.abandoned or not attempt.function_runs:
            return
        attempt.abandoned = True
        log.warning("job %s (%s) does not end; its slot stays taken", attempt.lease.id, attempt.task.name)
        attempt.voice.progress.stop()
        attempt.verdict = asyncio.get_running_loop().create_task(
            self._finish(attempt, _interrupted(attempt)), name=f"verdict {attempt.lease.id}"
        )


def _interrupted(attempt: Attempt) -> End:
    if attempt.reason is Reason.TIMEOUT:
        return _failed(ErrorCode.TIMEOUT, f"ran longer than {attempt.lease.timeout_s:g} s")
    if attempt.reason is Reason.DRAIN:
        return End(JobState.QUEUED)
    if attempt.reason is None:
        return _failed(ErrorCode.EXCEPTION, "the task cancelled itself")
    return End(JobState.CANCELLED)


def _result(result: Any, max_bytes: int) -> End:
    try:
        value = to_jsonable_python(_finite(result))
        check_value(value, MAX_DEPTH)
        packed = MSGPACK.encode(value)
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        return _failed(ErrorCode.BAD_RESULT, f"the result ({type(result).__name__}) is not a JSON value: {error}")
    if len(packed) > max_bytes:
        return _failed(
            ErrorCode.RESULT_TOO_LARGE,
            f"a result of {len(packed)} bytes; the limit is {max_bytes} (result_bytes): store it and return where",
        )
    return End(JobState.SUCCEEDED, packed, len(packed))


def _finite(result: Any) -> Any:
    if isinstance(result, Iterator):  # it may have no end, and going through it would block the loop
        raise TypeError("an iterator has no value of its own: return a list")
    return result


def _raised(error: BaseException) -> End:
    """The failure an exception means, with the traceback from the task's own frame on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, trace))
        message = f"{type(error).__name__}: {error}"
    except Exception:  # a __str__ that raises
        text, message = "", type(error).__name__
    return _failed(ErrorCode.EXCEPTION, message, text)


def _ours(filename: str) -> bool:
    return filename in (__file__, _EXECUTORS) or filename.endswith(
        ("concurrent/futures/thread.py", "asyncio/futures.py")
    )


_EXECUTORS = Executors.__init__.__code__.co_filename


def _failed(code: ErrorCode, message: str, trace: str | None = None) -> End:
    error = {"code": code.value, "message": _text(message)[:MAX_MESSAGE]}
    if trace:
        error["traceback"] = _text(trace)[-MAX_TRACEBACK:]
    return End(JobState.FAILED, MSGPACK.encode(error))


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
