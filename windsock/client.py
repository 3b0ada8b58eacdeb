"""The client for programs that wait: scripts, threads, Flask and Django views."""

import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from windsock import calls
from windsock.addressed import Addressed
from windsock.blocking import Asker
from windsock.chosen import Chosen, Value, wanted
from windsock.errors import Refused
from windsock.events import Connection, Feed, Gone, JobEvent, Stats
from windsock.handles import JobHandle
from windsock.job import Job, JobPage, LogPage
from windsock.submission import Options, Submission
from windsock.waiting import Wait, result_of
from windsock.watched import LogWish

if TYPE_CHECKING:
    from windsock.listening import Listening


class Client(Addressed):
    """One server, asked from any thread.

    Duties in call order: submit; get, list, wait, watch …; close. It may be made before a fork and used after it.
    """

    def _begin(self) -> None:
        self._asker = Asker(self.target)

    def submit(self, task: str, options: Options | None = None, /, **args: Any) -> JobHandle:
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
        return self.send(Submission(task, args, options or Options()))

    def send(self, submission: Submission) -> JobHandle:
        """As `submit`, where arguments are at hand as a map."""
        return JobHandle(self._asker.ask(calls.submit(submission)).id, self)

    def submit_many(self, submissions: Iterable[Submission]) -> tuple[JobHandle | Refused, ...]:
        """Hand in many jobs, in as few requests as will do; for each, in order, its handle or why it was refused.

        Raises:
            Refused, Unreachable: the server did not answer for them. If the answer was lost (`sent`), those of one
                request may have been taken in; it is not sent again.
        """
        found: list[JobHandle | Refused] = []
        for batch in calls.batches(submissions):
            told = self._asker.ask(calls.submit_many(batch))
            found += map(self._handle, told)
        return tuple(found)

    def submit_group(
        self, name: str, submissions: Iterable[Submission], *, idempotency_key: str | None = None
    ) -> tuple[JobHandle, tuple[JobHandle | Refused, ...]]:
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
        group, jobs = self._asker.ask(asked)
        return JobHandle(group.id, self), tuple(map(self._handle, jobs))

    def _handle(self, told: Job | Refused) -> JobHandle | Refused:
        return told if isinstance(told, Refused) else JobHandle(told.id, self)

    def job(self, job_id: str) -> JobHandle:
        """The handle of a job whose id is known; nothing is asked."""
        return JobHandle(job_id, self)

    def get(self, job_id: str) -> Job:
        """A job with everything: arguments, result or error.

        Raises:
            NotFound: there is none.
        """
        return self._asker.ask(calls.get(job_id))

    def list(self, *, limit: int = 50, before: str | None = None, **chosen: Unpack[Chosen]) -> JobPage:
        """One page of jobs, newest first; several values of a filter mean any of them.

        Args:
            chosen: of `state`, `task`, `queue`, `tag`, `parent`.
            limit: most jobs of the page, up to 500.
            before: what `next` of the page before said.
        """
        return self._asker.ask(calls.page(wanted(chosen), limit, before))

    def wait(self, job_id: str, timeout_s: float | None = None) -> Job:
        """A job as it ended, as soon as it has.

        Raises:
            TimeoutError: it has not ended in `timeout_s`; it goes on.
            NotFound: there is none, or not any more.
            Unreachable: nobody answered for a minute, or in the time that was left.
        """
        wait = Wait.of(job_id, timeout_s, time.monotonic())
        while True:
            now = time.monotonic()
            job = self._asker.ask(calls.end(job_id, wait.piece_s(now), wait.left_s(now)))
            if job is not None:
                return job
            time.sleep(wait.rest_s(time.monotonic()))

    def result(self, job_id: str, timeout_s: float | None = None) -> Any:
        """What a job returned, as soon as it has.

        Raises:
            JobFailed, JobWasCancelled: it has no result.
            TimeoutError, NotFound, Unreachable: as `wait`.
        """
        return result_of(self.wait(job_id, timeout_s))

    def cancel(self, job_id: str) -> Job:
        """Ask a job to end; it is `cancelled` at once when it had not started, else `cancelling`.

        Raises:
            NotFound, Conflict: there is none; it has ended.
        """
        return self._asker.ask(calls.cancel(job_id))

    def rerun(self, job_id: str) -> JobHandle:
        """Run an ended job anew: a new job with the same task and arguments.

        Raises:
            NotFound, Conflict: there is none; it has not ended.
            Invalid: the task is gone or takes other arguments by now.
        """
        return JobHandle(self._asker.ask(calls.rerun(job_id)).id, self)

    def delete(self, job_id: str) -> None:
        """Forget an ended job.

        Raises:
            NotFound, Conflict: there is none; it has not ended.
        """
        self._asker.ask(calls.delete(job_id))

    def log(self, job_id: str, after: int = 0, limit: int = 1000) -> LogPage:
        """A piece of a job's log, from offset `after` + 1 on; at most 10,000 entries.

        Raises:
            NotFound: there is no such job.
        """
        return self._asker.ask(calls.log(job_id, after, limit))

    def children(self, job_id: str, *, limit: int = 50, before: str | None = None, state: Value = None) -> JobPage:
        """One page of the jobs that a job has spawned, or that a group has, newest first.

        Raises:
            NotFound: there is no such job.
        """
        asked = calls.children(job_id, wanted({"state": state}), limit, before)
        return self._asker.ask(asked)

    def stack(self, job_id: str) -> calls.Record:
        """Where a running job stands now: `frames`, innermost last, and `text`.

        Raises:
            NotFound, Conflict: there is none; it does not run.
            Busy: its worker does not answer.
        """
        return self._asker.ask(calls.stack(job_id))

    def profile(self, job_id: str, seconds: float = 5.0) -> int:
        """Measure where a running job spends its time, from now on; the number of the profile.

        The profile is there when the seconds are over, or the job: see `profiles`, `profile_file`.

        Raises:
            NotFound, Conflict: there is none; it does not run, or is being measured already.
            Busy: its worker does not answer.
        """
        return self._asker.ask(calls.profile(job_id, seconds))

    def profiles(self, job_id: str) -> calls.Records:
        """The profiles kept with a job: number, kind, attempt, at, seconds, samples, bytes.

        Raises:
            NotFound: there is no such job.
        """
        return self._asker.ask(calls.profiles(job_id))

    def profile_file(self, job_id: str, number: int, form: str = "html") -> bytes:
        """A profile: "html" is a page with a flame graph, "json" is for speedscope, "pstats" for Python's `pstats`.

        Raises:
            NotFound: it is not there: not yet, not any more, or not in this form.
        """
        return self._asker.ask(calls.profile_file(job_id, number, form))

    def tasks(self) -> tuple[Mapping[str, Any], ...]:
        """What can be submitted: name, summary, kind, arguments (a JSON Schema), options."""
        return self._asker.ask(calls.tasks())

    def nodes(self) -> tuple[Mapping[str, Any], ...]:
        """The processes that are alive, as docs/protocol.md has them."""
        return self._asker.ask(calls.nodes())

    def watch(self, job_id: str, *, log: LogWish = "all", after: str | None = None) -> Iterator[JobEvent]:
        """A job's events, live, to its end; a connection that is lost is made anew and goes on where it was.

        Args:
            log: "all" that is kept, "none", or so many of the last entries.
            after: the cursor of an event of an earlier watch: go on behind it.

        Raises:
            NotFound: there is no such job, or not any more.
            Unreachable, Refused: the server never answered; it will not have us.
        """
        with self.stream() as stream:
            stream.watch(job_id, log=log, after=after)
            for event in stream:
                if isinstance(event, Gone):
                    raise event.error
                if not isinstance(event, Feed | Stats):
                    yield event

    def feed(self, *, limit: int = 100, **chosen: Unpack[Chosen]) -> Iterator[Feed | Connection]:
        """The newest jobs that match, whenever they change, without an end."""
        with self.stream() as stream:
            stream.feed(wanted(chosen), limit)
            for event in stream:
                if isinstance(event, Feed | Connection):
                    yield event

    def stats(self) -> Iterator[Stats | Connection]:
        """How the whole store goes, once a second, without an end."""
        with self.stream() as stream:
            stream.stats()
            for event in stream:
                if isinstance(event, Stats | Connection):
                    yield event

    def stream(self) -> "Listening":
        """Several jobs, feeds and the stats on one connection: `watch`, `feed`, `stats` them, and iterate."""
        from windsock.listening import Listening  # noqa: PLC0415  Tornado, for those only who watch

        return Listening(self.target)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._asker.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()
