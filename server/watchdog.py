"""Sees that a step of the loop takes too long, and names whose it is.

A thread looks at the loop's thread some times in `block_s`: the loop itself does nothing for it. A step is one
callback, known by its handle; one that is there at every look of that time blocks the loop. Time in which the thread
could not look is not held against anybody: the machine was busy, or code in C kept the GIL, and then the bell of
`silence` rings.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from server.blame import Blame, Block
from server.frames import STEP, spot_of, spots_of, stack_in, stack_of, step_in
from server.marks import MARK, Mark, Marks, place_in
from server.settings import Settings
from server.silence import Bell, Collections, Effort, Labour

log = logging.getLogger("windsock.watchdog")
LOOKS = 4  # in the time after which a step is too long
STUCK_EXIT = 70  # exit code of a worker whose loop was blocked for too long
ALARM_S = 1.0  # the kernel's timer that ends a worker is set anew this often


class Watchdog:
    """Owns the thread that looks, and the bell. Duties in call order: `start`, `clear` for each end, `stop`.

    `tell(blame)` is called on the loop, when it is free again.
    """

    def __init__(self, settings: Settings, marks: Marks, tell: Callable[[Blame], None], *, exits: bool = False) -> None:
        self._marks = marks
        self._tell = tell
        self._exits = exits  # when the loop is blocked past `max_block_s`
        self._limit_s = settings.block_s
        self._max_s = settings.max_block_s
        self._wait_s = settings.block_s / LOOKS
        self._loop = asyncio.get_running_loop()
        self._loop_thread, self._native_id = threading.get_ident(), threading.get_native_id()
        self._thread = threading.Thread(target=self._run, name="windsock-watchdog", daemon=True)
        self._stopping = threading.Event()
        self._bell, self._labour, self._collections = Bell(), Labour(), Collections()
        self._looked = time.monotonic()
        self._alarm_at = 0.0
        self._step: Any = None  # the handle that runs
        self._rung: Any = None  # … when the bell rang last, since the last look
        self._awaited = False  # the bell should have rung, and one look was left out for it
        self._untold = [True]  # taken by who is the first to tell of a silence since the last look
        self._since = self._looked  # when it was seen first
        self._age = 0.0  # seconds of it that were looked at
        self._before = self._effort()  # of the loop's thread when it was seen first
        self._at: tuple[int, int] | None = None  # the frame and the instruction where it was seen first …
        self._moved = False  # … and whether it was seen elsewhere
        self._block: Block | None = None  # of this step
        self._last = (0.0, 0.0)  # when the last block was over, and how long it was

    # on the loop

    def start(self) -> None:
        """Begin to look."""
        self._bell.open(self._on_bell)
        self._collections.open()
        self._labour.look()
        self._bell.wind(self._limit_s / 2)  # what keeps the GIL before the first look is found too
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=2.0)
        self._bell.close()
        self._collections.close()
        if self._exits:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def clear(self, mark: Mark) -> None:
        """An attempt whose function has returned: tell what there is to tell of it before its end is told."""
        if mark.block is not None:
            self._over(mark.block)

    def _over(self, block: Block) -> None:
        """The loop is free again."""
        if block.told:
            return
        block.told = True
        now = time.monotonic()
        seconds = min(now, block.seen + self._wait_s) - block.since
        self._last = (now, seconds)
        blame = block.blame(seconds)
        if block.mark is not None:
            block.mark.block = None
        if blame.mark is not None:
            blame.mark.blocks.append(seconds)
        self._tell(blame)

    # the bell: in the loop's thread, in the middle of whatever it runs

    def _on_bell(self, frame: FrameType | None) -> None:
        try:
            self._ring(stack_of(frame), time.monotonic())
        except Exception:
            log.exception("a look at the loop failed")

    def _ring(self, stack: list[FrameType], now: float) -> None:
        """Late: something has kept the GIL up to now. In time, and again in the same step: C that lets signals in."""
        late, step = self._bell.late(), step_in(stack)
        again, self._rung = step is not None and step is self._rung, step
        if self._block is not None and step is self._step:
            self._block.look(spots_of(stack), now)
        elif late:
            self._after_silence(now, stack)
        elif again and now - self._looked >= self._limit_s:
            self._note_step(stack, now)
        self._bell.wind(self._limit_s / 2)

    def _after_silence(self, now: float, stack: list[FrameType] | None = None) -> None:
        """Something has kept the GIL: the thread that has worked most, which stands behind the call that did until it
        has the GIL again. So whoever runs first looks at once, and who comes later says nothing.

        Args:
            stack: of the loop's thread; None where another asks, which does not see that behind a call of its own.
        """
        gap_s, thread = now - self._looked, self._labour.most()
        if gap_s < self._limit_s or (stack is None and thread == self._loop_thread) or not self._is_first():
            return
        if self._collections.seconds_since(self._looked) > gap_s / 2:
            self._open(Block(None, self._looked, now, because="a full collection of garbage"))
        elif stack is not None and thread == self._loop_thread:
            self._note_step(stack, now)
        elif thread is not None:
            mark, frames = self._marks.in_thread(thread), stack_in(thread)
            block = Block(mark, self._looked, now, sure=True)
            gone = mark is not None and place_in(frames) != mark.place.number  # it has returned from its function
            block.look([] if gone else spots_of(frames), now)
            self._open(block)
        else:
            log.info("nothing could run for %.1f s, and it is not known whose fault that was", gap_s)

    def _is_first(self) -> bool:
        """Whether nobody has told yet of a silence since the last look. One step, for any thread may ask."""
        try:
            return bool(self._untold.pop())
        except IndexError:
            return False

    def _note_step(self, stack: list[FrameType], now: float) -> None:
        """The step that runs has lasted since the last look, or nearly."""
        if (step := step_in(stack)) is not None:
            self._step, self._since, self._age = step, self._looked, self._limit_s
            self._note(stack, now)

    # for the beat's thread, too

    @property
    def late_s(self) -> float:
        """How long the loop has been blocked, or was in the last two seconds."""
        now = time.monotonic()
        block, (over, seconds) = self._block, self._last
        if block is not None and not block.told:
            return now - block.since
        return seconds if now - over < 2.0 else 0.0

    def describe(self) -> dict[str, Any] | None:
        """Who blocks the loop at this moment, for the list of nodes. The beat may be the first to run again."""
        now = time.monotonic()
        if self._silent(now):
            self._after_silence(now)
        block = self._block
        if block is None or block.told:
            return None
        blame = block.blame(now - block.since)
        job = None if blame.mark is None else blame.mark.job_id
        return {"seconds": round(blame.seconds, 1), "job": job, "task": blame.task, "where": blame.place}

    # in the thread

    def _run(self) -> None:
        while not self._stopping.wait(self._wait_s):
            try:
                self._look(time.monotonic())
            except Exception:
                log.exception("a look at the loop failed")

    def _look(self, now: float) -> None:
        gap_s = now - self._looked
        silent = self._silent(now)
        its_own = silent and self._labour.most() == self._loop_thread
        if its_own and self._bell.owned and not self._awaited:
            self._awaited = True  # the bell tells of it, which rings as soon as that thread has the GIL again
            return
        stack = stack_in(self._loop_thread)
        before, step = self._step, step_in(stack)
        if silent and not its_own:
            self._after_silence(now)
        if step is None or step is not before:
            self._step, self._since, self._age, self._block = step, now, 0.0, None
            self._at, self._moved = _at(stack), False
            self._before = self._effort() if step is not None else self._before
        else:
            self._age += min(gap_s, 2 * self._wait_s)
            self._moved = self._moved or _at(stack) != self._at
        self._looked, self._rung, self._awaited = now, None, False
        self._untold[:] = [True]
        if self._age >= self._limit_s and self._is_guilty(now):
            self._note(stack, now)
        self._labour.look()
        self._bell.wind(self._limit_s / 2)
        if self._exits and now >= self._alarm_at:
            self._alarm_at = now + min(ALARM_S, self._max_s / 4)
            signal.setitimer(signal.ITIMER_VIRTUAL, self._max_s)  # ends a process whose GIL nobody gives back

    def _silent(self, now: float) -> bool:
        """Whether no thread could look for a while."""
        return now - self._looked > self._limit_s + self._wait_s and self._bell.late()

    def _is_guilty(self, now: float) -> bool:
        """Whether the step itself takes so long, and not the machine; one that was told of only waits for its turn."""
        if self._block is not None:
            return not self._block.told
        return not self._before.hinders(self._effort(), now - self._since, self._limit_s, moved=self._moved)

    def _effort(self) -> Effort:
        return Effort.of(self._loop_thread, self._native_id)

    def _note(self, stack: list[FrameType], now: float) -> None:
        """This step takes too long."""
        block = self._block
        if block is None:
            block = self._block = Block(self._mark_of(stack), self._since, now)
            self._open(block)
        block.look(spots_of(stack), now)
        if self._exits and now - block.since > self._max_s:
            give_up(block.blame(now - block.since), self._max_s)

    def _open(self, block: Block) -> None:
        """It is told when the loop is free, or its attempt ends."""
        if block.mark is not None:
            block.mark.block = block
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._over, block)

    def _mark_of(self, stack: list[FrameType]) -> Mark | None:
        """Whose step this is: an attempt's own, or that of something its function has started."""
        place = place_in(stack)
        if place is not None:
            return self._marks.at(place, time.monotonic())
        handle = step_in(stack)
        mark = None if handle is None else handle._context.get(MARK)
        return mark if mark is not None and mark.running and not _is_ours(stack) else None


def _at(stack: list[FrameType]) -> tuple[int, int] | None:
    return (id(stack[-1]), stack[-1].f_lasti) if stack else None


def _is_ours(stack: list[FrameType]) -> bool:
    """Whether a step began in our own code: it inherited the mark of the job that gave the occasion."""
    below = [frame for frame in stack[::-1]]
    step = next((i for i, frame in enumerate(below) if frame.f_code is STEP), len(below))
    first = next((frame for frame in below[:step][::-1] if "asyncio/" not in frame.f_code.co_filename), None)
    return first is not None and spot_of(first).ours


def give_up(blame: Blame, max_s: float) -> None:
    """End this process, so that its jobs are rescued. From any thread, whatever the loop does."""
    threading.Timer(1.0, os._exit, (STUCK_EXIT,)).start()  # the log may be what is stuck
    job = "no job" if blame.mark is None else f"job {blame.mark.job_id} ({blame.task})"
    log.critical(
        "the loop has been blocked for %.0f s (max_block_s) by %s at %s; ending this worker", max_s, job, blame.place
    )
    logging.shutdown()
    os._exit(STUCK_EXIT)
