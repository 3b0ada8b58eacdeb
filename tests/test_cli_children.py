"""`windsock children`, against a server of recorded answers."""

import pytest
from test_cli_commands import Cli, Server, app, cli, server, summary

__all__ = ["app", "cli", "server"]


@pytest.mark.gen_test
async def test_children_are_listed_as_jobs_are(cli: Cli, server: Server) -> None:
    page = {"jobs": [summary("C1", parent="J1")], "next": None, "counts": {"running": 1}}
    server.answers["GET /api/jobs/J1/children"] = (200, page)
    result = await cli("children", "J1", "--state", "running")
    assert result.output.startswith("C1\tsleep\tdefault\trunning\t")
    assert server.body_of("GET /api/jobs/J1/children") == {"state": "running", "limit": "100"}
    server.answers["GET /api/jobs"] = (200, page)
    await cli("jobs", "--parent", "J1")
    assert server.body_of("GET /api/jobs")["parent"] == "J1"
