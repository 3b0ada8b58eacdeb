"""A profile as a tree of calls: made of sampled stacks or of cProfile's figures, pruned to a size, packed. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.codec import MSGPACK

WAITING = "(waiting)"  # a coroutine or thread that has nothing to run
MAX_DEPTH = 100  # frames of one stack; the outermost and the innermost half of a deeper one count
SMALLEST = 0.0005  # of the whole: what took less is not told apart
Key = tuple[str, str, int]  # function, file, its first line
Edge = tuple[int, int, float, float]  # calls without and with recursion, seconds without and with callees


@dataclass(eq=False, slots=True)
class Node:
    """A function as called from its place in the tree."""

    key: Key
    own_s: float = 0.0  # in it, not in what it called
    below: dict[Key, "Node"] = field(default_factory=dict)

    @property
    def total_s(self) -> float:
        """In it and in what it called."""
        return self.own_s + sum(one.total_s for one in self.below.values())

    def child(self, key: Key) -> "Node":
        """A function that it calls."""
        found = self.below.get(key)
        if found is None:
            found = self.below[key] = Node(key)
        return found

    def add(self, stack: Sequence[Key], seconds: float) -> None:
        """A sample: the functions below this one, outermost first."""
        node = self
        if len(stack) > MAX_DEPTH:
            stack = [*stack[: MAX_DEPTH // 2], *stack[-MAX_DEPTH // 2 :]]
        for key in stack:
            node = node.child(key)
        node.own_s += seconds

    def prune(self, least_s: float) -> None:
        """Leave out what took less, with what it called; its time is its caller's then."""
        for key, one in list(self.below.items()):
            total_s = one.total_s
            if total_s < least_s:
                self.own_s += total_s
                del self.below[key]
            else:
                one.prune(least_s)

    def lift(self, leads: Callable[[Key], bool]) -> None:
        """Put what the first functions call in their place, as long as they only lead to others."""
        while any(leads(key) for key in self.below):
            for key, one in list(self.below.items()):
                if leads(key):
                    del self.below[key]
                    self.own_s += one.own_s
                    self.below.update(one.below)

    def pack(self) -> list[Any]:
        """As lists: function, file, line, microseconds of its own, those below."""
        function, file, line = self.key
        return [function[:200], file[:400], line, round(self.own_s * 1e6), [one.pack() for one in self.below.values()]]

    def paths(self, above: tuple["Node", ...] = ()) -> Iterator[tuple["Node", ...]]:
        """Each way from the root to a node with time of its own."""
        path = (*above, self)
        if self.own_s > 0:
            yield path
        for one in self.below.values():
            yield from one.paths(path)


ROOT: Key = ("all", "", 0)


def packed(root: Node, max_bytes: int) -> bytes:
    """A tree in at most so many bytes: the smallest parts are left out, as many as it takes."""
    total_s, share = root.total_s, 0.0002
    data = MSGPACK.encode(root.pack())
    while len(data) > max_bytes and share < 1:
        root.prune(total_s * share)
        share *= 2
        data = MSGPACK.encode(root.pack())
    return data


def unpacked(data: bytes) -> Node:
    """The tree again."""
    return _node(MSGPACK.decode(data))


def _node(given: Sequence[Any]) -> Node:
    function, file, line, own_us, below = given
    node = Node((function, file, line), own_us / 1e6)
    for one in below:
        child = _node(one)
        node.below[child.key] = child
    return node


def from_cprofile(stats: Mapping[Any, Any]) -> Node:
    """A tree from pstats' figures, which only know who called whom: times are shared out among the callers.

    Args:
        stats: `pstats.Stats.stats`: by (file, line, function): calls, calls, own, total, callers.
    """
    callees: dict[Any, list[tuple[Any, float]]] = {}
    for function, (_, _, _, _, callers) in stats.items():
        for caller, (_, _, _, through_s) in callers.items():
            callees.setdefault(caller, []).append((function, through_s))
    root, least_s = Node(ROOT), SMALLEST * sum(own_s for _, _, own_s, _, _ in stats.values())
    for function, (_, _, _, total_s, callers) in stats.items():
        if not callers:
            _grow(root, function, total_s, stats, callees, {function}, least_s)
    return root


def _grow(
    above: Node,
    function: Any,
    total_s: float,
    stats: Mapping[Any, Any],
    callees: Mapping[Any, Any],
    seen: set[Any],
    least_s: float,
) -> None:
    """One function below another, with `total_s` of its time, and what it calls."""
    file, line, name = function
    node = above.child((name, "" if file == "~" else file, line))
    whole_s = stats[function][3]
    share = total_s / whole_s if whole_s > 0 else 0.0
    left_s = total_s
    for callee, through_s in callees.get(function, ()):
        part_s = through_s * share
        if callee not in seen and part_s > least_s and len(seen) < MAX_DEPTH:
            left_s -= part_s
            _grow(node, callee, part_s, stats, callees, seen | {callee}, least_s)
    node.own_s += max(0.0, left_s)


def speedscope(root: Node, name: str) -> dict[str, Any]:
    """The file format of speedscope (https://www.speedscope.app/file-format-schema.json), kind `sampled`."""
    numbers: dict[Key, int] = {}
    samples, weights = [], []
    for path in root.paths():
        samples.append([numbers.setdefault(node.key, len(numbers)) for node in path[1:]])
        weights.append(round(path[-1].own_s, 6))
    frames = [{"name": function, **({"file": file, "line": line} if file else {})} for function, file, line in numbers]
    profile = {
        "type": "sampled",
        "name": name,
        "unit": "seconds",
        "startValue": 0,
        "endValue": round(sum(weights), 6),
        "samples": samples,
        "weights": weights,
    }
    schema = "https://www.speedscope.app/file-format-schema.json"
    return {
        "$schema": schema,
        "shared": {"frames": frames},
        "profiles": [profile],
        "name": name,
        "exporter": "windsock",
    }
