"""Keys as they are pressed: the terminal without lines and without echo, and what its bytes mean."""

import contextlib
import os
import re
import termios
from collections.abc import Iterator

_NAMES = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\x1b[1~": "home",
    b"\x1b[4~": "end",
    b"\x1b[5~": "pageup",
    b"\x1b[6~": "pagedown",
    b"\x1b": "escape",
    b"\r": "enter",
    b"\n": "enter",
    b"\t": "tab",
    b"\x03": "ctrl-c",
}
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O[@-~])|[\xc0-\xff][\x80-\xbf]*|.", re.DOTALL)
_LFLAG, _CC = 3, 6  # places in what tcgetattr answers


def names(data: bytes) -> list[str]:
    """The keys in some bytes: a letter as it is, the others by name; sequences nobody here knows are left out."""
    found = (_NAMES.get(match, match.decode(errors="ignore")) for match in _SEQUENCE.findall(data))
    return [key for key in found if key and not key.startswith("\x1b")]


@contextlib.contextmanager
def pressed(descriptor: int) -> Iterator[None]:
    """Each key comes at once and is not echoed; Ctrl-Z does nothing, since it would leave the screen as it is."""
    before = termios.tcgetattr(descriptor)
    now = termios.tcgetattr(descriptor)
    now[_LFLAG] &= ~(termios.ICANON | termios.ECHO)
    now[_CC][termios.VSUSP] = os.fpathconf(descriptor, "PC_VDISABLE").to_bytes(1, "little")
    termios.tcsetattr(descriptor, termios.TCSADRAIN, now)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
