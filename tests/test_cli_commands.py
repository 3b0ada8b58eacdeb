"""The commands as typed, against a server of recorded answers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner, Result
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from cli.main import COMMANDS

Cli = Callable[..., Awaitable[Result]]
BY_NAME = {command.name: command for command in COMMANDS}
TASKS = [
    {
        "name": "sleep",
        "summary": "Sleep \x1b[31m a while",
        "kind": "coroutine",
        "arguments": {
            "properties": {"seconds": {"type": "integer"}, "note": {"type": "string", "default": ""}},
            "required": ["seconds"],
        },
        "options": {},
    }
]


def summary(job_id: str = "J1", state: str = "running", **more: Any) -> dict[str, Any]:
    return {
        "id": job_id,
        "task": "sleep",
        "queue": "default",
        "state": state,
        "attempt": 1,
        "max_attempts": 3,
        "priority": 0,
        "tags": ["user:7", "\x1bx"],
        "progress": {"done": 1, "total": 4, "unit": "s", "note": "[b]hm"},
        **{"created_at": 0, "scheduled_at": None, "started_at": 1000, "finished_at": None, "updated_at": 3000},
        **{"node": "n", "warnings": [], "cursor": "k-1.1.0"},
        **more,
    }


class Server:
    """What the stub answers, and what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}  # "POST /path" to status and body
        self.asked: list[tuple[str, Any]] = []
        self.end_state = "succeeded"

    def body_of(self, what: str) -> Any:
        return next(body for path, body in self.asked if path == what)


class Recorded(RequestHandler):
    def initialize(self, server: Server) -> None:
        self.server = server

    def _answer(self) -> None:
        what = f"{self.request.method} {self.request.path}"
        query = {name: values[0] for name, values in parse_qs(self.request.query).items()}
        self.server.asked.append((what, json.loads(self.request.body) if self.request.body else query))
        status, body = self.server.answers.get(what, (404, {"code": "not_found", "detail": "no such job"}))
        self.set_status(status)
        self.finish(body(query) if callable(body) else body)

    get = post = _answer


class Live(WebSocketHandler):
    def initialize(self, server: Server) -> None:
        self.server = server

    def select_subprotocol(self, subprotocols: list[str]) -> str:
        return subprotocols[0]

    def on_message(self, message: str | bytes) -> None:
        frames: list[Any] = [{"type": "welcome", "heartbeat_s": 15}]
        for wish in json.loads(message)[0]["subscribe"]:
            self.server.asked.append(("subscribe", wish))
            ended = summary(wish["job"], self.server.end_state, cursor="k-1.2.0", result={"x": "\x1b"})
            frames.append({"type": "end", "sub": wish["sub"], "job": ended, "last": 0, "cursor": "k-1.2.0"})
        self.write_message(json.dumps(frames))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def app(server: Server) -> Application:
    return Application(
        [("/api/stream", Live, {"server": server}), ("/.*", Recorded, {"server": server})],
        log_function=lambda handler: None,
    )


@pytest.fixture
def cli(base_url: str, http_server: object, io_loop: IOLoop) -> Cli:
    """Run a command in a thread, as its own program would; its loop is not the server's."""

    async def invoke(name: str, *arguments: str, env: dict[str, str] | None = None) -> Result:
        runner = CliRunner(env={"WINDSOCK_URL": base_url, **(env or {})})
        return await asyncio.to_thread(runner.invoke, BY_NAME[name], list(arguments))

    return invoke


@pytest.mark.gen_test
async def test_submit_prints_the_id_and_sends_what_was_typed(cli: Cli, server: Server) -> None:
    server.answers = {"GET /api/tasks": (200, {"tasks": TASKS}), "POST /api/jobs": (202, summary("J9"))}
    options = ["--queue", "q", "--priority", "-3", "--delay", "2m", "--tag", "a", "--tag", "b"]
    options += ["--timeout", "1.5", "--max-attempts", "2"]
    result = await cli("submit", "sleep", "seconds=5", "note=7", *options)
    assert (result.exit_code, result.stdout) == (0, "J9\n")
    assert server.body_of("POST /api/jobs") == {
        "task": "sleep",
        "args": {"seconds": 5, "note": "7"},
        "queue": "q",
        "priority": -3,
        "delay_s": 120.0,
        "tags": ["a", "b"],
        "timeout_s": 1.5,
        "max_attempts": 2,
    }


@pytest.mark.gen_test
async def test_flags_come_from_the_environment_too(cli: Cli, server: Server) -> None:
    server.answers = {"POST /api/jobs": (202, summary())}
    env = {
        "WINDSOCK_SUBMIT_JSON": '{"seconds": 1}',
        "WINDSOCK_SUBMIT_DELAY": "3",
        "WINDSOCK_SUBMIT_TAG": "a b",
    }
    await cli("submit", "sleep", env=env)
    wanted = {"task": "sleep", "args": {"seconds": 1}, "delay_s": 3.0, "tags": ["a", "b"]}
    assert server.body_of("POST /api/jobs") == wanted


@pytest.mark.gen_test
@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 3)])
async def test_the_exit_code_tells_the_outcome(cli: Cli, server: Server, state: str, code: int) -> None:
    server.answers = {"POST /api/jobs": (202, summary("J9"))}
    server.end_state = state
    result = await cli("submit", "sleep", "--watch", "--log", "5")
    assert result.exit_code == code
    assert [json.loads(line)["type"] for line in result.stdout.splitlines()] == ["end"]
    assert "\x1b" not in result.stdout
    assert server.body_of("subscribe")["log"] == 5


@pytest.mark.gen_test
@pytest.mark.parametrize(
    "arguments",
    [
        ("submit",),
        ("submit", "sleep", "seconds"),
        ("submit", "sleep", "seconds=soon"),
        ("submit", "sleep", "seconds=1", "--json", "{}"),
        ("submit", "sleep", "--json", "[]"),
        ("submit", "sleep", "--delay", "soon"),
        ("submit", "sleep", "--at", "tomorrow"),
        ("submit", "sleep", "--delay", "1", "--at", "2030-01-01"),
        ("submit", "sleep", "--priority", "11"),
        ("watch",),
        ("watch", ".."),
        ("watch", "J1", "--log", "some"),
        ("watch", *map(str, range(257))),
        ("watch", "J1", "J2", "--after", "k-1.1.0"),
        ("watch", "J1", "--after", "k-1.1.0", "--cursor-file", "/nowhere/cursor"),
        ("jobs", "--state", "lost"),
        ("jobs", "--url", "ftp://x"),
        ("jobs", "--url", "http://[x"),
    ],
)
async def test_wrong_usage_exits_2_with_a_line_on_stderr(cli: Cli, server: Server, arguments: list[str]) -> None:
    server.answers = {"GET /api/tasks": (200, {"tasks": TASKS}), "POST /api/jobs": (202, summary())}
    result = await cli(*arguments)
    assert result.exit_code == 2
    assert result.stderr
    assert not result.stdout
    assert not any(what.startswith("POST") for what, _ in server.asked)


@pytest.mark.gen_test
async def test_a_refusal_names_each_field_and_exits_2(cli: Cli, server: Server) -> None:
    errors = [{"field": "args.seconds", "message": "too \x1blong"}, {"field": "queue", "message": "no name"}]
    server.answers = {"POST /api/jobs": (422, {"code": "invalid", "errors": errors})}
    result = await cli("submit", "sleep")
    assert result.exit_code == 2
    assert result.stderr == "windsock: args.seconds: too \\x1blong; queue: no name (invalid)\n"


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            503,
            {"code": "unavailable", "detail": "Redis is away"},
            "Redis is away (unavailable): try again later",
        ),
        (429, {"code": "too_many", "detail": "slower"}, "slower (too_many): try again later"),
        (200, {"jobs": [{}]}, "not as a Windsock server (HTTP 200): check --url"),
        (500, {"code": "internal", "detail": "boom"}, "has a fault: boom (internal): try again later"),
        (502, "<html>", "(HTTP 502): try again later"),
        (503, "", "no server answers behind http"),
        (200, "<html>", "not as a Windsock server (HTTP 200): check --url"),
        (404, "", "not as a Windsock server (HTTP 404): check --url"),
    ],
)
async def test_a_server_that_cannot_serve_exits_4(cli: Cli, server: Server, status: int, body: Any, said: str) -> None:
    server.answers = {"GET /api/jobs": (status, body)}
    result = await cli("jobs")
    assert result.exit_code == 4
    assert said in result.stderr


@pytest.mark.gen_test
async def test_jobs_in_a_pipe_are_tab_separated_and_safe(cli: Cli, server: Server) -> None:
    server.answers = {"GET /api/jobs": (200, {"jobs": [summary()], "next": None, "counts": None})}
    result = await cli("jobs", "--state", "running", "--task", "sleep", "--queue", "q", "--tag", "t", "--limit", "7")
    columns = result.stdout.rstrip("\n").split("\t")
    assert columns[:6] == ["J1", "sleep", "default", "running", "1/4", "1"]
    assert columns[8] == "user:7,\\x1bx"
    asked = {"state": "running", "task": "sleep", "queue": "q", "tag": "t", "limit": "7"}
    assert server.body_of("GET /api/jobs") == asked


@pytest.mark.gen_test
async def test_jobs_turns_pages_until_it_has_enough(cli: Cli, server: Server) -> None:
    pages = {None: (["A", "B"], "p2"), "p2": ([], "p3"), "p3": (["C", "D"], "p4")}

    def page(query: dict[str, str]) -> dict[str, Any]:
        ids, following = pages[query.get("before")]
        return {"jobs": [summary(job_id) for job_id in ids], "next": following, "counts": None}

    server.answers = {"GET /api/jobs": (200, page)}
    result = await cli("jobs", "--limit", "3", "--json")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["A", "B", "C"]


@pytest.mark.gen_test
async def test_show_has_arguments_error_traceback_and_log(cli: Cli, server: Server) -> None:
    error = {"code": "exception", "message": "ValueError: \x1b[2J", "traceback": "Traceback\n  at \x07"}
    warnings = [{"text": "slow", "stack": "at a\nat b"}]
    whole = summary(state="failed", args={"seconds": 5}, error=error, warnings=warnings, position=3)

    def log(query: dict[str, str]) -> dict[str, Any]:
        entries = [{"at": 0, "level": "info", "text": "hello"}] if "after" in query else []
        return {"entries": entries, "first": 1, "last": 30, "next": None}

    server.answers = {"GET /api/jobs/J1": (200, whole), "GET /api/jobs/J1/log": (200, log)}
    result = await cli("show", "J1", "--log", "20")
    assert result.exit_code == 0
    for told in ('{"seconds": 5}', "ValueError: \\x1b[2J", "  at \\x07", "hello", "of 30", "at b", "[b]hm"):
        assert told in result.stdout
    assert "\x1b" not in result.stdout
    assert ("GET /api/jobs/J1/log", {"after": "10", "limit": "20"}) in server.asked


@pytest.mark.gen_test
async def test_show_as_json_is_one_object(cli: Cli, server: Server) -> None:
    server.answers = {"GET /api/jobs/J1": (200, summary(args={}, result="\x1b"))}
    result = await cli("show", "J1", "--json", "--log", "0")
    assert json.loads(result.stdout)["result"] == "\x1b"
    assert result.stdout.count("\n") == 1


@pytest.mark.gen_test
async def test_cancel_goes_on_after_a_refusal(cli: Cli, server: Server) -> None:
    server.answers = {
        "POST /api/jobs/A/cancel": (409, {"code": "conflict", "detail": "it has ended"}),
        "POST /api/jobs/B/cancel": (202, summary("B", "cancelling")),
    }
    result = await cli("cancel", "A", "B")
    assert (result.exit_code, result.stdout) == (2, "B\tcancelling\n")
    assert result.stderr == "windsock: A: it has ended (conflict)\n"


@pytest.mark.gen_test
async def test_a_cancel_is_not_gone_on_with_while_the_server_cannot(cli: Cli, server: Server) -> None:
    server.answers = {
        "POST /api/jobs/A/cancel": (202, summary("A", "cancelling")),
        "POST /api/jobs/B/cancel": (503, {"code": "unavailable", "detail": "Redis is away"}),
    }
    result = await cli("cancel", "A", "B", "C")
    assert (result.exit_code, result.stdout) == (4, "A\tcancelling\n")
    assert result.stderr == "windsock: Redis is away (unavailable): try again later\n"


@pytest.mark.gen_test
async def test_rerun_prints_the_new_id_or_watches_it(cli: Cli, server: Server) -> None:
    server.answers = {"POST /api/jobs/J1/rerun": (202, summary("J2"))}
    assert (await cli("rerun", "J1")).stdout == "J2\n"
    result = await cli("rerun", "J1", "--watch")
    assert json.loads(result.stdout)["job"]["id"] == "J2"
    assert (await cli("rerun", "J7")).exit_code == 2


@pytest.mark.gen_test
async def test_tasks_in_a_pipe_and_as_json(cli: Cli, server: Server) -> None:
    server.answers = {"GET /api/tasks": (200, {"tasks": TASKS})}
    line = 'sleep\tcoroutine\tseconds: integer, note: string = ""\tSleep \\x1b[31m a while\n'
    assert (await cli("tasks")).stdout == line
    assert json.loads((await cli("tasks", "--json")).stdout) == TASKS[0]
