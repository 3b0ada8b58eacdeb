"""Keys out of bytes."""

import os
import pty
import termios

import pytest

from cli.keys import names, pressed


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"\x1b[A\x1b[B", ["up", "down"]),
        (b"\x1bOA", ["up"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1b[F", ["pageup", "pagedown", "home", "end"]),
        (b"\x1b", ["escape"]),
        (b"\r\t\x03", ["enter", "tab", "ctrl-c"]),
        (b"\x1b[1;5C", []),
        (b"\x1b[200~", []),
        ("fü".encode(), ["f", "ü"]),
        (b"\xff", []),
        (b"", []),
    ],
)
def test_bytes_are_keys(data: bytes, keys: list[str]) -> None:
    assert names(data) == keys


def test_the_terminal_is_left_as_it_was() -> None:
    ours, theirs = pty.openpty()
    try:
        before = termios.tcgetattr(theirs)
        seen = []

        def leave() -> None:
            with pressed(theirs):
                seen.append(termios.tcgetattr(theirs)[3] & termios.ECHO)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            leave()
        assert seen == [0]
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)
