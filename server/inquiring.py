"""The doorway for what can be found out about jobs: questions to the workers that run them, and what is kept."""

import asyncio
from collections.abc import Mapping
from typing import Any

from server.broker.inquiry import Inquiry
from server.codec import MSGPACK
from server.errors import Conflict, InternalError, Unavailable

STACK, PROFILE = "stack", "profile"


class Inquiring:
    """Owns the questions of a process that have no answer yet."""

    def __init__(self, process_id: str, inquiry: Inquiry, answer_s: float) -> None:
        self._id = process_id
        self._inquiry = inquiry
        self._answer_s = answer_s
        self._number = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def stack(self, job_id: str) -> dict[str, Any]:
        """Where a running job stands.

        Raises:
            NotFound, Conflict: no such job; it does not run.
            Unavailable: its worker does not answer in time.
        """
        return await self._ask(job_id, STACK, {})

    async def profile(self, job_id: str, seconds: float, interval_ms: float | None) -> dict[str, Any]:
        """Have a running job profiled for a while; the number that the profile will have.

        Raises:
            NotFound, Conflict: no such job; it does not run, or is being profiled.
            Unavailable: its worker does not answer in time.
        """
        return await self._ask(job_id, PROFILE, {"seconds": seconds, "interval_ms": interval_ms})

    async def profiles(self, job_id: str) -> list[dict[str, Any]]:
        """What is said of each profile that is kept with a job.

        Raises:
            NotFound: no such job.
        """
        return await self._inquiry.profiles(job_id)

    async def kept(self, job_id: str, number: int) -> tuple[dict[str, Any], bytes, bytes]:
        """A profile: what is said of it, its packed tree, its pstats (empty if it has none).

        Raises:
            NotFound: no such job or profile.
        """
        return await self._inquiry.profile(job_id, number)

    async def _ask(self, job_id: str, kind: str, wish: Mapping[str, Any]) -> dict[str, Any]:
        self._number += 1
        number = self._number
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        question = {"from": self._id, "number": number, "kind": kind, **wish}
        try:
            await self._inquiry.ask(job_id, MSGPACK.encode(question), kind if kind == PROFILE else "")
            async with asyncio.timeout(self._answer_s):
                said = await answer
        except TimeoutError:
            raise Unavailable(
                f"the worker of job {job_id} did not answer within {self._answer_s:g} s:"
                " it is lost, or code in C keeps its threads from running"
            ) from None
        finally:
            del self._waiting[number]
        return _accepted(said)

    def on_answer(self, number: int, packed: bytes) -> None:
        """A worker has answered."""
        answer = self._waiting.get(number)
        if answer is not None and not answer.done():
            answer.set_result(MSGPACK.decode(packed))


def _accepted(said: dict[str, Any]) -> dict[str, Any]:
    if "refused" not in said:
        return said
    refusals = {"conflict": Conflict, "unavailable": Unavailable}
    raise refusals.get(said["refused"], InternalError)(said["message"])
