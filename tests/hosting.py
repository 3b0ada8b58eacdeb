"""Pages of another origin for browser tests: a little server of its own, and a visit that notes what goes wrong."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, WebSocket
from processes import ROOT, Processes, Server, wait_for

# What this page needs of Windsock, and nothing else; nothing inline.
POLICY = (
    "default-src 'none'; script-src {url}; connect-src {url} {socket}; img-src data:; base-uri 'none';"
    " form-action 'none'; require-trusted-types-for 'script'"
)
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<link rel="icon" href="data:,"><script type="module" src="{url}/static/windsock-job.js"></script></head>
<body><main><h1>A page</h1>{body}</main></body></html>"""
NOTE = """
window.violations = [];
window.told = [];
window.bars = [];
document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  if (blockedURI !== "data") window.violations.push(`${violatedDirective} ${blockedURI}`);
});
for (const name of ["windsock-end", "windsock-error"]) {
  addEventListener(name, ({ detail }) => window.told.push([name, detail.state ?? detail.code, detail.result ?? null]));
}
addEventListener("windsock-update", ({ target, detail }) => window.bars.push([target.job, detail.attempt, detail.bar]));
"""


class Site:
    """A web server on a port of its own, that is another origin than Windsock's."""

    def __init__(self) -> None:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = site.pages.get(urlsplit(self.path).path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", site.policy)
                self.end_headers()
                self.wfile.write((body or "").encode())

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.pages: dict[str, str] = {}
        self.policy = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def show(self, server: Server, body: str) -> str:
        """A page with this body that may use this server; where it is."""
        self.policy = POLICY.format(url=server.url, socket=server.url.replace("http", "ws"))
        self.pages["/"] = PAGE.format(url=server.url, body=body)
        self.pages["/elsewhere"] = '<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,">'
        return self.url + "/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@contextmanager
def site() -> Iterator[Site]:
    """A site for a test."""
    made = Site()
    yield made
    made.close()


class Guest:
    """One visit to a page that embeds bars; at its end nothing may have gone wrong that the test did not allow."""

    def __init__(self, page: Page, hosts: list[str]) -> None:
        self.page = page
        self.sockets: list[WebSocket] = []
        self.sent: list[str] = []
        self._hosts = [urlsplit(host).netloc for host in hosts]
        self._errors: list[str] = []
        self._strangers: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("request", lambda request: self._see(request.url))
        page.on("websocket", self._on_socket)
        page.add_init_script(NOTE)

    def _on_console(self, message: ConsoleMessage) -> None:
        self._errors.append(message.text)

    def _on_socket(self, socket: WebSocket) -> None:
        self.sockets.append(socket)
        socket.on("framesent", lambda payload: self.sent.append(str(payload)))
        self._see(socket.url)

    def _see(self, url: str) -> None:
        if urlsplit(url).netloc not in self._hosts and not url.startswith("data:"):
            self._strangers.append(url)

    @property
    def bar(self) -> Locator:
        """The bar, of one."""
        return self.page.locator("windsock-job")

    def part(self, name: str) -> Locator:
        return self.bar.locator(f"[part={name}]")

    def state(self) -> Any:
        return self.bar.evaluate("bar => bar.state")

    def gets(self, *states: str, timeout_s: float = 10.0) -> None:
        """The bar comes to show one of these."""
        wait_for(lambda: self.state() in states, f"the bar {states}", timeout_s)

    def moves_past(self, percent: int) -> None:
        track = self.part("track")
        wait_for(lambda: int(track.get_attribute("aria-valuenow") or 0) > percent, f"the bar past {percent} %")

    def watch(self, job: str) -> None:
        """Give the bar a job, now that it is there to see it begin."""
        self.bar.evaluate("(bar, job) => (bar.job = job)", job)

    def has_sent(self, text: str) -> bool:
        """Whether a message over a WebSocket had this in it."""
        self.page.evaluate("0")  # what has happened is told only while something is asked
        return any(text in sent for sent in self.sent)

    def told(self) -> Any:
        """Name, state and result of the events that the page got."""
        return self.page.evaluate("told")

    def check(self, allowed: re.Pattern[str] | None = None) -> None:
        """Nothing was said on the console, nobody else was asked, no policy was touched, no bar ran back."""
        errors = [error for error in self._errors if not (allowed and allowed.search(error))]
        wrong = {"errors": errors, "strangers": self._strangers, "violations": self.page.evaluate("violations")}
        assert not any(wrong.values()), wrong
        furthest: dict[tuple[str, int], float] = {}
        for job, attempt, bar in self.page.evaluate("bars"):
            assert (bar or 0) >= furthest.get((job, attempt), 0), (job, attempt, bar)
            furthest[job, attempt] = bar or 0


@pytest.fixture(scope="module")
def host() -> Iterator[Site]:
    """The other origin."""
    with site() as made:
        yield made


@pytest.fixture(scope="module")
def server(lasting: Processes, host: Site) -> Server:
    """A server with the examples, for pages of that origin."""
    return lasting.serve("--allow-origin", host.url, tasks=ROOT / "examples")


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser window of the test's own."""
    made = browser.new_context(viewport={"width": 800, "height": 600})
    made.set_default_timeout(10_000)
    yield made
    made.close()


Open = Callable[..., Guest]


@pytest.fixture
def go_to(context: BrowserContext, host: Site) -> Open:
    """Opens a page of the other origin: `go_to(server, "<windsock-job …>")`."""

    def opened(server: Server, body: str) -> Guest:
        guest = Guest(context.new_page(), [host.url, server.url])
        guest.page.goto(host.show(server, body))
        return guest

    return opened
