"""One process of the pool as its worker knows it: what it is told, what it says, and how it dies."""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

import msgpack

from server.asking import answer
from server.bond import cause_of_death
from server.call import Call, NotBegun, died, verdict
from server.child import Terms
from server.line import Reading, Word, message
from server.outcome import End
from server.profiling import Made
from server.progress import JobCancelled, Progress
from server.spawn import Spawn

log = logging.getLogger("windsock.process")
READ_BYTES = 64 * 1024  # of the line in one turn of the loop; the shortest log entries in it are under 2,000
PAUSE_S = 0.02  # the line is not read for so long while the store has to catch up …
MAX_PAUSE_S = 2.0  # … but not longer than this in all: then the log has a gap, as that of any job
LOOK_S = 0.02  # between two looks for an exit code
START_S = 120.0  # a process that has not begun a job by then hangs in a task file


class Process:
    """Owns a process and our end of the line to it.

    Duties in call order: `run` for each call, `stop`, `kill`, `close`. It is not `usable` any more once it is dead or
    will soon be.
    """

    def __init__(self, terms: Terms, starter: ThreadPoolExecutor) -> None:
        self._starter = starter  # starts processes, so that the loop need not
        self._loop = asyncio.get_running_loop()
        ours, theirs = Pipe(duplex=True)
        self._line = socket.socket(fileno=os.dup(ours.fileno()))
        ours.close()
        self._line.setblocking(False)
        lifeline, self._lifeline = Pipe(duplex=False)
        self._spawn = Spawn(theirs, lifeline, terms)
        self._reading = Reading()
        self._call: Call | None = None
        self._asked: set[asyncio.Task[None]] = set()  # questions of the call, about children
        self._unsent = bytearray()  # to the process
        self.calls = 0
        self.usable = True

    async def run(self, task: str, args: Mapping[str, Any], progress: Progress, begin: Callable[[], None]) -> End:
        """What a call of the task ended with.

        Raises:
            TaskFailed: it ended badly, or the process died.
            JobCancelled: it was told to end, and did, or was killed.
            NotBegun: the process died without having begun.
        """
        self.calls += 1
        call = self._call = Call(self.calls, progress, begin)
        voice, wish = progress, call.mark and call.mark.wish
        packed = msgpack.packb([call.number, task, dict(args), voice.job_id, voice.attempt, voice.mark.packed, wish])
        watch = self._loop.call_later(START_S, self._not_begun, call)
        try:
            await self._hand_over(call, packed)
            return await call.end
        except asyncio.CancelledError:  # the worker stops
            self.kill()
            raise
        finally:
            watch.cancel()
            self._call = None
            for question in self._asked:
                question.cancel()

    async def _hand_over(self, call: Call, packed: bytes) -> None:
        if call.number > 1:
            future = self._spawn.schedule(packed)
        else:
            self._loop.add_reader(self._line, self._on_readable)
            future = await self._loop.run_in_executor(self._starter, self._spawn.start, packed)
        future.add_done_callback(lambda done: self._hand_back(call, done))

    def _hand_back(self, call: Call, done: "Future[None]") -> None:
        """Pebble is done with a call. In a thread of Pebble's, perhaps after the loop has ended."""
        if done.exception() is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._on_death, call)

    def _not_begun(self, call: Call) -> None:
        if not call.begun:
            call.settle(died(f"no job begun within {START_S:g} s: a task file hangs"))
            self.kill()

    def stop(self) -> None:
        """Ask the function to end: its next progress call raises `JobCancelled`."""
        if self._call is not None:
            self._tell(message(Word.STOP, self._call.number, self._call.progress.goes_on))

    def _tell(self, packed: bytes) -> None:
        """Say something to the process, as fast as it listens."""
        self._unsent += packed
        self._send()

    def _send(self) -> None:
        try:
            del self._unsent[: self._line.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # it is dead, which the reader sees too
            self._unsent.clear()
        self._loop.remove_writer(self._line)
        if self._unsent:
            self._loop.add_writer(self._line, self._send)

    def kill(self) -> None:
        """End the process now, with what it has started; the call ends as if it had done as it was told."""
        self.usable = False
        self._spawn.kill()
        if self._call is not None:
            self._call.settle(JobCancelled())

    @property
    def runs(self) -> bool:
        """Whether the function has begun, as far as it was told."""
        return self._call is not None and self._call.begun

    async def look(self) -> dict[str, Any]:
        """Where the function stands, as `witness.said` says it; the process may be too busy in C to answer.

        Raises:
            OSError: nothing can be told to it.
        """
        seen: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        if self._call is not None:
            self._call.seen.append(seen)
            self._line.send(message(Word.LOOK))
        return await seen

    def sample(self, number: int, seconds: float, interval_s: float, done: Callable[[Made], None]) -> None:
        """Have the function profiled, and call `done` with what came of it.

        Raises:
            OSError: nothing can be told to it.
        """
        if self._call is not None:
            self._call.sampled[number] = done
            self._line.send(message(Word.SAMPLE, number, seconds, interval_s))

    # what comes in

    def _on_readable(self) -> None:
        call = self._call
        if call is not None and self._must_pause(call):
            self._loop.remove_reader(self._line)
            self._loop.call_later(PAUSE_S, self._resume)
        elif not self._read():
            self._on_closed()

    def _must_pause(self, call: Call) -> bool:
        """Whether the function should wait in `log` rather than fill our memory."""
        if not call.progress.pressing:
            call.pressed_since = None
            return False
        if call.pressed_since is None:
            call.pressed_since = self._loop.time()
        return self._loop.time() - call.pressed_since < MAX_PAUSE_S

    def _resume(self) -> None:
        if self._line.fileno() >= 0:
            self._loop.add_reader(self._line, self._on_readable)

    def _read(self) -> bool:
        """Take in what has come; False when the line is at its end."""
        try:
            data = self._line.recv(READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._reading.feed(data)
        for word, content in self._reading:
            self._on_message(word, content)
        return bool(data)

    def _on_message(self, word: Word, content: list[Any]) -> None:
        if word is Word.HELLO:
            self._spawn.greeted()
            if not self.usable:  # it was to be killed before it could be
                self._spawn.kill()
        elif self._call is not None and word is Word.BEGIN:
            self._call.begun = True
            self._call.begin()
        elif self._call is not None and word is Word.SAID:
            self._call.progress.relay(*content)
        elif self._call is not None and word is Word.ASK:
            self._answer(self._call, content)
        elif self._call is not None and word in (Word.SEEN, Word.PROFILED):
            self._call.on_insight(word, content)
        elif self._call is not None and word is Word.END:
            self._call.settle(verdict(*content))

    def _answer(self, call: Call, question: list[Any]) -> None:
        async def answering() -> None:
            self._tell(await answer(call.progress.relatives(), *question))

        task = self._loop.create_task(answering(), name="question of a process")
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    def _on_closed(self) -> None:
        """Nothing more will come: the process is dead, or as good as dead."""
        self.usable = False
        self._loop.remove_reader(self._line)
        self._loop.remove_writer(self._line)
        self._spawn.buried()
        if self._call is not None:
            self._on_death(self._call)

    def _on_death(self, call: Call) -> None:
        """How it died becomes known a moment after that it did."""
        self.usable = False
        if call.end.done():
            return
        code = self._spawn.exit_code
        if code is None:
            self._loop.call_later(LOOK_S, self._on_death, call)
            return
        self._hear_last_words()
        how = cause_of_death(code)
        if not call.begun:
            call.settle(NotBegun(how))
        elif not call.end.done():
            log.warning("the process of job %s died: %s", call.progress.job_id, how)
            call.settle(died(how))

    def _hear_last_words(self) -> None:
        """What it said before it died may be in the line still."""
        self._loop.remove_reader(self._line)
        while self._waits() and self._read():
            pass
        self._spawn.buried()

    def _waits(self) -> bool:
        try:
            return bool(self._line.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    # the end

    def close(self) -> "asyncio.Future[None]":
        """Let it end, or if it is not usable any more, see that it does; the future is done when it has."""
        if not self.usable or self._call is not None:
            self.kill()
            self._lifeline.close()  # if it has no group yet
        self.usable = False
        self._loop.remove_reader(self._line)
        self._loop.remove_writer(self._line)
        gone: asyncio.Future[None] = self._loop.create_future()
        threading.Thread(target=self._close, args=(gone,), name="windsock-process-end", daemon=True).start()
        return gone

    def _close(self, gone: "asyncio.Future[None]") -> None:
        self._spawn.close()
        self._lifeline.close()
        self._line.close()
        with suppress(RuntimeError):  # the loop has ended before
            self._loop.call_soon_threadsafe(_tell, gone)


def _tell(gone: "asyncio.Future[None]") -> None:
    if not gone.done():  # nobody waits any more
        gone.set_result(None)
