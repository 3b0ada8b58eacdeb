"""A profile as a page: a flame graph and a table. HTML and CSS only, no script, no request to anywhere."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import PurePath
from typing import Any

from server.calltree import WAITING, Key, Node
from server.frames import Spot

LEAST = 0.002  # of the whole: what is narrower has no room for a box
ROWS = 40  # functions of the table
NO_ICON = '<link rel="icon" href="data:,">'  # else a browser asks for one, and its policy forbids that aloud
SHARED = "cProfile; times of what several callers share are divided among them"
STYLE = """
:root { color-scheme: light dark; --text: #1f1d1a; --dim: #67625a; --back: #fff; --line: #e6e3dc; --own: #f6ae7d;
  --lib: #cfdcea; --wait: #e9e6df; --box: #1f1d1a }
@media (prefers-color-scheme: dark) { :root { --text: #eeebe5; --dim: #a69f94; --back: #1b1a18; --line: #312f2b;
  --own: #a34a17; --lib: #2f4358; --wait: #2d2b28; --box: #f6f3ee } }
body { font: 14px/1.5 Inter, system-ui, sans-serif; color: var(--text); background: var(--back); margin: 1rem }
h1 { font-size: 1.0625rem; margin: 0; overflow-wrap: anywhere } h2 { font-size: .9375rem; margin: 1.25rem 0 .5rem }
p { margin: .25rem 0 0; color: var(--dim); font-size: .8125rem }
.box { box-sizing: border-box; min-width: 0; overflow: hidden }
.box > span { display: block; height: 1.35rem; line-height: 1.35rem; padding: 0 .3em; overflow: hidden;
  color: var(--box); white-space: nowrap; text-overflow: ellipsis; font-size: 12px; border: 1px solid var(--back);
  border-radius: 3px; background: var(--lib) }
.box > span:hover { outline: 2px solid var(--text); outline-offset: -2px }
.own > span { background: var(--own) } .wait > span { background: var(--wait); font-style: italic }
.below { display: flex }
table { border-collapse: collapse; font-size: .8125rem } th { color: var(--dim); font-weight: 550 }
td, th { text-align: left; padding: .2rem .8rem .2rem 0;
  border-bottom: 1px solid var(--line) }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
code { font-size: 12px; overflow-wrap: anywhere } td:last-child code { white-space: nowrap }
@media (max-width: 40rem) { body { margin: 1rem } td, th { padding-right: .5rem } td.n { font-size: 12px } }
"""


def page(job_id: str, head: Mapping[str, Any], root: Node) -> str:
    """The whole page."""
    title = f"Profile {head['number']} of job {job_id}"
    total_s = root.total_s
    samples = f", {head['samples']} samples" if head["samples"] else ""
    kind = SHARED if head["kind"] == "cprofile" else "sampled"
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
{NO_ICON}<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body><main>
<h1>{escape(title)}</h1>
<p>Attempt {head["attempt"]}, {head["seconds"]:.2f} s{samples} ({kind}). Wide boxes took long; a box stands below its
caller. Orange is code of the task, blue are libraries, grey is waiting.</p>
<h2>Where the time went</h2>
<div role="group" aria-label="Flame graph">{"".join(_box(root, total_s, 1.0))}</div>
<h2>Functions, by their own time</h2>
{_table(root, total_s)}
</main></body></html>
"""


def _box(node: Node, total_s: float, share: float) -> Iterator[str]:
    """A box and those below it; `share` is its part of the box above."""
    node_s = node.total_s
    about = f"{_name(node.key)} · {_figures(node_s, total_s)}"
    yield f'<div class="box {_kind(node.key)}" style="width:{share * 100:.3f}%">'
    yield f'<span title="{escape(about)}">{escape(_name(node.key))}</span>'
    shown = [one for one in node.below.values() if total_s > 0 and one.total_s / total_s >= LEAST]
    if shown and node_s > 0:
        yield '<div class="below">'
        for one in sorted(shown, key=lambda one: -one.total_s):
            yield from _box(one, total_s, one.total_s / node_s)
        yield "</div>"
    yield "</div>"


def _table(root: Node, total_s: float) -> str:
    own: dict[Key, float] = defaultdict(float)
    whole: dict[Key, float] = defaultdict(float)
    for path in root.paths():
        own[path[-1].key] += path[-1].own_s
        for key in {node.key for node in path[1:]}:
            whole[key] += path[-1].own_s
    rows = [
        f'<tr><td class="n">{_figures(seconds, total_s)}</td><td class="n">{_figures(whole[key], total_s)}</td>'
        f"<td><code>{escape(key[0])}</code></td><td><code>{escape(_where(key))}</code></td></tr>"
        for key, seconds in sorted(own.items(), key=lambda one: -one[1])[:ROWS]
        if key != root.key
    ]
    heads = '<th class="n">own</th><th class="n">with callees</th><th>function</th><th>where</th>'
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _kind(key: Key) -> str:
    if key[0] == WAITING:
        return "wait"
    return "own" if key[1] and not Spot(key[1], key[2], key[0]).in_library else "lib"


def _name(key: Key) -> str:
    return f"{key[0]} {_where(key)}".strip()


def _where(key: Key) -> str:
    return f"{PurePath(key[1]).name}:{key[2]}" if key[1] else ""


def _figures(seconds: float, total_s: float) -> str:
    return f"{seconds:.3f}\u00a0s, {100 * seconds / total_s if total_s else 0:.1f}\u00a0%"  # breaks between the two
