"""/api/jobs: submit, list, get, log, cancel, rerun, delete."""

import re
from typing import Any

from handlers.base import Handler
from handlers.batch import enveloped, is_batch, shown, submissions
from server.broker import How, Page
from server.errors import BadRequest, Invalid
from server.job import NAME_PATTERN, Job, JobDetail
from server.protocol import FeedFilter, IdempotencyKey, Submission, parse
from server.window import Match

KEY = "Idempotency-Key"
DEFAULT_LIMIT = 50
LOG_LIMIT, MAX_LOG_LIMIT = 1000, 10_000
MAX_OFFSET = 10**12  # of a log entry; Lua writes longer numbers with an exponent
_WAIT = re.compile(r"(?:^|[;,])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[;,])", re.IGNORECASE | re.ASCII)


class PageOfJobsHandler(Handler):
    """What lists of jobs have in common."""

    def _where(self) -> tuple[int, str | None]:
        """How many to answer, and before which id."""
        limit = self.number("limit", DEFAULT_LIMIT, 1, self.node.settings.feed_limit)
        before = self.get_query_argument("before", None)
        if before is not None and not before.isalnum():
            raise Invalid.field("before", "not an id: hand back what `next` said")
        return limit, before

    def _match(self, *names: str) -> Match:
        given = {name: self.get_query_arguments(name) for name in names or FeedFilter.model_fields}
        return Match.of(parse(FeedFilter, {name: values for name, values in given.items() if values}))

    def _answer_page(self, page: Page) -> None:
        self.answer({"jobs": [job.summary() for job in page.jobs], "next": page.next, "counts": page.counts})


class JobsHandler(PageOfJobsHandler):
    """POST submits a job, GET lists them."""

    async def post(self) -> None:
        """202 with the summary of a new job, 200 with that of one that stands for it; a batch of them."""
        group = self.get_query_argument("group", None)
        if is_batch(self.request):
            await (self._batch() if group is None else self._group(group))
            return
        if group is not None:
            raise Invalid.field("group", "only with an array or NDJSON, whose jobs it is to have")
        body = self.body()
        if not isinstance(body, dict):
            raise BadRequest("the body must be a map with a task and its args, or an array of those")
        submission, key, wait_s = parse(Submission, body), self._key(), self._wait_s()
        if wait_s > 0:
            await self._submit_and_wait(submission, key, wait_s)
            return
        submitting = self.node.queue.submitting
        submitted = await submitting.store(submitting.prepare(submission, key))
        self._answer_job(submitted.job.summary(), 202 if submitted.how is How.ACCEPTED else 200)

    async def _submit_and_wait(self, submission: Submission, key: IdempotencyKey | None, wait_s: float) -> None:
        """200 with the end, if it came in time, else 202."""
        job, end = await self.while_connected(self.node.queue.submit_and_wait(submission, wait_s, key))
        self.set_header("Preference-Applied", f"wait={wait_s:g}")
        if end is None:
            self._answer_job(job.summary(), 202)
        else:
            self._answer_job({**end.job.summary(), **end.outcome()}, 200)

    def _answer_job(self, job: dict[str, Any], status: int) -> None:
        self.set_header("Location", f"/api/jobs/{job['id']}")
        self.answer(job, status)

    async def _batch(self) -> None:
        """202 with a summary or a problem for each job."""
        if KEY in self.request.headers:
            raise Invalid.field(KEY, "not with a batch, unless it is a group: submit its jobs one by one")
        values = await submissions(self.request)
        encoded: list[bytes] = []
        async for outcomes in self.node.queue.submitting.store_all(values):
            encoded += [self.codec.encode(shown(outcome)) for outcome in outcomes]
        self.answer_encoded(enveloped(self.codec, encoded), 202)

    async def _group(self, name: str) -> None:
        """202 with the group besides."""
        if not re.fullmatch(NAME_PATTERN, name):
            raise Invalid.field("group", "is not a name: up to 64 of A-Z a-z 0-9 _ . -")
        values = await submissions(self.request)
        group, outcomes = await self.node.queue.groups.store(name, values, self._key())
        encoded = [self.codec.encode(shown(outcome)) for outcome in outcomes]
        self.set_header("Location", f"/api/jobs/{group.id}")
        self.answer_encoded(enveloped(self.codec, encoded, {"group": group.summary()}), 202)

    def _key(self) -> IdempotencyKey | None:
        """The draft of the header writes the key in quotes, most clients do not: they are no part of it."""
        given = self.request.headers.get(KEY)
        if given is None:
            return None
        quoted = len(given) > 1 and given[0] == given[-1] == '"'
        return IdempotencyKey.of(given[1:-1] if quoted else given, KEY)

    def _wait_s(self) -> float:
        match = _WAIT.search(self.request.headers.get("Prefer", ""))
        return min(float(match[1]), self.node.settings.wait_s) if match else 0.0

    async def get(self) -> None:
        """One page, newest first."""
        limit, before = self._where()
        self._answer_page(await self.node.queue.page(self._match(), limit, before))


class ChildrenHandler(PageOfJobsHandler):
    """The children of a job."""

    async def get(self, job_id: str) -> None:
        """One page, newest first."""
        limit, before = self._where()
        self._answer_page(await self.node.queue.children(job_id, self._match("state").states, limit, before))


class JobHandler(Handler):
    """GET answers one job, DELETE forgets an ended one."""

    async def get(self, job_id: str) -> None:
        """The whole job; with `after` and `wait` as soon as there is news, with `until=end` at its end, else 304."""
        after = self.get_query_argument("after", None) or self._known()
        wait_s = self.number("wait", 0, 0, int(self.node.settings.wait_s))
        if self._until_end():
            self._answer_news(await self.while_connected(self.node.queue.ended(job_id, wait_s)), None)
            return
        if after is None:
            self._answer(await self.node.queue.get(job_id))
            return
        self._answer_news(await self.while_connected(self.node.queue.poll(job_id, after, wait_s)), after)

    def _until_end(self) -> bool:
        wish = self.get_query_argument("until", None)
        if wish not in (None, "end"):
            raise Invalid.field("until", "end, or nothing")
        return wish is not None

    def _answer_news(self, detail: JobDetail | None, after: str | None) -> None:
        if detail is None:
            self.set_status(304)
            if after is not None:
                self.set_header("ETag", f'W/"{after}"')
            self.set_header("Cache-Control", "no-cache")
            self.add_header("Vary", "Accept")
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
        limit = self.number("limit", LOG_LIMIT, 1, MAX_LOG_LIMIT)
        self.answer(await self.node.queue.log(job_id, after, limit))


class CommandHandler(Handler):
    """POST cancel or rerun."""

    async def post(self, job_id: str, command: str) -> None:
        """202 with the summary of the job asked to end, or of the new one; 200 with the one that a rerun joined."""
        queue = self.node.queue
        job: Job = await (queue.cancel(job_id) if command == "cancel" else queue.rerun(job_id))
        self.set_header("Location", f"/api/jobs/{job.id}")
        self.answer(job.summary(), 202 if command == "cancel" or job.rerun_of == job_id else 200)
