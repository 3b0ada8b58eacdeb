"""What a worker finds out about the jobs it runs: warnings, answers to questions, profiles."""

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from server.attempt import Attempt
from server.blame import Blame
from server.broker import Broker, Lease
from server.broker.record import unpack
from server.chores import Chores
from server.codec import MSGPACK
from server.errors import WindsockError
from server.inquiring import PROFILE, STACK
from server.job import BLOCKED_LOOP
from server.profiling import CPROFILE, Made, Sampled, Traced
from server.registry import Kind
from server.reporter import Reporter
from server.runner import Runner, Watch
from server.settings import Settings
from server.witness import look_at, stack_answer

if TYPE_CHECKING:
    from server.process_executor import ProcessExecutor

log = logging.getLogger("windsock.insight")
KEEP_S = 5.0  # longest time that the end of a job waits until its profile is kept
REMEMBERED = 1000  # questions that were answered; each may come twice


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of some process about a job."""

    job_id: str
    sender: str
    number: int
    kind: str
    wish: Mapping[str, Any]
    profile: int  # number that its profile will have; 0 where none was asked for

    @classmethod
    def of(cls, packed: bytes) -> "Asked":
        """As `ask.lua` packs it."""
        job_id, question, profile = unpack(packed)
        wish = MSGPACK.decode(question)
        return cls(job_id.decode(), wish["from"], wish["number"], wish["kind"], wish, profile or 0)


class Insight:
    """Knows the attempts that a worker holds. Duties: `on_block`, `on_ask`, `from_beat`; `begin` and `end` of attempts
    that are profiled as a whole."""

    def __init__(
        self,
        held: Mapping[str, Attempt],
        runner: Runner,
        broker: Broker,
        reporter: Reporter,
        chores: Chores,
        settings: Settings,
    ) -> None:
        self._held = held  # by job id
        self._runner = runner
        self._broker = broker
        self._reporter = reporter
        self._chores = chores
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._taken: dict[tuple[str, int], None] = {}  # questions, the latest last
        self._taking = threading.Lock()  # the beat answers too
        self._sampling: set[tuple[str, int]] = set()  # jobs that are profiled on demand, with their attempt
        self._recording: dict[Attempt, Sampled | Traced] = {}
        self.marks = runner.marks
        runner.recorder = self

    def watch(self, watch: Watch) -> None:
        """From now on somebody looks at what blocks the loop."""
        self._runner.watch = watch

    def on_block(self, blame: Blame) -> None:
        """Code of a job has blocked the loop: say so on the job, if it has not ended."""
        mark = blame.mark
        attempt = None if mark is None else self._held.get(mark.job_id)
        if mark is None or attempt is None or attempt.mark is not mark:
            return
        if mark.worst is None or mark.worst.seconds < blame.seconds:
            mark.worst = blame
            self._chores.spawn(self._broker.inquiry.keep_stack(attempt.lease, blame.stack), "keep a stack")
        attempt.voice.warn(BLOCKED_LOOP, at=_now_ms(), **mark.worst.warning())
        self._reporter.touch(attempt.voice)

    # questions

    def on_ask(self, packed: bytes) -> None:
        """A question, over the link."""
        asked = Asked.of(packed)
        if self._take(asked):
            self._chores.spawn(self._answer(asked), "answer")

    def from_beat(self, packed: bytes) -> tuple[str, int, bytes] | None:
        """A question that the loop may not hear, because it is blocked. In the beat's thread.

        Returns:
            what `answer` takes; None where the loop has answered, or has to.
        """
        asked = Asked.of(packed)
        attempt = self._held.get(asked.job_id)
        if attempt is None or attempt.task.kind is Kind.PROCESS or not self._take(asked):
            return None
        return asked.sender, asked.number, MSGPACK.encode(self._here(attempt, asked))

    def _take(self, asked: Asked) -> bool:
        """Whether nobody has answered it yet."""
        with self._taking:
            key = (asked.sender, asked.number)
            if key in self._taken:
                return False
            self._taken[key] = None
            if len(self._taken) > REMEMBERED:
                del self._taken[next(iter(self._taken))]
            return True

    async def _answer(self, asked: Asked) -> None:
        attempt = self._held.get(asked.job_id)
        if attempt is None or not attempt.mark.running:
            said = _refused("conflict", f"job {asked.job_id} does not run any more")
        elif attempt.task.kind is Kind.PROCESS:
            said = await self._there(attempt, asked)
        else:
            said = self._here(attempt, asked)
        await self._broker.inquiry.answer(asked.sender, asked.number, MSGPACK.encode(said))

    def _here(self, attempt: Attempt, asked: Asked) -> dict[str, Any]:
        """Of a function in this process, from any thread."""
        if asked.kind == STACK:
            return {**self._facts(attempt), **stack_answer(attempt.mark, self._loop_thread)}
        assert asked.kind == PROFILE
        if refusal := self._begin_sampling(attempt):
            return refusal
        recording: Sampled

        def done() -> None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._sampled, attempt, asked, recording.end())

        seconds, interval_s = self._times(asked)
        mark, size = attempt.mark, self._settings.profile_bytes
        recording = Sampled(lambda: look_at(mark, self._loop_thread), interval_s, size, seconds, done)
        recording.begin()
        return {"profile": asked.profile, "seconds": seconds}

    async def _there(self, attempt: Attempt, asked: Asked) -> dict[str, Any]:
        """Of a function in a process of the pool."""
        executor = cast("ProcessExecutor", self._runner.executor(attempt))
        process = executor.process_of(attempt.voice.progress)
        if process is None or (asked.kind == PROFILE and not process.runs):
            return _refused("unavailable", f"the process of job {asked.job_id} has not begun with it yet")
        try:
            if asked.kind == STACK:
                async with asyncio.timeout(self._settings.answer_s * 0.8):
                    return {**self._facts(attempt), **await process.look()}
            if refusal := self._begin_sampling(attempt):
                return refusal
            seconds, interval_s = self._times(asked)
            process.sample(asked.profile, seconds, interval_s, lambda made: self._sampled(attempt, asked, made))
        except (OSError, TimeoutError):
            self._sampling.discard(_key(attempt))
            return _refused(
                "unavailable", f"the process of job {asked.job_id} does not answer: code in C keeps it busy"
            )
        return {"profile": asked.profile, "seconds": seconds}

    def _facts(self, attempt: Attempt) -> dict[str, Any]:
        now = time.monotonic()
        return {
            "job": attempt.lease.id,
            "attempt": attempt.lease.attempt,
            "node": self._settings.name,
            "kind": attempt.task.kind.value,
            "at": _now_ms(),
            "idle_s": round(now - max(attempt.begun, attempt.voice.told), 3),
        }

    # profiles on demand

    def _begin_sampling(self, attempt: Attempt) -> dict[str, Any] | None:
        """A refusal where the job is being profiled."""
        with self._taking:
            if _key(attempt) in self._sampling:
                return _refused("conflict", f"job {attempt.lease.id} is being profiled; wait until that is done")
            self._sampling.add(_key(attempt))
        return None

    def _times(self, asked: Asked) -> tuple[float, float]:
        given = asked.wish.get("interval_ms")
        return asked.wish["seconds"], self._settings.profile_interval_s if given is None else given / 1000

    def _sampled(self, attempt: Attempt, asked: Asked, made: Made) -> None:
        self._sampling.discard(_key(attempt))
        self._chores.spawn(self._keep(attempt.lease, made, asked.profile), "keep a profile")

    async def _keep(self, lease: Lease, made: Made, number: int | None = None) -> None:
        head = made.head(lease.attempt)
        most = self._settings.profiles
        await self._broker.inquiry.keep_profile(lease, number, head, made.tree, made.pstats, most)

    # profiles of whole runs

    def begin(self, attempt: Attempt) -> None:
        """An attempt that is to be profiled begins."""
        mark, settings = attempt.mark, self._settings
        if attempt.task.kind is Kind.PROCESS:
            mark.wish = CPROFILE if attempt.lease.profile == CPROFILE else "sampled"
            return
        if attempt.lease.profile == CPROFILE:
            traced = Traced(settings.profile_bytes)
            if not traced.begin():
                text = "not profiled: another job was traced by cProfile in the same process"
                attempt.voice.warn("not_profiled", text, _now_ms())
                return
            mark.traced = self._recording[attempt] = traced
            return
        sampled = Sampled(lambda: look_at(mark, self._loop_thread), settings.profile_interval_s, settings.profile_bytes)
        self._recording[attempt] = sampled
        sampled.begin()

    async def end(self, attempt: Attempt) -> None:
        """Its function has returned: keep the profile, and then tell the end."""
        recording = self._recording.pop(attempt, None)
        made: Made | None = attempt.mark.made
        try:
            if recording is not None:
                made = await asyncio.to_thread(recording.end)
            if made is not None:
                async with asyncio.timeout(KEEP_S):
                    await self._keep(attempt.lease, made)
        except (WindsockError, TimeoutError) as error:
            log.info("the profile of job %s is not kept: %s", attempt.lease.id, str(error) or "no answer in time")
        except Exception:  # the job has its end all the same
            log.exception("the profile of job %s is lost", attempt.lease.id)


def _key(attempt: Attempt) -> tuple[str, int]:
    return attempt.lease.id, attempt.lease.attempt


def _refused(code: str, message: str) -> dict[str, Any]:
    return {"refused": code, "message": message}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
