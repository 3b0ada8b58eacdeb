"""What a process of the pool tells of the function that it runs: where it stands, and profiles of it."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from server.blame import own_part
from server.frames import spots_of, stack_in
from server.line import Word, message
from server.marks import Place
from server.profiling import CPROFILE, Made, Sampled, Traced
from server.sampling import Stack
from server.witness import own_keys, said

Result = TypeVar("Result")


class Inside:
    """Owns the recordings in a process. Duties in call order: `run` for each call; `look` and `sample` meanwhile."""

    def __init__(self, send: Callable[[bytes], None], interval_s: float, max_bytes: int) -> None:
        self._send = send
        self._interval_s = interval_s
        self._max_bytes = max_bytes
        self._place = Place(0)
        self._thread: int | None = None  # that runs a function now
        self._asked: dict[int, Sampled] = {}  # profiles on demand that are under way, by number

    def run(self, function: Callable[[], Result], wish: str | None) -> Result:
        """What the function returns or raises; the profile that is wished for is sent before."""
        self._thread = threading.get_ident()
        traced = Traced(self._max_bytes) if wish == CPROFILE else None
        sampled = Sampled(self._stack, self._interval_s, self._max_bytes) if wish and traced is None else None
        recording = traced or sampled
        if recording is not None:
            recording.begin()
        try:
            result: Result = self._place.call(function if traced is None else lambda: traced.call(function))
            return result
        finally:
            self._thread = None
            for number in list(self._asked):
                self._sampled(number)
            if recording is not None:
                self._tell(0, recording.end())

    def _stack(self) -> Stack:
        thread = self._thread
        return None if thread is None else own_keys(stack_in(thread))

    def look(self) -> None:
        """Say where the function stands."""
        spots = own_part(spots_of(stack_in(self._thread)))
        answer = said(spots, "" if spots else "its function has not begun, or has just returned")
        self._send(message(Word.SEEN, answer))

    def sample(self, asked: int, seconds: float, interval_s: float) -> None:
        """Make a profile of the function from now on; it is sent when the time is over, or the function."""
        self._asked[asked] = Sampled(self._stack, interval_s, self._max_bytes, seconds, lambda: self._sampled(asked))
        self._asked[asked].begin()

    def _sampled(self, asked: int) -> None:
        """The time is over, or the function: whoever sees that first sends the profile."""
        recording = self._asked.pop(asked, None)
        if recording is not None:
            self._tell(asked, recording.end())

    def _tell(self, asked: int, made: Made) -> None:
        self._send(message(Word.PROFILED, asked, *made.row()))


def made_of(row: list[Any]) -> Made:
    """A profile that a process has sent."""
    return Made(*row)
