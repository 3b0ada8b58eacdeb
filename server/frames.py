"""Stacks as data: from live frames and from suspended coroutines. And whose a frame is."""

import ast
import gc
import linecache
import selectors
import sys
import sysconfig
import threading
from asyncio.events import Handle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

HOUSE = Path(__file__).resolve().parent.parent
OURS = tuple(f"{HOUSE / room}/" for room in ("server", "handlers", "cli", "windsock"))
CARRIERS = tuple(  # files whose frames only lead to a job's function, or come in between
    f"/server/{name}.py" for name in ("runner", "executors", "marks", "child", "inside", "profiling", "silence")
)
_LIBRARIES = tuple(
    {f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {"<frozen", "<string>", "<attrs"}
)
MAX_SPOTS = 200  # of a stack: the outermost and the innermost half of a deeper one are kept
MAX_DEPTH = 20  # tasks that wait for each other
MAX_SIDE = 10  # tasks of one gather that are looked at
STEP = Handle._run.__code__  # each callback and each step of a task runs below it
_IDLE = {
    one.select.__code__
    for name in ("EpollSelector", "KqueueSelector", "PollSelector", "SelectSelector", "DevpollSelector")
    if (one := getattr(selectors, name, None)) is not None
}


@dataclass(frozen=True, slots=True)
class Spot:
    """One frame of a stack."""

    file: str
    line: int
    function: str
    first: int = 0  # line of its definition; 0 where that is not known
    columns: tuple[int, int, int, int] | None = None  # first line, last line, columns of what it executes

    @property
    def code(self) -> str:
        """The source line."""
        return linecache.getline(self.file, self.line).strip()

    @property
    def where(self) -> str:
        """`jobs.py:41`."""
        return f"{Path(self.file).name}:{self.line}"

    @property
    def ours(self) -> bool:
        """Whether it is Windsock's own code."""
        return self.file.startswith(OURS)

    @property
    def in_library(self) -> bool:
        """Whether it is neither a task file's code nor what a task file belongs to."""
        return self.ours or "/site-packages/" in self.file or self.file.startswith(_LIBRARIES)

    def show(self) -> dict[str, Any]:
        """As JSON."""
        return {"file": self.file, "line": self.line, "function": self.function, "code": self.code}


def spot_of(frame: FrameType) -> Spot:
    """One live frame."""
    code = frame.f_code
    columns = _columns(code, frame.f_lasti)
    return Spot(code.co_filename, frame.f_lineno or code.co_firstlineno, code.co_name, code.co_firstlineno, columns)


def _columns(code: CodeType, lasti: int) -> tuple[int, int, int, int] | None:
    """What the instruction at `lasti` was compiled from."""
    if lasti < 0:
        return None
    for number, found in enumerate(code.co_positions()):
        if number * 2 == lasti:
            first, last, start, end = found
            if first is None or last is None or start is None or end is None:
                return None
            return first, last, start, end
    return None


def stack_in(thread: int | None) -> list[FrameType]:
    """The frames of any thread, outermost first; none where it has ended."""
    with without_collections:
        return stack_of(None if thread is None else sys._current_frames().get(thread))


class _WithoutCollections:
    """Whoever looks at the frames of another thread may not be interrupted by a collection of garbage.

    Making a frame object can set one off; it runs Python code, which lets the other thread go on; and then CPython goes
    on with a frame that is no more.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # the handler of a signal may come in between
        self._depth = 0
        self._was_enabled = False

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._depth == 0:
            self._was_enabled = gc.isenabled()
            gc.disable()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0 and self._was_enabled:
            gc.enable()
        self._lock.release()


without_collections = _WithoutCollections()


def stack_of(frame: FrameType | None) -> list[FrameType]:
    """The frames of a thread, outermost first."""
    found: list[FrameType] = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found[::-1]


def spots_of(frames: Sequence[FrameType]) -> list[Spot]:
    """These frames as data; of a very deep stack the middle is left out."""
    if len(frames) > MAX_SPOTS:
        half = MAX_SPOTS // 2
        frames = [*frames[:half], *frames[-half:]]
    return [spot_of(frame) for frame in frames]


def step_in(stack: Sequence[FrameType]) -> Any:
    """The handle that a loop's thread runs; None while it waits for something to do."""
    if not stack or stack[-1].f_code in _IDLE:
        return None
    with without_collections:
        return _handle_in(stack)


def _handle_in(stack: Sequence[FrameType]) -> Any:
    for frame in reversed(stack):
        if frame.f_code is STEP:
            return frame.f_locals.get("self")
    return None


# coroutines


def awaits(task: Any, depth: int = 0) -> Iterator[Spot]:
    """Where a suspended asyncio task stands: its coroutine, what that awaits, and so on into the tasks it waits for.

    Of a gather the first that has not ended is followed; `waiting_for` has all of them.
    """
    yield from chain(task.get_coro())
    for other in waiting_for(task)[:1] if depth < MAX_DEPTH else ():
        yield from awaits(other, depth + 1)


def waiting_for(task: Any) -> list[Any]:
    """The tasks that a suspended task waits for."""
    waiter = getattr(task, "_fut_waiter", None)  # of asyncio, in C and in Python
    if waiter is None:
        return []
    waiters = list(getattr(waiter, "_children", ())) or [waiter]
    return [one for one in waiters if hasattr(one, "get_coro") and not one.done()]


def chain(coroutine: Any) -> list[Spot]:
    """The frames of a suspended coroutine, outermost first: it, what it awaits, what that awaits."""
    with without_collections:
        return list(_chain(coroutine))


def _chain(coroutine: Any) -> Iterator[Spot]:
    for _ in range(MAX_SPOTS):
        for kind in ("cr", "gi", "ag"):
            if hasattr(coroutine, f"{kind}_frame"):
                break
        else:
            return
        frame = getattr(coroutine, f"{kind}_frame")
        if frame is None:
            return
        yield spot_of(frame)
        coroutine = getattr(coroutine, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")


# text


def text_of(spots: Sequence[Spot]) -> str:
    """As Python prints a stack, the innermost frame last."""
    lines: list[str] = []
    for spot in spots:
        lines.append(f'  File "{spot.file}", line {spot.line}, in {spot.function}')
        if spot.code:
            lines.append(f"    {spot.code}")
    return "\n".join(lines)


# whose it is, and what it does


def culprit(spots: Sequence[Spot], own_file: str | None) -> Spot | None:
    """The frame to name: the innermost of the task's own file, else the innermost that is no library's."""
    for spot in reversed(spots):
        if spot.file == own_file:
            return spot
    for spot in reversed(spots):
        if not spot.in_library:
            return spot
    return None


def called_at(spot: Spot) -> str:
    """What a frame was calling, as its source says it: `time.sleep`. Empty where that has no name."""
    whole = _tree(_segment(spot) if spot.columns is not None else spot.code)
    return _name_of(whole.func) if isinstance(whole, ast.Call) else ""


def _tree(source: str) -> ast.AST:
    """What some source is; an expression without the statement around it. It may be a part that stands for nothing."""
    for wrapped in (source.strip(), f"{source.strip()}\n    pass", f"async def _():\n {source.strip()}"):
        try:
            body = ast.parse(wrapped).body
        except (SyntaxError, ValueError, RecursionError):
            continue
        first = body[0] if len(body) == 1 else ast.Pass()
        return first.value if isinstance(first, ast.Expr) else first
    return ast.Pass()


def _name_of(function: ast.expr) -> str:
    """`json.dumps`; of a method of something without a name, that of the method."""
    name = ast.unparse(function)
    if "(" in name or "[" in name:
        name = function.attr if isinstance(function, ast.Attribute) else ""
    return name[:60]


def _segment(spot: Spot) -> str:
    """The source that a frame executes. Columns count bytes."""
    assert spot.columns is not None
    first, last, start, end = spot.columns
    lines = [linecache.getline(spot.file, number).encode() for number in range(first, last + 1)]
    if len(lines) == 1:
        return lines[0][start:end].decode(errors="replace")
    return b"".join([lines[0][start:], *lines[1:-1], lines[-1][:end]]).decode(errors="replace")
