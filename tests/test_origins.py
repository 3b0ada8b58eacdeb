"""Pages of other origins: let in where the settings name them, with CORS, and never with credentials."""

import json
from collections.abc import Iterator

import pytest
from tornado.httpclient import HTTPClientError
from tornado.ioloop import IOLoop
from web import exchange

from handlers.app import make_application
from handlers.base import Door
from handlers.origins import Origins
from handlers.sockets import Sockets
from server.errors import StartupError
from server.settings import Settings

FRIEND, STRANGER = "https://app.example.com", "https://evil.example"
ALLOW = "Access-Control-Allow-Origin"
ASKS = {"Origin": FRIEND, "Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "content-type"}


@pytest.fixture
def app(io_loop: IOLoop, node) -> Iterator:
    """As that of conftest, with a page of another origin that is let in."""
    sockets = Sockets(node)

    async def start() -> None:
        sockets.start()

    io_loop.run_sync(start)
    yield make_application(node, sockets, Door("localhost", (), (FRIEND,)))
    io_loop.run_sync(sockets.stop, timeout=5)


# what a setting may say


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("https://app.example.com", ("https://app.example.com",)),
        ("HTTPS://App.Example.com:443", ("https://app.example.com",)),
        ("http://localhost:3000, http://[::1]:80", ("http://localhost:3000", "http://[::1]")),
        ("http://10.0.0.7:443", ("http://10.0.0.7:443",)),
    ],
)
def test_origins_are_kept_as_browsers_write_them(said, kept):
    assert Settings.read({"WINDSOCK_ALLOW_ORIGIN": said}).allow_origin == kept


@pytest.mark.parametrize(
    "said",
    [
        "*",
        "null",
        "app.example.com",
        "https://app.example.com/",
        "https://app.example.com/x",
        "https://*.example.com",
        "ftp://app.example.com",
        "https://a@app.example.com",
        "https://app.example.com:",
        "https://",
    ],
)
def test_what_is_no_origin_is_refused_at_the_start(said):
    with pytest.raises(StartupError, match="allow_origin"):
        Settings.read({"WINDSOCK_ALLOW_ORIGIN": said})


def test_an_origin_is_let_in_letter_for_letter():
    origins = Origins([FRIEND])
    assert origins.admits(FRIEND)
    for other in (None, "", "null", "http://app.example.com", FRIEND + ".evil.example", FRIEND + ":444", FRIEND + "/"):
        assert not origins.admits(other), other


# what is answered


@pytest.mark.gen_test
async def test_a_page_that_is_let_in_may_read_submit_and_cancel(api):
    made = await api.post("/api/jobs", {"task": "add", "args": {"a": 1}, "delay_s": 60}, Origin=FRIEND)
    assert (made.status, made.headers[ALLOW]) == (202, FRIEND)
    path = f"/api/jobs/{made.value['id']}"
    asked = {"Origin": FRIEND, "Sec_Fetch_Site": "cross-site"}
    for answer in [
        await api.get(path, **asked),
        await api.get(path + "/log", **asked),
        await api.get("/api/tasks", **asked),
        await api.post(path + "/cancel", **asked),
    ]:
        assert (answer.status in (200, 202), answer.headers[ALLOW]) == (True, FRIEND)
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "Location" in answer.headers["Access-Control-Expose-Headers"]
        assert set(answer.headers.get_list("Vary")) == {"Origin", "Accept"}
    assert (await api.get(path)).value["state"] == "cancelled"


@pytest.mark.gen_test
async def test_no_answer_ever_allows_credentials(api):
    answers = [
        await api.get("/api/jobs", Origin=FRIEND),
        await api.ask("OPTIONS", "/api/jobs", **ASKS),
        await api.get("/static/app.js", Origin=FRIEND),
    ]
    for answer in answers:
        assert answer.headers[ALLOW] == FRIEND
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.gen_test
async def test_a_page_that_is_let_in_can_read_refusals(api, port, settings):
    for answer, status in [
        (await api.get("/api/jobs/X", Origin=FRIEND), 404),
        (await api.get("/api/nowhere", Origin=FRIEND), 404),
        (await api.post("/api/jobs", {"task": "nothing"}, Origin=FRIEND), 422),
        (await api.get("/static/nothing.js", Origin=FRIEND), 404),
    ]:
        assert (answer.status, answer.headers[ALLOW]) == (status, FRIEND)
    head = f"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nOrigin: {FRIEND}\r\nContent-Length: {10**9}\r\n\r\n"
    answer = (await exchange(port, head.encode())).decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert f"{ALLOW}: {FRIEND}\r\n" in answer


@pytest.mark.gen_test
async def test_a_browser_that_asks_first_is_told_what_it_may_send(api):
    for path in ("/api/jobs", "/api/jobs/X/cancel", "/api/jobs/X"):
        answer = await api.ask("OPTIONS", path, **ASKS)
        assert (answer.status, answer.body, answer.headers[ALLOW]) == (204, b"", FRIEND)
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST"
        assert {"Content-Type", "Idempotency-Key"} <= set(answer.headers["Access-Control-Allow-Headers"].split(", "))
        assert int(answer.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.gen_test
async def test_a_page_that_is_let_in_may_not_delete(api):
    job = await api.submit("add", wait_s=5, args={"a": 1})
    assert (await api.ask("DELETE", f"/api/jobs/{job['id']}", Origin=FRIEND)).status == 403
    assert (await api.get(f"/api/jobs/{job['id']}")).status == 200


@pytest.mark.gen_test
async def test_a_page_that_is_not_named_is_told_nothing(api):
    for origin in (STRANGER, "null", FRIEND + ":8443", FRIEND.upper()):
        answer = await api.get("/api/jobs", Origin=origin)
        assert ALLOW not in answer.headers, origin
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Origin" in answer.headers.get_list("Vary"), "a cache must not hand it what a friend was told"
        assert (await api.ask("OPTIONS", "/api/jobs", **{**ASKS, "Origin": origin})).status == 405
        refused = await api.post("/api/jobs", {"task": "add", "args": {"a": 1}}, Origin=origin)
        assert (refused.status, ALLOW in refused.headers) == (403, False)


@pytest.mark.gen_test
async def test_only_the_api_and_the_files_are_shared(api):
    for path in ("/", "/metrics", "/healthz", "/readyz", "/nowhere"):
        assert ALLOW not in (await api.get(path, Origin=FRIEND)).headers, path
        assert (await api.ask("OPTIONS", path, **ASKS)).status in (404, 405), path


@pytest.mark.gen_test
async def test_files_are_shared_and_asked_for_again_by_etag(api):
    first = await api.get("/static/protocol.js", Origin=FRIEND)
    assert (first.status, first.headers[ALLOW]) == (200, FRIEND)
    again = await api.get("/static/protocol.js", Origin=FRIEND, If_None_Match=first.headers["ETag"])
    assert (again.status, again.body, again.headers[ALLOW]) == (304, b"", FRIEND)


@pytest.mark.gen_test
async def test_events_are_shared(api):
    job = await api.submit("add", wait_s=5, args={"a": 1})
    answer = await api.get(f"/api/jobs/{job['id']}/events", Origin=FRIEND)
    assert (answer.status, answer.headers[ALLOW]) == (200, FRIEND)
    assert b"event: end" in answer.body


@pytest.mark.gen_test
async def test_the_socket_opens_for_a_page_that_is_let_in_and_for_no_other(stream):
    client = await stream(headers={"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"})
    assert (await client.until("welcome"))["version"] == 1
    with pytest.raises(HTTPClientError, match="403"):
        await stream(headers={"Origin": STRANGER})


@pytest.mark.gen_test
async def test_a_host_name_that_is_not_ours_stays_refused(api):
    answer = await api.get("/api/jobs", Origin=FRIEND, Host="evil.example")
    assert answer.status == 403
    assert json.loads(answer.body)["code"] == "forbidden"
