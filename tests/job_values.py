"""Jobs as values, for tests that need no store."""

from typing import Any

from server.job import Job, JobState

PLAIN = Job(
    id="01JD0000000000000000000001",
    task="add",
    queue="default",
    state=JobState.RUNNING,
    attempt=1,
    max_attempts=3,
    priority=0,
    tags=(),
    created_at=1,
    scheduled_at=None,
    started_at=1,
    finished_at=None,
    updated_at=1,
    node="n",
    progress=None,
    warnings=(),
    rerun_of=None,
    store="s1",
    version=100,
    offset=0,
)


def job(**given: Any) -> Job:
    """A running job, with what is given."""
    return PLAIN._replace(**given)
