"""The straight ways: a job submitted is run and watched to its end."""

import json

import pytest


@pytest.mark.gen_test
async def test_a_job_is_submitted_run_and_told(http_client, base_url, stream):
    client = await stream(hello=[{"type": "subscribe", "sub": 1, "feed": {}}])
    answer = await http_client.fetch(
        base_url + "/api/jobs",
        method="POST",
        body=json.dumps({"task": "add", "args": {"a": 2}}),
        headers={"Content-Type": "application/json", "Prefer": "wait=5"},
    )
    assert answer.code == 200
    assert json.loads(answer.body)["result"] == 3
    await client.until(lambda frame: frame["type"] == "update" and frame["jobs"][0]["state"] == "succeeded")
