"""The page in a real browser, against a real server: submit, watch, cancel, and a server that is killed."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import CHROMIUM
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright
from processes import ROOT, Processes, Server, lasting, processes, wait_for

__all__ = ["lasting", "processes"]
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]
SCREENSHOT = Path("/tmp/windsock-page.png")
NOBODY_THERE = re.compile(r"ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|WebSocket connection to .* failed")
NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  window.violations.push(`${violatedDirective} ${blockedURI}`);
});
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium for all tests here."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(lasting: Processes) -> Server:
    """A server with the examples."""
    return lasting.serve(tasks=ROOT / "examples")


class Visit:
    """One visit to the page; at its end nothing may have gone wrong that the test did not allow."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self._host = f"127.0.0.1:{server.port}"
        self._errors: list[str] = []
        self._strangers: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("request", lambda request: self._see(request.url))
        page.on("websocket", lambda socket: self._see(socket.url))
        page.add_init_script(NOTE_VIOLATIONS)
        page.goto(server.url)
        page.evaluate("window.sameDocument = true")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._errors.append(message.text)

    def _see(self, url: str) -> None:
        if urlsplit(url).netloc != self._host:
            self._strangers.append(url)

    @property
    def form(self) -> Locator:
        return self.page.get_by_role("region", name="Submit a job")

    @property
    def detail(self) -> Locator:
        return self.page.locator("#detail")

    @property
    def rows(self) -> Locator:
        return self.page.get_by_role("list", name="Jobs, newest first").get_by_role("listitem")

    def count(self, state: str) -> Locator:
        """The number above a state."""
        return self.page.get_by_role("navigation").locator(f"[data-state={state}] .number")

    def submit(self, task: str, **fields: str) -> None:
        self.form.get_by_label("Task").select_option(task)
        for name, value in fields.items():
            self.form.get_by_label(name).fill(value)
        self.form.get_by_role("button", name="Submit").click()

    def moves_past(self, part: float) -> None:
        """The bar of the job that is open stands further than this."""
        bar = self.detail.get_by_role("progressbar")
        wait_for(lambda: bar.evaluate("bar => bar.value") > part, f"the bar past {part}")
        expect(bar).to_be_visible()

    def gets(self, state: str, timeout_s: float = 10.0) -> None:
        """The job that is open gets this state."""
        expect(self.detail.locator(".badge")).to_have_text(state, timeout=1000 * timeout_s)

    def check(self, allowed: re.Pattern[str] | None = None) -> None:
        """It was one document all the time, nothing was said on the console, nobody else was asked."""
        assert self.page.evaluate("window.sameDocument")
        assert [error for error in self._errors if not (allowed and allowed.search(error))] == []
        assert self._strangers == []
        assert self.page.evaluate("violations") == []


Open = Callable[[Server], Visit]


@pytest.fixture
def go_to(browser: Browser) -> Iterator[Open]:
    """Opens the page of a server, in a browser window of the test's own."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    yield lambda server: Visit(context.new_page(), server)
    context.close()


@pytest.fixture
def visit(go_to: Open, server: Server) -> Visit:
    """The page, just opened."""
    return go_to(server)


def test_a_job_is_submitted_by_form_and_moves_to_its_end(visit: Visit) -> None:
    expect(visit.page.get_by_text("No jobs yet")).to_be_visible()
    visit.submit("sleep", seconds="1.5")
    expect(visit.detail.get_by_role("heading", name="sleep")).to_be_visible()
    visit.gets("running")
    visit.moves_past(0.2)
    visit.moves_past(0.5)
    expect(visit.rows.first.locator(".badge")).to_have_text("running")
    visit.gets("succeeded")
    expect(visit.rows.first.locator(".badge")).to_have_text("succeeded")
    expect(visit.count("succeeded")).to_have_text("1")
    expect(visit.count("running")).to_have_text("0")
    log = visit.detail.get_by_role("region", name="Log")
    expect(log).to_contain_text("sleeping 1.5 s")
    expect(log).to_contain_text("awake")
    expect(visit.detail.get_by_text("slept_s")).to_be_visible()
    visit.page.screenshot(path=SCREENSHOT)
    visit.check()


def test_a_wrong_value_is_told_at_its_field(visit: Visit, server: Server) -> None:
    before = server.get("/api/jobs").body["counts"]
    field = visit.form.get_by_label("seconds")
    for value in ("-1", "soon", ""):
        visit.submit("sleep", seconds=value)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_accessible_description(re.compile(r"\S"))
        expect(visit.form.locator(".field-error:visible")).to_have_count(1)
    assert server.get("/api/jobs").body["counts"] == before
    visit.submit("sleep", seconds="0")
    visit.gets("succeeded")
    visit.check(re.compile("422"))  # the browser itself says so of a refused request


def test_a_job_submitted_elsewhere_appears_and_opens_with_its_log_and_result(visit: Visit, server: Server) -> None:
    server.submit("chatter", {"lines": 30, "per_second": 0})
    visit.rows.first.get_by_role("link", name="chatter").click()
    visit.gets("succeeded")
    log = visit.detail.get_by_role("region", name="Log")
    expect(log.get_by_role("listitem")).to_have_count(33)
    expect(log).to_contain_text("line 30 of 30")
    expect(visit.detail.get_by_text('"emitted": 3')).to_be_visible()
    visit.detail.get_by_role("button", name="Close").click()
    expect(visit.detail).to_be_hidden()
    visit.check()


def test_a_running_job_is_cancelled(visit: Visit) -> None:
    visit.submit("sleep", seconds="60")
    visit.gets("running")
    visit.detail.get_by_role("button", name="Cancel").click()
    visit.gets("cancelled")
    expect(visit.detail.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(visit.detail.get_by_role("button", name="Rerun")).to_be_visible()
    visit.check()


def test_what_a_job_says_is_text_and_never_markup(visit: Visit, server: Server) -> None:
    server.submit("sleep", {"seconds": 0}, tags=["<img src=x onerror=alert(1)>"])
    expect(visit.rows.first).to_contain_text("<img src=x onerror=alert(1)>")
    visit.check()


def test_the_page_survives_a_killed_server_by_itself(go_to: Open, processes: Processes) -> None:
    server = processes.serve(tasks=ROOT / "examples")
    visit = go_to(server)
    visit.submit("sleep", seconds="1.5")
    visit.moves_past(0.2)
    connection = visit.page.locator("#connection")
    expect(connection).to_have_attribute("data-phase", "live")
    server.kill()
    expect(connection).not_to_have_attribute("data-phase", "live")
    processes.serve(tasks=ROOT / "examples", port=server.port)
    expect(connection).to_have_attribute("data-phase", "live", timeout=20_000)
    visit.gets("succeeded", timeout_s=20)
    expect(visit.rows.first).to_contain_text("attempt 2")
    log = visit.detail.get_by_role("region", name="Log")
    expect(log.get_by_text("sleeping 1.5 s")).to_have_count(2)
    visit.check(NOBODY_THERE)
