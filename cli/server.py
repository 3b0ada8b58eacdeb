"""The server that a command talks to, and the jobs it names there."""

from cli.exits import BadUsage
from windsock.async_client import AsyncClient
from windsock.calls import job_path


def connect(url: str) -> AsyncClient:
    """A client of the server at --url; who types a command would rather know at once than wait.

    Raises:
        BadUsage: that is not the address of a server.
    """
    try:
        return AsyncClient(url, retry_s=0)
    except ValueError as error:
        raise BadUsage(f"--url {error}") from None


def checked(*job_ids: str) -> None:
    """What was typed as ids of jobs.

    Raises:
        BadUsage: one cannot be an id at all.
    """
    for job_id in job_ids:
        try:
            job_path(job_id)
        except ValueError as error:
            raise BadUsage(f"{error}; `windsock jobs` lists them") from None
