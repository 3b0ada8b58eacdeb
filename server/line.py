"""What a worker and a process of its pool say to each other: the words, and where one message ends. Pure.

A message is four bytes that say how long it is, and a list in MessagePack: a word and what belongs to it.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgpack

_HEAD = 4  # bytes before a message


class Word(StrEnum):
    """What a message is about."""

    HELLO = "hello"  # process → worker: it has its end of the line, and a process group of its own
    BEGIN = "begin"  # process → worker: the function of the call runs from here
    SAID = "said"  # process → worker: the bar (or none), log entries, a checkpoint (or none)
    END = "end"  # process → worker: state, outcome, bytes of the result, names of the exception's type; the last word
    ASK = "ask"  # process → worker: number of the question, spawn or gather, and of what
    TOLD = "told"  # worker → process: number of the question, how it went, and with what
    SEEN = "seen"  # process → worker: where the function stands
    PROFILED = "profiled"  # process → worker: number that was asked for, or 0 for a whole run; the profile
    STOP = "stop"  # worker → process: the call of this number is to end; whether another attempt follows
    LOOK = "look"  # worker → process: where does the function stand?
    SAMPLE = "sample"  # worker → process: profile it: number, seconds, seconds between two samples


def message(word: Word, *content: Any) -> bytes:
    """The bytes of a message."""
    body: bytes = msgpack.packb([word.value, *content])
    return len(body).to_bytes(_HEAD, "big") + body


class Reading:
    """Owns the bytes that have come and are not a whole message yet."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """Take in what has come."""
        self._bytes += data

    def __iter__(self) -> Iterator[tuple[Word, list[Any]]]:
        """The messages that are whole; each comes once."""
        while len(self._bytes) >= _HEAD:
            end = _HEAD + int.from_bytes(self._bytes[:_HEAD], "big")
            if len(self._bytes) < end:
                return
            word, *content = msgpack.unpackb(self._bytes[_HEAD:end])
            del self._bytes[:end]
            yield Word(word), content
