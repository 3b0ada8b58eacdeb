"""Where the example tasks may read and write: below the folder `WINDSOCK_FILES` (flag `--files`).

Whoever may submit jobs chooses these paths, so nothing outside that folder is touched, not even
through a link.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "WINDSOCK_FILES"


def root() -> Path:
    """The folder that bounds all paths; the working directory by default."""
    return Path(os.environ.get(VARIABLE) or ".").resolve()


def below(path: str | Path) -> Path:
    """The real place of `path`, links resolved; relative paths begin at the root.

    Raises:
        ValueError: it is outside the root, or no path at all.
    """
    base = root()
    try:
        place = (base / path).resolve()
    except RuntimeError:
        raise ValueError(f"{str(path)!r} is a link that leads to itself") from None
    if not place.is_relative_to(base):
        raise ValueError(f"{str(path)!r} is outside {base}, the folder these tasks may use (--files)")
    return place


def folder_below(path: str | Path) -> Path:
    """As `below`, and it is a folder.

    Raises:
        ValueError: as `below`; or there is no such folder.
    """
    place = below(path)
    if not place.is_dir():
        raise ValueError(f"{str(path)!r} is not a folder in {root()}")
    return place


def shown(place: Path) -> str:
    """A path as results and logs name it: from the root on, readable whatever bytes it is made of."""
    return readable(str(place.relative_to(root())))


def readable(name: str) -> str:
    """A file name as text that JSON carries: bytes that are not UTF-8 become `\\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to that becomes `target` at the end of the block, or is gone if the block raises.

    The name is new each time: an attempt believed dead may still be writing.
    """
    partial = target.with_name(f".{secrets.token_hex(6)}.partial")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
