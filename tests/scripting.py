"""What the models of the scripts share: a state machine whose rules run them on a real Redis, under keys of its own."""

import itertools
import os
import secrets
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from server.broker.script import script

FOREVER_MS = 10**12
WORKERS = ("w1", "w2")
NOT_MATTERS = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
workers = st.sampled_from(WORKERS)
_numbers = itertools.count()


class Scripting(RuleBasedStateMachine):
    """Owns a connection and the keys of one run; the rules of a model call `connect` first, then `run`."""

    url: ClassVar[str]  # of Redis
    mark: ClassVar[str]  # of all keys of this process's runs

    def connect(self) -> None:
        """Begin with no keys."""
        self.client = redis.Redis.from_url(self.url, protocol=2)
        self.tag = f"{{{self.mark}-{next(_numbers)}}}"

    def teardown(self) -> None:
        """Hang up; the keys are removed with those of all runs."""
        self.client.close()

    def run(self, name: str, *arguments: Any) -> Any:
        """The answer of a script."""
        code = script(name)
        try:
            return self.client.evalsha(code.sha, 1, self.tag, *arguments)
        except redis.exceptions.NoScriptError:
            return self.client.eval(code.source, 1, self.tag, *arguments)

    def key(self, name: str) -> str:
        """A key of this run."""
        return f"{self.tag}:{name}"

    def counted(self, listed: list[Any]) -> dict[str, int]:
        """Counts by state, without those that are none."""
        return {listed[i].decode(): listed[i + 1] for i in range(0, len(listed), 2) if listed[i + 1]}


@pytest.fixture
def scripting(redis_url: str) -> Iterator[None]:
    """This session's Redis for all models; what they leave there goes."""
    Scripting.url, Scripting.mark = redis_url, f"model-{os.getpid()}-{secrets.token_hex(2)}"
    yield
    with redis.Redis.from_url(redis_url) as client:
        keys = list(client.scan_iter(f"{{{Scripting.mark}-*", count=1000))
        for i in range(0, len(keys), 1000):
            client.delete(*keys[i : i + 1000])


def live(machine: type[Scripting], lives: int, steps: int) -> None:
    """Run a model so many times, with so many steps."""
    known = settings(max_examples=lives, stateful_step_count=steps, deadline=None, suppress_health_check=NOT_MATTERS)
    run_state_machine_as_test(machine, settings=known)
