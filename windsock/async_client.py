"""The client for programs on asyncio: FastAPI, Starlette, Tornado, aiohttp."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from windsock import calls
from windsock.addressed import Addressed
from windsock.awaiting import Asker
from windsock.chosen import Chosen, Value, wanted
from windsock.errors import Refused
from windsock.events import Connection, Feed, Gone, JobEvent, Stats
from windsock.handles import AsyncJobHandle
from windsock.job import Job, JobPage, LogPage
from windsock.submission import Options, Submission
from windsock.waiting import Wait, result_of
from windsock.watched import LogWish

if TYPE_CHECKING:
    from windsock.watching import EventStream


class AsyncClient(Addressed):
    """One server, asked from coroutines of one loop.

    Duties in call order: submit; get, list, wait, watch …; close. It may be made where no loop runs.
    """

    def _begin(self) -> None:
        self._asker = Asker(self.target)

    async def submit(self, task: str, options: Options | None = None, /, **args: Any) -> AsyncJobHandle:
        """Hand in a job; returns as soon as the server has it.

        A submit whose answer is lost is sent again under the same key, so that there is one job all the same.

        Args:
            task: its name.
            options: how to run it.
            args: the arguments of the task, JSON values.

        Raises:
            Invalid: the task is unknown, or an argument is wrong.
            Refused, Unreachable: it was not taken in.
            TypeError, ValueError: an argument is no JSON value.
        """
        return await self.send(Submission(task, args, options or Options()))

    async def send(self, submission: Submission) -> AsyncJobHandle:
        """As `submit`, where arguments are at hand as a map."""
        return AsyncJobHandle((await self._asker.ask(calls.submit(submission))).id, self)

    async def submit_many(self, submissions: Iterable[Submission]) -> tuple[AsyncJobHandle | Refused, ...]:
        """Hand in many jobs, in as few requests as will do; for each, in order, its handle or why it was refused.

        Raises:
            Refused, Unreachable: the server did not answer for them. If the answer was lost (`sent`), those of one
                request may have been taken in; it is not sent again.
        """
        found: list[AsyncJobHandle | Refused] = []
        for batch in calls.batches(submissions):
            told = await self._asker.ask(calls.submit_many(batch))
            found += map(self._handle, told)
        return tuple(found)

    async def submit_group(
        self, name: str, submissions: Iterable[Submission], *, idempotency_key: str | None = None
    ) -> tuple[AsyncJobHandle, tuple[AsyncJobHandle | Refused, ...]]:
        """Hand in many jobs as one thing to watch, to wait for and to cancel; it ends with the last of them.

        Args:
            name: of the group, shown where other jobs have their task.
            submissions: one to ten thousand.
            idempotency_key: the same key and submissions within a day give the same group; made up where not given.

        Returns:
            The handle of the group; for each job, in order, its handle or why it was refused.

        Raises:
            Refused, Unreachable: it was not taken in.
        """
        asked = calls.submit_group(name, submissions, idempotency_key)
        group, jobs = await self._asker.ask(asked)
        return AsyncJobHandle(group.id, self), tuple(map(self._handle, jobs))

    def _handle(self, told: Job | Refused) -> AsyncJobHandle | Refused:
        return told if isinstance(told, Refused) else AsyncJobHandle(told.id, self)

    def job(self, job_id: str) -> AsyncJobHandle:
        """The handle of a job whose id is known; nothing is asked."""
        return AsyncJobHandle(job_id, self)

    async def get(self, job_id: str) -> Job:
        """A job with everything: arguments, result or error.

        Raises:
            NotFound: there is none.
        """
        return await self._asker.ask(calls.get(job_id))

    async def list(self, *, limit: int = 50, before: str | None = None, **chosen: Unpack[Chosen]) -> JobPage:
        """One page of jobs, newest first; several values of a filter mean any of them.

        Args:
            chosen: of `state`, `task`, `queue`, `tag`, `parent`.
            limit: most jobs of the page, up to 500.
            before: what `next` of the page before said.
        """
        return await self._asker.ask(calls.page(wanted(chosen), limit, before))

    async def wait(self, job_id: str, timeout_s: float | None = None) -> Job:
        """A job as it ended, as soon as it has.

        Raises:
            TimeoutError: it has not ended in `timeout_s`; it goes on.
            NotFound: there is none, or not any more.
            Unreachable: nobody answered for a minute, or in the time that was left.
        """
        wait = Wait.of(job_id, timeout_s, time.monotonic())
        while True:
            now = time.monotonic()
            job = await self._asker.ask(calls.end(job_id, wait.piece_s(now), wait.left_s(now)))
            if job is not None:
                return job
            await asyncio.sleep(wait.rest_s(time.monotonic()))

    async def result(self, job_id: str, timeout_s: float | None = None) -> Any:
        """What a job returned, as soon as it has.

        Raises:
            JobFailed, JobWasCancelled: it has no result.
            TimeoutError, NotFound, Unreachable: as `wait`.
        """
        return result_of(await self.wait(job_id, timeout_s))

    async def cancel(self, job_id: str) -> Job:
        """Ask a job to end; it is `cancelled` at once when it had not started, else `cancelling`.

        Raises:
            NotFound, Conflict: there is none; it has ended.
        """
        return await self._asker.ask(calls.cancel(job_id))

    async def rerun(self, job_id: str) -> AsyncJobHandle:
        """Run an ended job anew: a new job with the same task and arguments.

        Raises:
            NotFound, Conflict: there is none; it has not ended.
            Invalid: the task is gone or takes other arguments by now.
        """
        return AsyncJobHandle((await self._asker.ask(calls.rerun(job_id))).id, self)

    async def delete(self, job_id: str) -> None:
        """Forget an ended job.

        Raises:
            NotFound, Conflict: there is none; it has not ended.
        """
        await self._asker.ask(calls.delete(job_id))

    async def log(self, job_id: str, after: int = 0, limit: int = 1000) -> LogPage:
        """A piece of a job's log, from offset `after` + 1 on; at most 10,000 entries.

        Raises:
            NotFound: there is no such job.
        """
        return await self._asker.ask(calls.log(job_id, after, limit))

    async def children(
        self, job_id: str, *, limit: int = 50, before: str | None = None, state: Value = None
    ) -> JobPage:
        """One page of the jobs that a job has spawned, or that a group has, newest first.

        Raises:
            NotFound: there is no such job.
        """
        asked = calls.children(job_id, wanted({"state": state}), limit, before)
        return await self._asker.ask(asked)

    async def stack(self, job_id: str) -> calls.Record:
        """Where a running job stands now: `frames`, innermost last, and `text`.

        Raises:
            NotFound, Conflict: there is none; it does not run.
            Busy: its worker does not answer.
        """
        return await self._asker.ask(calls.stack(job_id))

    async def profile(self, job_id: str, seconds: float = 5.0) -> int:
        """Measure where a running job spends its time, from now on; the number of the profile.

        The profile is there when the seconds are over, or the job: see `profiles`, `profile_file`.

        Raises:
            NotFound, Conflict: there is none; it does not run, or is being measured already.
            Busy: its worker does not answer.
        """
        return await self._asker.ask(calls.profile(job_id, seconds))

    async def profiles(self, job_id: str) -> calls.Records:
        """The profiles kept with a job: number, kind, attempt, at, seconds, samples, bytes.

        Raises:
            NotFound: there is no such job.
        """
        return await self._asker.ask(calls.profiles(job_id))

    async def profile_file(self, job_id: str, number: int, form: str = "html") -> bytes:
        """A profile: "html" is a page with a flame graph, "json" is for speedscope, "pstats" for Python's `pstats`.

        Raises:
            NotFound: it is not there: not yet, not any more, or not in this form.
        """
        return await self._asker.ask(calls.profile_file(job_id, number, form))

    async def tasks(self) -> tuple[Mapping[str, Any], ...]:
        """What can be submitted: name, summary, kind, arguments (a JSON Schema), options."""
        return await self._asker.ask(calls.tasks())

    async def nodes(self) -> tuple[Mapping[str, Any], ...]:
        """The processes that are alive, as docs/protocol.md has them."""
        return await self._asker.ask(calls.nodes())

    async def watch(self, job_id: str, *, log: LogWish = "all", after: str | None = None) -> AsyncIterator[JobEvent]:
        """A job's events, live, to its end; a connection that is lost is made anew and goes on where it was.

        Args:
            log: "all" that is kept, "none", or so many of the last entries.
            after: the cursor of an event of an earlier watch: go on behind it.

        Raises:
            NotFound: there is no such job, or not any more.
            Unreachable, Refused: the server never answered; it will not have us.
        """
        async with self.stream() as stream:
            stream.watch(job_id, log=log, after=after)
            async for event in stream:
                if isinstance(event, Gone):
                    raise event.error
                if not isinstance(event, Feed | Stats):
                    yield event

    async def feed(self, *, limit: int = 100, **chosen: Unpack[Chosen]) -> AsyncIterator[Feed | Connection]:
        """The newest jobs that match, whenever they change, without an end."""
        async with self.stream() as stream:
            stream.feed(wanted(chosen), limit)
            async for event in stream:
                if isinstance(event, Feed | Connection):
                    yield event

    async def stats(self) -> AsyncIterator[Stats | Connection]:
        """How the whole store goes, once a second, without an end."""
        async with self.stream() as stream:
            stream.stats()
            async for event in stream:
                if isinstance(event, Stats | Connection):
                    yield event

    def stream(self) -> "EventStream":
        """Several jobs, feeds and the stats on one connection: `watch`, `feed`, `stats` them, and iterate."""
        from windsock.watching import EventStream  # noqa: PLC0415  Tornado, for those only who watch

        return EventStream(self.target)

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self._asker.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.close()
