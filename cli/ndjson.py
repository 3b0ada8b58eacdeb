"""Watching into a pipe: one frame of the server per line, as JSON; what is not a frame goes to stderr."""

from cli.exits import say
from cli.loglines import is_reset, refusal_text, reset_line
from cli.safe import wire_json
from cli.terminal import output
from windsock.watch import Subscription
from windsock.watched import Frame, Watched


class NdjsonScreen:
    """Prints every new frame at once, so that the reader of the pipe is never behind."""

    def show(self, watched: Subscription | None, frame: Frame) -> None:
        """One line for a frame."""
        if frame["type"] == "error" and isinstance(watched, Watched):
            say(f"{watched.job_id}: {refusal_text(watched)}")
        elif is_reset(frame) and isinstance(watched, Watched):
            say(reset_line(frame, f"{watched.job_id} ").plain)
        output.write(wire_json(frame))

    def lost(self, why: str, delay_s: float) -> None:
        """Said on stderr, beside the frames."""
        say(f"{why}; trying again in {delay_s:.1f} s")

    def back(self) -> None:
        """Said on stderr, beside the frames."""
        say("connected again")

    async def room(self) -> None:
        """`show` waits itself, while the pipe is full."""
