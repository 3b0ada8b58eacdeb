"""/api/jobs: submit, list, get, log, cancel, rerun, delete."""

import re
from typing import Any

from handlers.base import Handler
from server.errors import BadRequest, Invalid, NotFound
from server.job import Job, JobDetail
from server.protocol import FeedFilter, Submission, parse
from server.window import Match

DEFAULT_LIMIT = 50
LOG_LIMIT = 1000
MAX_OFFSET = 10**12  # of a log entry; Lua writes longer numbers with an exponent
_WAIT = re.compile(r"(?:^|[;,])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[;,])", re.IGNORECASE | re.ASCII)


class JobsHandler(Handler):
    """POST submits a job, GET lists them."""

    async def post(self) -> None:
        """202 with the summary; with `Prefer: wait=N` 200 with the end, if it came in time."""
        if "Idempotency-Key" in self.request.headers:
            raise Invalid.field("Idempotency-Key", "not built yet: leave it out")
        body = self.body()
        if isinstance(body, list):
            raise Invalid.field("body", "batches are not built yet: submit one job per request")
        if not isinstance(body, dict):
            raise BadRequest("the body must be a map with a task and its args")
        submission = parse(Submission, body)
        wait_s = self._wait_s()
        if wait_s > 0:
            job, end = await self.while_connected(self.node.queue.submit_and_wait(submission, wait_s))
            self.set_header("Preference-Applied", f"wait={wait_s:g}")
        else:
            job, end = await self.node.queue.submit(submission), None
        self.set_header("Location", f"/api/jobs/{job.id}")
        if end is None:
            self.answer(job.summary(), 202)
        else:
            self.answer({**end.job.summary(), **end.outcome()}, 200)

    def _wait_s(self) -> float:
        match = _WAIT.search(self.request.headers.get("Prefer", ""))
        return min(float(match[1]), self.node.settings.wait_s) if match else 0.0

    async def get(self) -> None:
        """One page, newest first."""
        settings = self.node.settings
        limit = self.number("limit", DEFAULT_LIMIT, 1, settings.feed_limit)
        before = self.get_query_argument("before", None)
        if before is not None and not before.isalnum():
            raise Invalid.field("before", "not an id: hand back what `next` said")
        page = await self.node.queue.page(self._match(), limit, before)
        self.answer({"jobs": [job.summary() for job in page.jobs], "next": page.next, "counts": page.counts})

    def _match(self) -> Match:
        given = {name: self.get_query_arguments(name) for name in ("state", "task", "queue", "tag")}
        return Match.of(parse(FeedFilter, {name: values for name, values in given.items() if values}))


class JobHandler(Handler):
    """GET answers one job, DELETE forgets an ended one."""

    async def get(self, job_id: str) -> None:
        """The whole job; with `after` and `wait` as soon as there is news, else 304."""
        after = self.get_query_argument("after", None) or self._known()
        if after is None:
            self._answer(await self.node.queue.get(job_id))
            return
        wait_s = self.number("wait", 0, 0, int(self.node.settings.wait_s))
        detail = await self.while_connected(self.node.queue.poll(job_id, after, wait_s))
        if detail is None:
            self.set_status(304)
            self.set_header("ETag", f'W/"{after}"')
            self.set_header("Cache-Control", "no-cache")
            self.set_header("Vary", "Accept")
            self.finish()
        else:
            self._answer(detail)

    def _known(self) -> str | None:
        """The cursor in If-None-Match."""
        match = re.fullmatch(r'(?:W/)?"([^"]{1,128})"', self.request.headers.get("If-None-Match", "").strip())
        return match[1] if match else None

    def _answer(self, detail: JobDetail) -> None:
        self.set_header("ETag", f'W/"{detail.job.cursor}"')
        self.set_header("Cache-Control", "no-cache")
        self.answer(detail.whole())

    async def delete(self, job_id: str) -> None:
        """204 for an ended job."""
        await self.node.queue.delete(job_id)
        self.set_status(204)
        self.finish()


class LogHandler(Handler):
    """A piece of a job's log."""

    async def get(self, job_id: str) -> None:
        """Entries with their offsets, from `after` + 1 on."""
        after = self.number("after", 0, 0, MAX_OFFSET)
        limit = self.number("limit", LOG_LIMIT, 1, 10_000)
        self.answer(await self.node.queue.log(job_id, after, limit))


class CommandHandler(Handler):
    """POST cancel or rerun."""

    async def post(self, job_id: str, command: str) -> None:
        """202 with the summary of the job asked to end, or of the new one."""
        queue = self.node.queue
        job: Job = await (queue.cancel(job_id) if command == "cancel" else queue.rerun(job_id))
        self.set_header("Location", f"/api/jobs/{job.id}")
        self.answer(job.summary(), 202)


class UnbuiltHandler(Handler):
    """What the protocol names and a later release brings: refused, never half done."""

    def get(self, *_: Any) -> None:
        """404 that says so."""
        raise NotFound(f"{self.request.path} is not built yet")
