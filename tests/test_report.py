"""GET /api/jobs/{id}/report.html, over HTTP, and the file that it is in a browser without a network."""

import re
from pathlib import Path

import pytest
from browsing import needs_browser
from chromium import browser
from playwright.sync_api import Browser
from processes import Processes, Server, ask, lasting, wait_for
from test_recording import NASTY

__all__ = ["browser", "lasting"]
TASKS = '''
from windsock import Progress, task

@task
async def say(progress: Progress, words: list[str], times: int = 1) -> dict[str, str]:
    """Says all it is told, everywhere it can, and fails."""
    for _ in range(times):
        for word in words:
            progress.log(word, "warning")
            progress.emit({word[:40]: word})
    progress.update(1, 2, note=words[0])
    raise RuntimeError(words[0])
'''


@pytest.fixture(scope="module")
def server(lasting: Processes, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with a task that says what it is told."""
    file = tmp_path_factory.mktemp("tasks") / "saying.py"
    file.write_text(TASKS)
    return lasting.serve(tasks=file)


def report_of(server: Server, job: str) -> str:
    answer = server.get(f"/api/jobs/{job}/report.html")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="windsock-say-{job}.html"'
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    return bytes(answer.body).decode()


def test_a_long_log_is_in_it_whole(server: Server) -> None:
    job = server.submit("say", {"words": ["one", "two"], "times": 1250})
    server.end(job)
    page = report_of(server, job)
    assert page.endswith("</html>\n")
    assert len(re.findall(r'<li class="warning">', page)) == 2500
    assert len(re.findall(r'<li class="value">', page)) == 2500
    assert "not kept" not in page


def test_a_job_that_is_not_there_has_none(server: Server) -> None:
    assert server.get("/api/jobs/01AAAAAAAAAAAAAAAAAAAAAAAA/report.html").status == 404


def test_head_answers_without_a_body(server: Server) -> None:
    job = server.submit("say", {"words": ["one"]})
    server.end(job)
    answer = ask(server.url, "HEAD", f"/api/jobs/{job}/report.html")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.browser
@needs_browser[1]
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_file_opens_without_any_request_and_runs_nothing(
    server: Server, browser: Browser, tmp_path: Path, scheme: str
) -> None:
    words = [word for word in NASTY if "\x00" not in word]
    job = server.submit("say", {"words": words}, tags=[NASTY[1][:60]])
    server.end(job)
    file = tmp_path / "report.html"
    file.write_text(report_of(server, job))
    page = browser.new_context(color_scheme=scheme, offline=True).new_page()  # type: ignore[arg-type]
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert page.locator("h1").inner_text().startswith("say")
    shown = page.locator(".log li.warning")
    assert [line.rstrip() for line in shown.locator("span:last-child").all_inner_texts()] == [w.rstrip() for w in words]
    page.get_by_label("error and above").check()
    assert page.locator(".log li:visible").count() == 0
    wait_for(lambda: page.evaluate("document.readyState") == "complete", "the page")
    assert (asked, said) == ([file.as_uri()], [])
    assert page.locator("script, img, iframe, base, svg").count() == 0
    page.context.close()
