"""Celery: one process of the pool. `celery -A celery_queue worker` serves."""

import asyncio
from typing import Any

import work
from asking import Client, ask
from celery import Celery

URL = work.URL.replace("unix://", "redis+socket://")
app = Celery("queue", broker=URL, backend=URL)
app.conf.task_acks_late = True  # else a job is lost with its worker
app.conf.task_reject_on_worker_lost = True
TASKS = {name: app.task(getattr(work, f"{name}_now"), name=name) for name in ("noop", "hang")}


class InCelery(Client):
    """Its client; it blocks."""

    together = False

    async def submit(self, task: str, number: int) -> Any:
        """One job."""
        return TASKS[task].delay(number)

    async def run(self, task: str, number: int) -> None:
        """One job, and its end."""
        TASKS[task].delay(number).get(timeout=30)


if __name__ == "__main__":
    asyncio.run(ask(InCelery()))
