"""What is found out about jobs: questions to the workers that run them, and what is kept with a job."""

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from server.broker.record import unpack
from server.broker.values import Lease
from server.broker.wire import Argument
from server.codec import MSGPACK
from server.errors import Conflict, NotFound


class Call(Protocol):
    """One script call."""

    def __call__(self, name: str, *arguments: Argument) -> Awaitable[Any]:
        """What the script answers."""


class Inquiry:
    """Owns nothing; made of the broker's calls. Duties: ask and answer, keep and look up."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def ask(self, job_id: str, question: bytes, wish: str = "") -> None:
        """Hand a packed question to the worker that holds a job.

        Raises:
            NotFound, Conflict: no such job; nobody runs it.
        """
        code, *rest = await self._call("ask", job_id, question, wish)
        if code == b"gone":
            raise no_job(job_id)
        if code == b"idle":
            raise Conflict(f"job {job_id} does not run: it is {rest[0].decode()}")

    async def answer(self, process: str, number: int, packed: bytes) -> None:
        """Answer a question of a process."""
        await self._call("answer", process, number, packed)

    async def keep_stack(self, lease: Lease, stack: str) -> None:
        """Keep with a job where this attempt of it blocked the loop for the longest time."""
        await self._call("keep", lease.id, lease.token, f"stack:{lease.attempt}", stack.encode("utf-8", "replace"))

    async def keep_profile(
        self, lease: Lease, number: int | None, head: Mapping[str, Any], tree: bytes, pstats: bytes, most: int
    ) -> int | None:
        """Keep a profile with a job; its number, or None if the job is another attempt's by now, or gone.

        Args:
            number: that `ask` has given; None gives the next.
            head: what the list of profiles says of it.
            most: profiles kept with a job; beyond it the oldest goes.
        """
        packed = MSGPACK.encode(dict(head))
        given = "" if number is None else str(number)
        kept = await self._call("profile", lease.id, lease.token, given, packed, tree, pstats, most)
        return int(kept) or None

    async def profiles(self, job_id: str) -> list[dict[str, Any]]:
        """What is said of each profile of a job, by number.

        Raises:
            NotFound: no such job.
        """
        reply = await self._call("profiles", job_id)
        if reply is None:
            raise no_job(job_id)
        found = unpack(reply)
        return [{"number": number, **MSGPACK.decode(head)} for number, head in sorted(found)]

    async def profile(self, job_id: str, number: int) -> tuple[dict[str, Any], bytes, bytes]:
        """A profile: what is said of it, its tree, its pstats (empty if it has none).

        Raises:
            NotFound: no such job, or no such profile (any more).
        """
        reply = await self._call("profiles", job_id, number)
        if reply is None:
            raise no_job(job_id)
        found = unpack(reply)
        if not found:
            raise NotFound(f"job {job_id} has no profile {number}: it is not ready, was never made, or made room")
        head, tree, pstats = found
        return {"number": number, **MSGPACK.decode(head)}, tree, pstats


def no_job(job_id: str) -> NotFound:
    """The refusal for a job that is not there."""
    return NotFound(f"no job {job_id[:64]}: it never was, was deleted, or has expired")
