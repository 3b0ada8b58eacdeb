"""Watching into a pipe: one frame of the server per line, as JSON; what is not a frame goes to stderr."""

import sys

from cli.exits import say
from cli.safe import wire_json
from cli.watched import Frame, Watched


class NdjsonScreen:
    """Prints every new frame at once, so that the reader of the pipe is never behind."""

    def show(self, watched: Watched | None, frame: Frame) -> None:
        """One line for a frame."""
        if frame["type"] == "error" and watched is not None:
            say(f"{watched.job_id}: {watched.refusal}")
        sys.stdout.write(wire_json(frame) + "\n")
        sys.stdout.flush()

    def lost(self, why: str, delay_s: float) -> None:
        """Said on stderr, beside the frames."""
        say(f"{why}; trying again in {delay_s:.1f} s")

    def back(self) -> None:
        """Said on stderr, beside the frames."""
        say("connected again")
