"""What a submit gives back: the id of a job, and a client to ask about it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.events import JobEvent
from windsock.job import Job
from windsock.watched import LogWish

if TYPE_CHECKING:
    from windsock.async_client import AsyncClient
    from windsock.client import Client


@dataclass(frozen=True, slots=True)
class JobHandle:
    """A job by its id, asked about through a client."""

    id: str
    client: "Client"

    def get(self) -> Job:
        """As it is now; see `Client.get`."""
        return self.client.get(self.id)

    def wait(self, timeout_s: float | None = None) -> Job:
        """As it ended; see `Client.wait`."""
        return self.client.wait(self.id, timeout_s)

    def result(self, timeout_s: float | None = None) -> Any:
        """What it returned; see `Client.result`."""
        return self.client.result(self.id, timeout_s)

    def cancel(self) -> Job:
        """Ask it to end; see `Client.cancel`."""
        return self.client.cancel(self.id)

    def rerun(self) -> "JobHandle":
        """Run it anew; see `Client.rerun`."""
        return self.client.rerun(self.id)

    def delete(self) -> None:
        """Forget it; see `Client.delete`."""
        self.client.delete(self.id)

    def watch(self, *, log: LogWish = "all", after: str | None = None) -> Iterator[JobEvent]:
        """Its events, live, to its end; see `Client.watch`."""
        return self.client.watch(self.id, log=log, after=after)


@dataclass(frozen=True, slots=True)
class AsyncJobHandle:
    """A job by its id, asked about through an async client."""

    id: str
    client: "AsyncClient"

    async def get(self) -> Job:
        """As it is now; see `AsyncClient.get`."""
        return await self.client.get(self.id)

    async def wait(self, timeout_s: float | None = None) -> Job:
        """As it ended; see `AsyncClient.wait`."""
        return await self.client.wait(self.id, timeout_s)

    async def result(self, timeout_s: float | None = None) -> Any:
        """What it returned; see `AsyncClient.result`."""
        return await self.client.result(self.id, timeout_s)

    async def cancel(self) -> Job:
        """Ask it to end; see `AsyncClient.cancel`."""
        return await self.client.cancel(self.id)

    async def rerun(self) -> "AsyncJobHandle":
        """Run it anew; see `AsyncClient.rerun`."""
        return await self.client.rerun(self.id)

    async def delete(self) -> None:
        """Forget it; see `AsyncClient.delete`."""
        await self.client.delete(self.id)

    def watch(self, *, log: LogWish = "all", after: str | None = None) -> AsyncIterator[JobEvent]:
        """Its events, live, to its end; see `AsyncClient.watch`."""
        return self.client.watch(self.id, log=log, after=after)
