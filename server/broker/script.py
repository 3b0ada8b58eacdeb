"""The Lua scripts: read from their files, each with the prelude in front."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "scripts"


@dataclass(frozen=True, slots=True)
class Script:
    """One script as Redis gets it."""

    name: str
    source: bytes
    sha: str


@cache
def script(name: str) -> Script:
    """The script in `scripts/<name>.lua`."""
    source = (FOLDER / "_prelude.lua").read_bytes() + (FOLDER / f"{name}.lua").read_bytes()
    return Script(name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest())


def names() -> list[str]:
    """The names of all scripts."""
    return sorted(path.stem for path in FOLDER.glob("*.lua") if not path.stem.startswith("_"))
