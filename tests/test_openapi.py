"""The OpenAPI document against the routes, against real answers, and against a server that Schemathesis asks."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sample_tasks
from documented import Asking, check
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from processes import Processes, processes  # noqa: F401  a fixture
from pydantic import BaseModel
from web import eventually, having

from handlers.openapi import Document
from handlers.schemas import schemas
from server.registry import Registry, make_task
from windsock import task

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 10  # of each operation


@pytest.fixture
def document(node):
    """The document of the test's node."""
    return Document(node).value


@pytest.fixture
def asking(api, document):
    return Asking(api, document)


# the document


def test_the_document_is_valid_openapi(document):
    validate(document)


def test_each_route_is_in_the_document_and_each_path_is_a_route(app, document):
    routes = app.wildcard_router.rules
    found = set()
    for path, item in document["paths"].items():
        concrete = path.replace("{id}", "X").replace("{number}", "1").replace("{file}", "app.js")
        (rule,) = [one for one in routes if one.matcher.regex.fullmatch(concrete)]
        known = {name.lower() for name in rule.target._methods(rule.target.__new__(rule.target))} - {"head"}
        assert set(item) - {"parameters"} == known, path
        found.add(rule)
    assert found == set(routes)
    commands = next(one.matcher.regex.pattern for one in routes if "cancel" in one.matcher.regex.pattern)
    for command in re.search(r"/\(([a-z|]+)\)", commands)[1].split("|"):
        assert f"/api/jobs/{{id}}/{command}" in document["paths"]


def test_operations_have_names_of_their_own(document):
    names = [one["operationId"] for item in document["paths"].values() for one in item.values() if "responses" in one]
    assert len(names) == len(set(names)) > 0


@having(wait_s=7.0, feed_limit=9)
def test_bounds_are_those_of_the_settings(document):
    def maximum(path, name):
        (one,) = [one for one in document["paths"][path]["get"]["parameters"] if one["name"] == name]
        return one["schema"]["maximum"]

    assert (maximum("/api/jobs/{id}", "wait"), maximum("/api/jobs", "limit")) == (7, 9)


@pytest.mark.gen_test
async def test_the_document_is_made_once_and_told_in_both_codecs(api, document):
    first = await api.get("/api/openapi.json")
    assert first.value == document == (await api.get("/api/openapi.json", Accept="application/msgpack")).value
    assert first.headers["Content-Type"] == "application/json"


def test_it_is_made_when_first_asked_for_and_not_again(node):
    kept = Document(node)
    assert kept.value is kept.value


# submissions


def submission(document):
    components = {"components": {"schemas": document["components"]["schemas"]}}
    return Draft202012Validator({"$ref": "#/components/schemas/Submission", **components})


@pytest.mark.parametrize(
    "body",
    [
        {"task": "add", "args": {"a": 1}},
        {"task": "add", "args": {"a": 1, "b": 2}, "priority": 10, "tags": ["x"], "delay_s": 1.5, "at": None},
        {"task": "forever"},
    ],
)
def test_a_submission_that_is_taken_is_as_the_document_says(document, body):
    submission(document).validate(body)


@pytest.mark.parametrize(
    "body",
    [
        {"task": "add"},
        {"task": "add", "args": {}},
        {"task": "add", "args": {"a": 1, "c": 2}},
        {"task": "nobody", "args": {}},
        {"task": "forever", "more": 1},
        {"task": "forever", "priority": 11},
        {"task": "forever", "delay_s": 1, "at": 1},
    ],
)
@pytest.mark.gen_test
async def test_what_the_document_forbids_is_refused(api, document, body):
    assert not submission(document).is_valid(body)
    assert (await api.post("/api/jobs", body)).status == 422


def test_arguments_that_are_models_are_found_in_the_document(node):
    class Size(BaseModel):
        width: int

    @task
    async def crop(size: Size) -> None:
        """Crops."""

    @task
    async def grow(size: list[Size]) -> None:
        """Grows."""

    made = {"components": {"schemas": schemas([make_task(crop), make_task(grow)])}}
    check_submission = submission(made)
    check_submission.validate({"task": "crop", "args": {"size": {"width": 1}}})
    check_submission.validate({"task": "grow", "args": {"size": [{"width": 1}]}})
    assert not check_submission.is_valid({"task": "grow", "args": {"size": [{"width": "x"}]}})


def test_without_tasks_the_document_is_valid_too(node):
    node.registry = Registry()
    validate(Document(node).value)


# real answers


@pytest.mark.gen_test
async def test_the_life_of_a_job_is_as_documented(asking):
    job = (await asking.submit("steps", count=3))["id"]
    assert (await asking.api.until(job, "succeeded"))["progress"]["done"] == 3
    whole = await asking.get("/api/jobs/{id}", job=job)
    again = whole.value["cursor"]
    assert (await asking.get("/api/jobs/{id}", f"?after={again}&wait=0", job)).status == 304
    assert len((await asking.get("/api/jobs/{id}/log", job=job)).value["entries"]) == 3
    assert (await asking.get("/api/jobs/{id}/events", job=job)).status == 200
    lines = await asking.get("/api/jobs/{id}/events", job=job, Accept="application/x-ndjson")
    assert json.loads(lines.body.splitlines()[-1])["type"] == "end"
    assert (await asking.get("/api/jobs/{id}/events", f"?after={again}", job)).status == 204
    assert (await asking.post("/api/jobs/{id}/rerun", job=job)).value["rerun_of"] == job
    assert (await asking.post("/api/jobs/{id}/cancel", job=job)).status == 409
    assert (await asking.delete("/api/jobs/{id}", job)).status == 204
    assert (await asking.delete("/api/jobs/{id}", job)).status == 404


@pytest.mark.gen_test
async def test_all_kinds_of_ends_are_as_documented(asking):
    ends = [
        await asking.submit("add", 5, a=1),
        await asking.submit("fail", 5, message="no"),
        await asking.submit("slow", 5),
        await asking.submit("give", 5, kind="large"),
    ]
    assert [end["state"] for end in ends] == ["succeeded", "failed", "failed", "failed"]
    for end in ends:
        await asking.get("/api/jobs/{id}", job=end["id"])
        await asking.get("/api/jobs/{id}", job=end["id"], Accept="application/msgpack")
    running = (await asking.submit("forever"))["id"]
    await asking.api.until(running, "running")
    assert (await asking.post("/api/jobs/{id}/rerun", job=running)).status == 409
    assert (await asking.post("/api/jobs/{id}/cancel", job=running)).status == 202
    await asking.api.until(running, "cancelled")
    await asking.get("/api/jobs/{id}", job=running)


@pytest.mark.gen_test
async def test_emitted_values_are_as_documented(asking):
    job = (await asking.submit("emit_all", 5, values=[1, "x", None, {"a": [1.5]}]))["id"]
    assert len((await asking.get("/api/jobs/{id}/log", job=job)).value["entries"]) == 4


@pytest.mark.gen_test
async def test_batches_are_as_documented(asking):
    batch = [{"task": "add", "args": {"a": 1}}, {"task": "nobody"}]
    jobs = (await asking.post("/api/jobs", batch)).value["jobs"]
    assert [one.get("code", "job") for one in jobs] == ["job", "invalid"]
    lines = await asking.api.ask("POST", "/api/jobs", b'{"task":"forever"}\n{', Content_Type="application/x-ndjson")
    assert check(asking.document, lines, "POST", "/api/jobs").status == 202


@pytest.mark.gen_test
async def test_lists_are_as_documented(asking):
    for number in range(3):
        await asking.submit("add", 5, a=number)
    assert (await asking.get("/api/jobs", "?limit=2")).value["next"]
    assert (await asking.get("/api/jobs", "?task=add&queue=default&state=succeeded")).value["counts"] is None


@pytest.mark.gen_test
async def test_refusals_are_as_documented(asking):
    for status, value, headers in [
        (400, 7, {}),
        (403, {"task": "forever"}, {"Origin": "http://elsewhere"}),
        (413, {"task": "forever", "args": {"x": "x" * 2_000_000}}, {}),
        (415, {"task": "forever"}, {"Content_Type": "text/plain"}),
        (422, {"task": "nobody"}, {}),
    ]:
        assert (await asking.post("/api/jobs", value, **headers)).status == status
    assert (await asking.get("/api/jobs", "?limit=0")).status == 422
    assert (await asking.get("/api/stream")).status == 400
    assert (await asking.get("/api/jobs/{id}/events", job="X")).status == 404
    assert (await asking.get("/api/jobs/{id}/events", "?log=x", job="X")).status == 422
    assert (await asking.get("/api/jobs/{id}", "?wait=x", job="X")).status == 422


@pytest.mark.gen_test
async def test_what_the_server_says_of_itself_is_as_documented(asking):
    async def nodes():
        return (await asking.get("/api/nodes")).value["nodes"]

    assert await eventually(nodes)
    for path in ("/api/tasks", "/api/openapi.json", "/healthz", "/metrics", "/"):
        assert (await asking.get(path)).status == 200
    check(asking.document, await asking.api.get("/static/app.js"), "GET", "/static/{file}")
    check(asking.document, await asking.api.get("/static/none.js"), "GET", "/static/{file}")


@pytest.mark.gen_test
async def test_a_draining_node_is_as_documented(asking, node):
    node.draining = True
    assert (await asking.get("/readyz")).status == 503
    assert (await asking.post("/api/jobs", {"task": "forever"})).status == 503


# a server that Schemathesis asks


@pytest.mark.timeout(240)  # hundreds of requests, most of them refused; 35 s on an idle machine
def test_a_real_server_answers_as_the_document_says(processes: Processes, tmp_path: Path) -> None:  # noqa: F811
    server = processes.serve(tasks=sample_tasks.__file__, wait_s=1)
    words = f"run {server.url}/api/openapi.json --checks {CHECKS} --max-examples {EXAMPLES}"
    quiet = "--generation-deterministic --exclude-path /api/stream --exclude-path /api/jobs/{id}/events"  # need not end
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *words.split(), *quiet.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Tested: 22" in done.stdout
