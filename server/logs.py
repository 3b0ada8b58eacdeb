"""How log lines look and which are shown, in every process that runs jobs."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure(root: int, own: int) -> None:
    """Write log lines to stderr: those of others from the level `root` on, Windsock's from `own` on."""
    logging.basicConfig(level=root, stream=sys.stderr, format=FORMAT)
    logging.getLogger("windsock").setLevel(own)


def levels() -> tuple[int, int]:
    """What to tell another process, so that it shows what this one shows."""
    return logging.getLogger().level, logging.getLogger("windsock").level
