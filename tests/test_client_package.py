"""What `import windsock` costs, and what it never brings along."""

import subprocess
import sys

import pytest

import windsock
from windsock import Options, Submission
from windsock.address import Address, chosen_url

PROGRAM = """
import sys, windsock
assert not [name for name in sys.modules if name.startswith(("asyncio", "server", "windsock."))]
for name in ("Client", "AsyncClient", "submit", "JobFailed", "Options"):
    getattr(windsock, name)
rooms = {name.split(".")[0] for name in sys.modules}
foreign = rooms & {"redis", "tornado", "pydantic", "handlers", "cli", "msgpack", "click", "rich"}
assert not foreign, foreign
assert {name for name in sys.modules if name.startswith("server")} <= {"server", "server.version"}
"""


def test_the_client_needs_neither_redis_nor_the_server() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)


def test_every_name_is_there_and_no_other() -> None:
    for name in windsock.__all__:
        assert getattr(windsock, name) is not None
    with pytest.raises(AttributeError, match="nosuch"):
        _ = windsock.nosuch


def test_the_server_is_the_one_given_else_that_of_the_environment_else_the_one_here() -> None:
    assert chosen_url("http://a", {"WINDSOCK_URL": "http://b"}) == "http://a"
    assert chosen_url(None, {"WINDSOCK_URL": "http://b"}) == "http://b"
    assert chosen_url(None, {}) == "http://127.0.0.1:8765"


def test_an_address_may_be_short_and_may_have_a_path() -> None:
    short = Address.of("localhost:8765/")
    assert (short.url, short.host, short.port, short.tls, short.path) == (
        "http://localhost:8765",
        "localhost",
        8765,
        False,
        "",
    )
    behind = Address.of("https://example.org/jobs/")
    assert (behind.port, behind.tls, behind.path, behind.authority) == (443, True, "/jobs", "example.org")


def test_a_host_with_letters_of_the_world_and_a_path_are_written_as_requests_have_them() -> None:
    found = Address.of("http://BÜCHER.example:8080/jöbs and more/")
    assert (found.host, found.authority) == ("xn--bcher-kva.example", "xn--bcher-kva.example:8080")
    assert (found.url, found.path) == (
        "http://xn--bcher-kva.example:8080/j%C3%B6bs%20and%20more",
        "/j%C3%B6bs%20and%20more",
    )
    assert Address.of("http://[::1]:80/a%20b").path == "/a%20b"


@pytest.mark.parametrize(
    "text", ["http://a..b", "", "ftp://x", "http://", "http://x:0", "http://x:y", "http://x?a=1", "http://u:p@x"]
)
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="not a server's address"):
        windsock.Client(text or "http://?")


def test_a_submission_says_only_what_was_chosen() -> None:
    assert Submission("t", {"a": 1}).wire() == {"task": "t", "args": {"a": 1}}
    wire = Submission("t", {}, Options(queue="q", tags=("a",), idempotency_key="k", delay_s=0.0)).wire()
    assert wire == {"task": "t", "args": {}, "queue": "q", "tags": ["a"], "delay_s": 0.0}
