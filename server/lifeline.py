"""What a worker process holds of its parent: a pipe that closes with that, and one to say how it stands."""

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from server.bond import die_with, kill_group


class Standing(StrEnum):
    """What a worker process says to its parent, a line each."""

    READY = "ready"  # it takes jobs
    WORN = "worn"  # it has run as many as it should, and goes on until it is told to end


@dataclass(frozen=True, slots=True)
class Lifeline:
    """Our end of both pipes. Duties in call order: `hold`, `say`."""

    number: int  # of this process among those of its parent, from 1 on
    incarnation: str  # the random part of its id, chosen by the parent, which so knows whose jobs to take back
    life: int  # descriptor to read from: it ends when the parent does
    line: int  # descriptor to write to

    def hold(self) -> None:
        """From here on this process group ends when its parent does, even by kill -9."""
        os.set_inheritable(self.line, False)
        die_with(self.life)
        threading.Thread(target=self._watch, name="windsock-lifeline", daemon=True).start()

    def _watch(self) -> None:
        """The same where the kernel does not do it, or the parent has gone before it was asked to."""
        with suppress(OSError):
            os.read(self.life, 1)
        kill_group(os.getpgrp())

    def say(self, standing: Standing) -> None:
        """Tell the parent."""
        with suppress(OSError):  # it is gone, and so are we in a moment
            os.write(self.line, f"{standing.value}\n".encode())
