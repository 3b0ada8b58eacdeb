"""What can be seen of a running attempt from outside: where it stands, from any thread, whatever the loop does."""

from collections.abc import Sequence
from types import FrameType
from typing import Any

from server.blame import own_part
from server.calltree import Key
from server.frames import CARRIERS, MAX_SIDE, Spot, awaits, spots_of, stack_in, step_in, text_of, waiting_for
from server.marks import MARK, Mark, place_in
from server.registry import Kind
from server.sampling import Stack, keys_below, waiting

MAX_TEXT = 65536  # characters of a stack's text


def stack_answer(mark: Mark, loop_thread: int) -> dict[str, Any]:
    """Where a coroutine or thread job stands: frames, and the same as text."""
    on_loop = _on_loop(mark, loop_thread)
    if mark.task.kind is Kind.THREAD:
        spots = own_part(spots_of(_in_thread(mark)))
        return said(spots, "" if spots else "its thread has not begun, or has just returned")
    if on_loop:
        return said(own_part(spots_of(on_loop)), "it runs at this moment, and the loop waits for it")
    work = mark.work
    if work is None or work.done():
        return said([], "its function has just returned")
    return said(own_part(list(awaits(work))), _others(work))


def said(spots: Sequence[Spot], more: str = "") -> dict[str, Any]:
    """The answer that a stack is."""
    text = text_of(spots) + (f"\n{more}" if more else "")
    return {"frames": [spot.show() for spot in spots], "text": text.lstrip("\n")[:MAX_TEXT]}


def _others(work: Any) -> str:
    """The other tasks of a gather, each with its stack."""
    others = waiting_for(work)[1:]
    parts = [f"and task {one.get_name()}:\n{text_of(list(awaits(one)))}" for one in others[:MAX_SIDE]]
    if len(others) > MAX_SIDE:
        parts.append(f"and {len(others) - MAX_SIDE} tasks more")
    return "\n".join(parts)


def _in_thread(mark: Mark) -> list[FrameType]:
    """The stack of its thread, while that runs its function."""
    stack = stack_in(mark.thread)
    return stack if place_in(stack) == mark.place.number else []


def _on_loop(mark: Mark, loop_thread: int) -> list[FrameType]:
    """The stack of the loop's thread if a step of this attempt is on it, its own or of what it has started."""
    stack = stack_in(loop_thread)
    place = place_in(stack)
    if place is not None:
        return stack if place == mark.place.number else []
    handle = step_in(stack)
    return stack if handle is not None and handle._context.get(MARK) is mark else []


# for the sampler


def look_at(mark: Mark, loop_thread: int) -> Stack:
    """Where it stands, as functions; None when it has returned."""
    if not mark.running:
        return None
    if mark.task.kind is Kind.THREAD:
        return own_keys(_in_thread(mark))
    if stack := _on_loop(mark, loop_thread):
        return own_keys(stack)
    work = mark.work
    if work is None:
        return None
    spots = own_part(list(awaits(work)))
    return waiting([(spot.function, spot.file, spot.first) for spot in spots])


def own_keys(stack: list[FrameType]) -> list[Key]:
    """Below the attempt's place, or below the step of the loop that runs what it has started."""
    first = max((i for i, frame in enumerate(stack) if place_in([frame]) is not None), default=None)
    if first is None:
        first = max(
            (i for i, frame in enumerate(stack) if frame.f_code.co_filename.endswith("asyncio/events.py")), default=-1
        )
    return keys_below(stack[first + 1 :], _carries)


def _carries(frame: FrameType) -> bool:
    """Whether a frame only leads to the function."""
    return frame.f_code.co_filename.endswith(CARRIERS)
