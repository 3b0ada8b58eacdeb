"""The Lua scripts: read from their files, each with what they share in front."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "scripts"
SHARED = ("_prelude", "_waiting", "_steps", "_trees", "_log")  # in this order: each uses what stands before it


@dataclass(frozen=True, slots=True)
class Script:
    """One script as Redis gets it."""

    name: str
    source: bytes
    sha: str


@cache
def script(name: str) -> Script:
    """The script in `scripts/<name>.lua`."""
    source = b"".join((FOLDER / f"{part}.lua").read_bytes() for part in (*SHARED, name))
    return Script(name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest())


def names() -> list[str]:
    """The names of all scripts."""
    return sorted(path.stem for path in FOLDER.glob("*.lua") if not path.stem.startswith("_"))
