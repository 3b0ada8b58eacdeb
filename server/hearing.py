"""What a worker is told on its own channel."""

from typing import Any

from server.worker import Worker


def hear(worker: Worker, kind: bytes, what: Any) -> None:
    """One message. A beat says no more than that it was heard."""
    if kind == b"claim":
        worker.on_wake(what.decode())
    elif kind == b"cancel":
        worker.on_cancel(what.decode())
    elif kind == b"watch":
        worker.on_watch([job_id.decode() for job_id in what])
    elif kind == b"ask":
        worker.insight.on_ask(what)
    else:
        worker.gathering.on_message(kind, what)
