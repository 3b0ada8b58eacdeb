"""Rules that keep account of themselves, so that a run that chance will not repeat can be told again."""

import functools
from collections.abc import Callable
from typing import Any

from hypothesis.stateful import rule


def does(**given: Any) -> Callable[[Callable[..., None]], Any]:
    """A rule; its call is noted in the `history` of the machine, as a line of Python."""

    def mark(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def told(self: Any, **arguments: Any) -> None:
            if self.inside:  # called by another rule
                return function(self, **arguments)
            words = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
            self.history.append(f"state.{function.__name__}({words})")
            self.inside = True
            function(self, **arguments)
            self.inside = False
            return None

        return rule(**given)(told)

    return mark
