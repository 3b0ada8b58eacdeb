"""What the tests of the page share: a Chromium, and a visit that notices whatever goes wrong."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import CHROMIUM
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect
from processes import ROOT, Processes, Server, wait_for

needs_browser = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]
NOBODY_THERE = re.compile(
    r"ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INTERNET_DISCONNECTED|WebSocket connection to .* failed"
)
NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  window.violations.push(`${violatedDirective} ${blockedURI}`);
});
"""


@pytest.fixture(scope="module")
def server(lasting: Processes) -> Server:
    """A server with the examples."""
    return lasting.serve(tasks=ROOT / "examples")


class Visit:
    """One visit to the page; at its end nothing may have gone wrong that the test did not allow."""

    def __init__(self, page: Page, server: Server, where: str = "") -> None:
        self.page = page
        self._host = f"127.0.0.1:{server.port}"
        self._errors: list[str] = []
        self._strangers: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("request", lambda request: self._see(request.url))
        page.on("websocket", lambda socket: self._see(socket.url))
        page.add_init_script(NOTE_VIOLATIONS)
        page.goto(f"{server.url}/{where}")
        page.evaluate("window.sameDocument = true")

    def _on_console(self, message: ConsoleMessage) -> None:
        self._errors.append(f"{message.type}: {message.text}")

    def _see(self, url: str) -> None:
        if urlsplit(url).netloc != self._host:
            self._strangers.append(url)

    def go(self, where: str) -> None:
        """Follow a link of the page itself, `#/jobs`."""
        self.page.evaluate("where => { location.hash = where }", where)

    @property
    def title(self) -> Locator:
        """The heading of the view."""
        return self.page.get_by_role("main").get_by_role("heading", level=1)

    @property
    def form(self) -> Locator:
        return self.page.get_by_role("form", name="Submit a job")

    @property
    def job(self) -> Locator:
        """The view of the open job."""
        return self.page.get_by_role("article")

    @property
    def rows(self) -> Locator:
        return self.page.get_by_role("table", name="Jobs, newest first").locator("tr.row")

    @property
    def log(self) -> Locator:
        return self.page.get_by_role("group", name="Lines of the log")

    @property
    def connection(self) -> Locator:
        return self.page.locator("#connection")

    def count(self, state: str) -> Locator:
        """The number beside a state, in the list."""
        return self.page.get_by_role("navigation", name="Show jobs by state").locator(f"[data-state={state}] .number")

    def submit(self, task: str, **fields: str) -> None:
        """Fill in the form and send it."""
        self.page.get_by_role("link", name="Submit a job").click()
        self.form.get_by_label("Task").select_option(task)
        for name, value in fields.items():
            self.form.get_by_label(name).fill(value)
        self.form.get_by_role("button", name="Submit").click()

    def moves_past(self, part: float) -> None:
        """The bar of the job that is open stands further than this."""
        bar = self.job.get_by_role("progressbar", name="Progress", exact=True)
        wait_for(lambda: bar.evaluate("bar => bar.value") > part, f"the bar past {part}")
        expect(bar).to_be_visible()

    def gets(self, state: str, timeout_s: float = 10.0) -> None:
        """The job that is open gets this state."""
        expect(self.job.locator(".job-title .badge")).to_have_text(state, timeout=1000 * timeout_s)

    def is_live(self, timeout_s: float = 10.0) -> None:
        """The connection says so."""
        expect(self.connection).to_have_attribute("data-phase", "live", timeout=1000 * timeout_s)

    def check(self, allowed: re.Pattern[str] | None = None) -> None:
        """It was one document all the time, nothing was said on the console, nobody else was asked."""
        assert self.page.evaluate("window.sameDocument")
        assert [error for error in self._errors if not (allowed and allowed.search(error))] == []
        assert self._strangers == []
        assert self.page.evaluate("violations") == []


Open = Callable[..., Visit]


@pytest.fixture
def go_to(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens the page of a server, in a browser window of the test's own; `@pytest.mark.window(…)` says which kind."""
    asked = request.node.get_closest_marker("window")
    options: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, **(asked.kwargs if asked else {})}
    context = browser.new_context(**options)
    context.set_default_timeout(10_000)
    yield lambda server, where="": Visit(context.new_page(), server, where)
    context.close()


@pytest.fixture
def visit(go_to: Open, server: Server) -> Visit:
    """The page, just opened."""
    return go_to(server)
