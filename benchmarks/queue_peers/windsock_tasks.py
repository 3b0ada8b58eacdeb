"""The jobs as tasks of Windsock."""

import work

from windsock import task

noop = task(work.noop)
pause = task(work.pause)
hang = task(work.hang)
