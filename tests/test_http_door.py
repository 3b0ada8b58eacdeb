"""Who may ask, for what, and with how much: hosts, origins, methods, bodies, files, headers."""

import asyncio
import json
import os

import pytest
from web import exchange, read_answer

from handlers import pages

MIB = 1024 * 1024


def problem_of(answer: bytes) -> dict:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer
    return json.loads(body)


# hosts and origins


@pytest.mark.gen_test
async def test_a_host_name_that_is_not_ours_is_403(api):
    hosts = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1"]
    hosts += ["[", "", "a@localhost", "localhost:1; x"]
    for path in ("/", "/healthz", "/api/jobs", "/static/app.js", "/nowhere", "/api/stream"):
        for host in hosts:
            answer = await api.get(path, Host=host)
            assert answer.status in (400, 403), (path, host)
            assert answer.status == 400 or answer.value["code"] == "forbidden", (path, host)


@pytest.mark.gen_test
async def test_names_of_this_machine_are_ours(api):
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8765", "127.9.9.9", "[::1]:8765"):
        assert (await api.get("/healthz", Host=host)).status == 200, host


@pytest.mark.gen_test
async def test_a_page_of_another_origin_may_change_nothing_even_without_a_body(api, base_url):
    job = await api.submit("add", args={"a": 1}, delay_s=60)
    foreign = [{"Origin": origin} for origin in ("http://evil.example", "null", base_url + "1", "http://localhost")]
    foreign += [{"Sec_Fetch_Site": site} for site in ("cross-site", "same-site", "nonsense")]
    foreign.append({"Origin": base_url, "Sec_Fetch_Site": "cross-site"})
    for headers in foreign:
        for method, path in (("POST", "/cancel"), ("POST", "/rerun"), ("DELETE", "")):
            answer = await api.ask(method, f"/api/jobs/{job['id']}{path}", b"" if method == "POST" else None, **headers)
            assert (answer.status, answer.value["code"]) == (403, "forbidden"), (headers, path)
        answer = await api.post("/api/jobs", {"task": "add", "args": {"a": 1}}, **headers)
        assert answer.status == 403, headers
    assert (await api.get(f"/api/jobs/{job['id']}")).value["state"] == "scheduled"


@pytest.mark.gen_test
async def test_our_own_page_may(api, base_url):
    for headers in (
        {"Origin": base_url},
        {"Sec_Fetch_Site": "same-origin", "Origin": base_url},
        {"Sec_Fetch_Site": "none"},
    ):
        answer = await api.post("/api/jobs", {"task": "add", "args": {"a": 1}}, **headers)
        assert answer.status == 202, headers


# methods


@pytest.mark.gen_test
async def test_unknown_paths_are_404_for_every_method(api):
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        body = b"{}" if method in ("POST", "PUT", "PATCH") else None
        for path in ("/nowhere", "/api/jobs/", "/api/jobs/a-b", "/api/jobs/X/nothing"):
            answer = await api.ask(method, path, body)
            assert answer.status == 404, (method, path)
            assert method == "HEAD" or answer.headers["Content-Type"] == "application/problem+json", (method, path)


@pytest.mark.gen_test
async def test_a_method_nobody_knows_is_405_and_names_those_that_are(api):
    for method, path, allowed in [
        ("PUT", "/api/jobs", "GET, HEAD, POST"),
        ("POST", "/api/jobs/X", "GET, HEAD, DELETE"),
        ("GET", "/api/jobs/X/cancel", "POST"),
        ("HEAD", "/api/jobs/X/cancel", "POST"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("POST", "/static/app.js", "GET, HEAD"),
        ("POST", "/api/stream", "GET"),
        ("OPTIONS", "/", "GET, HEAD"),
    ]:
        answer = await api.ask(method, path, b"" if method in ("PUT", "POST") else None)
        assert (answer.status, answer.headers.get("Allow")) == (405, allowed), (method, path)
        assert method == "HEAD" or answer.value["code"] == "method_not_allowed", (method, path)


@pytest.mark.gen_test
async def test_head_answers_as_get_without_the_body(api):
    job = await api.submit("add", wait_s=5, args={"a": 1})
    for path in ("/", "/healthz", "/readyz", "/api/jobs", f"/api/jobs/{job['id']}", "/api/tasks", "/static/app.js"):
        head, get = await api.ask("HEAD", path), await api.get(path)
        assert (head.status, head.body) == (get.status, b"") == (200, b""), path
        for name in ("Content-Type", "Content-Length", "ETag"):
            assert head.headers.get(name) == get.headers.get(name), (path, name)


# bodies


@pytest.mark.gen_test
async def test_a_body_over_the_limit_is_refused_before_it_is_sent(port):
    head = b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for more in (b"", b"Expect: 100-continue\r\n"):
        answer = await exchange(port, head + more + b"Content-Length: %d\r\n\r\n" % (100 * MIB))
        assert answer.startswith(b"HTTP/1.1 413 "), answer
        assert problem_of(answer)["code"] == "too_large"


@pytest.mark.gen_test
async def test_a_chunked_body_is_refused_once_it_is_over_the_limit(port, settings):
    head = b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = await exchange(port, head, chunk * (settings.body_bytes // 0x10000 + 1))
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert problem_of(answer)["code"] == "too_large"


@pytest.mark.gen_test
async def test_a_client_that_sends_100_mb_gets_to_read_the_refusal(port):
    for framing in ("length", "chunked"):
        reader, writer = await asyncio.open_connection("localhost", port)
        length = b"Content-Length: %d" % (100 * MIB) if framing == "length" else b"Transfer-Encoding: chunked"
        writer.write(
            b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + length + b"\r\n\r\n"
        )
        answering = asyncio.ensure_future(read_answer(reader))
        sent = 0
        while sent < 100 and not answering.done():
            writer.write(b" " * MIB if framing == "length" else b"100000\r\n" + b" " * MIB + b"\r\n")
            await writer.drain()
            sent += 1
        assert (await answering).startswith(b"HTTP/1.1 413 "), framing
        assert sent < 20, framing
        writer.close()


@pytest.mark.gen_test
async def test_after_a_refused_body_the_connection_goes_on(port):
    reader, writer = await asyncio.open_connection("localhost", port)
    writer.write(
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (2 * MIB) + b" " * (2 * MIB)
    )
    assert (await read_answer(reader)).startswith(b"HTTP/1.1 413 ")
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await read_answer(reader)).startswith(b"HTTP/1.1 200 ")
    writer.close()


@pytest.mark.gen_test
async def test_a_body_at_the_limit_is_read(api, settings):
    value = {"task": "emit_all", "args": {"values": ["x" * 1000] * 1000}}
    body = json.dumps(value).encode().ljust(settings.body_bytes)
    assert (await api.ask("POST", "/api/jobs", body, Content_Type="application/json")).status == 202
    assert (await api.ask("POST", "/api/jobs", body + b" ", Content_Type="application/json")).status == 413


@pytest.mark.gen_test
async def test_requests_that_are_no_http_are_closed(port):
    for nonsense in (
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ):
        assert (await exchange(port, nonsense)).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 ")), nonsense


# files


@pytest.mark.gen_test
async def test_static_files_never_leave_their_folder(port):
    for path in (
        b"/static/../setup.cfg",
        b"/static/%2e%2e/setup.cfg",
        b"/static/..%2fsetup.cfg",
        b"/static/%2e%2e%2fsetup.cfg",
        b"/static/..%5csetup.cfg",
        b"/static//etc/passwd",
        b"/static/%2fetc/passwd",
        b"/static/views/../../setup.cfg",
        b"/static/../static_other/x",
        b"/static/views",
        b"/static/",
        b"/static/%00",
        b"/static/app.js%00.txt",
        b"/static/" + b"a" * 5000,
    ):
        answer = await exchange(port, b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 404 ", b"HTTP/1.1 400 ")), (path, answer)
        assert problem_of(answer)["code"] in ("forbidden", "not_found", "bad_request"), path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Another static folder, set before the application is made."""
    (tmp_path / "static").mkdir()
    (tmp_path / "secret").write_text("secret")
    monkeypatch.setattr("handlers.app.STATIC", tmp_path / "static")
    return tmp_path / "static"


@pytest.mark.gen_test
async def test_links_in_static_lead_nowhere_else(folder, api):
    (folder / "real.js").write_text("real")
    os.symlink("../secret", folder / "leak.js")
    os.symlink("..", folder / "up")
    os.symlink("real.js", folder / "alias.js")
    assert (await api.get("/static/real.js")).body == b"real"
    assert (await api.get("/static/alias.js")).body == b"real"
    for path in ("leak.js", "up/secret"):
        assert (await api.get(f"/static/{path}")).status == 403


@pytest.mark.gen_test
async def test_files_are_asked_for_again_and_not_sent_twice(api):
    answer = await api.get("/static/app.js")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert (await api.get("/static/app.js", If_None_Match=answer.headers["ETag"])).status == 304


# headers


@pytest.mark.gen_test
async def test_the_page_is_held_to_a_strict_policy(api):
    for path in ("/", "/static/app.js"):
        answer = await api.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert f"ws://{api._base_url.removeprefix('http://')}" in policy
    assert (await api.get("/")).body == (pages.STATIC / "index.html").read_bytes()


@pytest.mark.gen_test
async def test_no_answer_is_sniffed_cached_or_says_by_what_it_was_made(api):
    for path in ("/", "/static/app.js", "/static/none.js", "/api/jobs", "/nowhere", "/api/stream"):
        headers = (await api.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["Cache-Control"] in ("no-store", "no-cache"), path
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin", path
        assert "Tornado" not in headers.get("Server", ""), path
