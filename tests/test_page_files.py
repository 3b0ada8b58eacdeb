"""The files of the page: what a first visit costs, and that each says what it is."""

import gzip
import re
from pathlib import Path

STATIC = Path(__file__).parent.parent / "static"
FIRST_PAINT = 60_000  # bytes, gzipped: the page, its styles, and the first view with its figures and lists
WITH_CHARTS = FIRST_PAINT + 23_000  # the same and uPlot, which is fetched when that is on the screen
IMPORT = re.compile(r"""(?:^|[;}\n])\s*(?:import|export)\b[^"';]*?["'](\.[^"']+)["']|\bimport\(["'](\.[^"']+)["']\)""")
FIRST = "views/overview.js"


def imports(module: Path) -> set[Path]:
    """What a module asks for by a relative name, at once or later."""
    return {(module.parent / (now or later)).resolve() for now, later in IMPORT.findall(module.read_text())}


def reached(*modules: Path) -> set[Path]:
    """They and all they import at once, or later unless it is a view."""
    seen: set[Path] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        lazy = {path for path in imports(module) if module.name == "app.js" and path.parent.name == "views"}
        at_once = {path for path in lazy if f'from "./views/{path.name}"' in module.read_text()}
        waiting += imports(module) - lazy | at_once
    return seen


def linked() -> set[Path]:
    """Stylesheets and pictures of the page itself."""
    page = (STATIC / "index.html").read_text()
    return {STATIC / name for name in re.findall(r'(?:href|src)="static/([^"]+)"', page)} | {STATIC / "index.html"}


def weight(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), 9, mtime=0))


def test_a_first_paint_is_under_60_kb_in_all_and_the_charts_come_behind_it() -> None:
    files = linked() | reached(STATIC / "app.js", STATIC / FIRST)
    charts = {path for path in files if path.name.startswith("uplot")}
    assert len(charts) == 1
    assert sum(weight(path) for path in files - charts) < FIRST_PAINT
    assert sum(weight(path) for path in files) < WITH_CHARTS


def test_imports_are_relative_and_lead_to_a_file() -> None:
    for module in STATIC.rglob("*.js"):
        if module.parent.name != "vendor":
            assert not re.search(r'^(?:import|export) [^"]*from "[^.]', module.read_text(), re.MULTILINE), module
            assert all(path.exists() for path in imports(module)), module


def test_imports_go_from_app_to_views_to_store_to_protocol_and_never_back() -> None:
    for module in STATIC.glob("*.js"):
        if module.name != "app.js":
            assert not any(path.parent.name == "views" for path in imports(module)), module
    for module in (STATIC / "views").glob("*.js"):
        assert not {"protocol.js", "app.js"} & {path.name for path in imports(module)}, module


def test_what_is_borrowed_has_its_version_in_its_name_and_its_licence_beside_it() -> None:
    bundles = sorted((STATIC / "vendor").glob("*.js"))
    assert bundles
    for bundle in bundles:
        assert re.search(r"-\d+\.\d+\.\d+\.js$", bundle.name)
        assert "Copyright" in bundle.with_suffix(".LICENSE").read_text()


def test_nothing_of_ours_is_inline_so_that_the_policy_needs_no_exception() -> None:
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page)
