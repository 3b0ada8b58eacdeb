"""Children of a function in a process: it asks its worker for them over the line, and waits for the answer."""

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import astuple
from enum import StrEnum
from typing import Any

from server.line import Word, message
from server.progress import JobCancelled
from server.tree import Child, ChildFailed, Family, OnFailure, SpawnRefused, Wish


class How(StrEnum):
    """How a question was answered."""

    DONE = "done"
    REFUSED = "refused"  # a SpawnRefused
    FAILED = "failed"  # a ChildFailed


class _Question:
    """One question, until it is answered."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.answer: tuple[str, Any] | None = None  # None when the job was asked to end


class Asking:
    """The family of a function in this process. Threads of the function may ask at the same time."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._numbers = itertools.count(1)
        self._questions: dict[int, _Question] = {}
        self._lock = threading.Lock()
        self._stopped = False

    def spawn(self, wish: Wish) -> Child:
        """Have a child; returns when it is stored."""
        job_id, task = self._ask("spawn", list(astuple(wish)))
        return Child(job_id, task)

    def gather(self, children: Sequence[Child], on_failure: OnFailure) -> list[Any]:
        """Wait for children; the process is held, the slot is not."""
        results = self._ask("gather", [[child.id for child in children], on_failure.value])
        return [value if how == How.DONE else ChildFailed(*value) for how, value in results]

    def _ask(self, what: str, content: list[Any]) -> Any:
        question, number = _Question(), next(self._numbers)
        with self._lock:
            if self._stopped:
                raise JobCancelled
            self._questions[number] = question
        self._send(message(Word.ASK, number, what, content))
        question.answered.wait()
        if question.answer is None:
            raise JobCancelled
        how, value = question.answer
        if how == How.REFUSED:
            raise SpawnRefused(value)
        if how == How.FAILED:
            raise ChildFailed(*value)
        return value

    def hear(self, number: int, how: str, value: Any) -> None:
        """The worker has answered."""
        question = self._questions.pop(number, None)
        if question is not None:
            question.answer = (how, value)
            question.answered.set()

    def stop(self) -> None:
        """The job was asked to end: nothing is waited for any more."""
        with self._lock:
            self._stopped = True
            questions, self._questions = list(self._questions.values()), {}
        for question in questions:
            question.answered.set()


async def answer(family: Family, number: int, what: str, content: list[Any]) -> bytes:
    """The worker's side: do what a process asks; the message to send it."""
    try:
        if what == "spawn":
            child = family.spawn(Wish(*content))
            await child
            value: Any = [child.id, child.task]
        else:
            ids, on_failure = content
            results = await family.gather([Child(job_id, "") for job_id in ids], OnFailure(on_failure))
            value = [_row(one) for one in results]
    except SpawnRefused as error:
        return message(Word.TOLD, number, How.REFUSED.value, str(error))
    except ChildFailed as error:
        return message(Word.TOLD, number, How.FAILED.value, _fields(error))
    except Exception as error:  # whoever waits in the process would wait for good
        return message(Word.TOLD, number, How.REFUSED.value, f"{type(error).__name__}: {error}")
    return message(Word.TOLD, number, How.DONE.value, value)


def _row(result: Any) -> list[Any]:
    if isinstance(result, ChildFailed):
        return [How.FAILED.value, _fields(result)]
    return [How.DONE.value, result]


def _fields(error: ChildFailed) -> list[Any]:
    return [error.child, error.task, error.state, error.error]
