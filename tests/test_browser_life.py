"""The page over time: networks that come and go, hidden tabs, two tabs, a reload."""

import re

from browsing import NOBODY_THERE, Open, Visit, go_to, needs_browser, server, visit
from chromium import browser
from playwright.sync_api import Browser, Page, WebSocketRoute, expect
from processes import Server, lasting, wait_for

__all__ = ["browser", "go_to", "lasting", "server", "visit"]
pytestmark = needs_browser


def hide(visit: Visit, hidden: bool) -> None:
    """As a tab that goes to the background, or comes back."""
    visit.page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


class SlowWelcome:
    """Holds back what the server says over WebSocket until it is let go."""

    def __init__(self, page: Page) -> None:
        self.held: list[str | bytes] = []
        self._let_go = False
        page.route_web_socket("**/api/stream", self._opened)

    def _opened(self, here: WebSocketRoute) -> None:
        self._here = here
        here.connect_to_server().on_message(self._said)

    def _said(self, message: str | bytes) -> None:
        if self._let_go:
            self._here.send(message)
        else:
            self.held.append(message)

    def let_go(self) -> None:
        """From now on all goes through, first what was held back."""
        self._let_go = True
        for message in self.held:
            self._here.send(message)


def test_what_is_opened_before_the_server_has_welcomed_the_page_is_followed(browser: Browser, server: Server) -> None:
    page = browser.new_page()
    slow = SlowWelcome(page)
    visit = Visit(page, server)
    page.wait_for_function("document.querySelector('main h1')")
    job = server.submit("sleep", {"seconds": 1})
    visit.go(f"#/jobs/{job}")
    visit.gets("running")
    assert slow.held
    slow.let_go()
    visit.gets("succeeded")
    visit.go("#/jobs")
    other = server.submit("sleep", {"seconds": 0})
    expect(page.locator(f"tr[data-id='{other}'] .badge")).to_have_text("succeeded")
    page.close()


def test_what_happened_while_offline_is_there_when_the_network_is_back(visit: Visit, server: Server) -> None:
    job = server.submit("chatter", {"lines": 60, "per_second": 30})
    visit.go(f"#/jobs/{job}")
    visit.gets("running")
    visit.is_live()
    visit.page.context.set_offline(True)
    visit.page.evaluate("dispatchEvent(new Event('offline'))")
    assert server.end(job)["state"] == "succeeded"
    visit.page.context.set_offline(False)
    visit.page.evaluate("dispatchEvent(new Event('online'))")
    visit.is_live(timeout_s=20)
    visit.gets("succeeded", timeout_s=20)
    expect(visit.log.locator(".log-line")).to_have_count(66)
    expect(visit.log.locator(".log-gap")).to_have_count(0)
    visit.check(NOBODY_THERE)


def test_a_hidden_tab_is_told_less_and_knows_all_when_it_is_looked_at(visit: Visit, server: Server) -> None:
    visit.is_live()
    hide(visit, True)
    job = server.submit("sleep", {"seconds": 0.3})
    server.end(job)
    hide(visit, False)
    visit.go("#/jobs")
    expect(visit.page.locator(f"tr[data-id='{job}'] .badge")).to_have_text("succeeded")
    visit.check()


def test_the_title_of_a_tab_says_how_far_its_job_is(visit: Visit, server: Server) -> None:
    job = server.submit("sleep", {"seconds": 2})
    visit.go(f"#/jobs/{job}")
    wait_for(lambda: re.match(r"[1-9]\d* % sleep running · Windsock", visit.page.title()), "the title")
    hide(visit, True)
    wait_for(lambda: visit.page.title() == "sleep succeeded · Windsock", "the end in the title")
    visit.check()


def test_two_tabs_show_the_same(go_to: Open, server: Server) -> None:
    one, other = go_to(server, "#/jobs"), go_to(server, "#/jobs")
    job = server.submit("sleep", {"seconds": 60})
    for tab in (one, other):
        expect(tab.page.locator(f"tr[data-id='{job}'] .badge")).to_have_text("running")
    one.go(f"#/jobs/{job}")
    one.job.get_by_role("button", name="Cancel").click()
    expect(other.page.locator(f"tr[data-id='{job}'] .badge")).to_have_text("cancelled")
    one.check()
    other.check()


def test_charts_stand_after_a_reload_where_they_stood(visit: Visit) -> None:
    legend = visit.page.get_by_role("figure").filter(has_text="Loop lateness").locator("b")
    expect(legend).to_have_text(re.compile(r"\d"))
    expect(visit.page.locator(".uplot canvas")).to_have_count(5)
    visit.page.reload()
    visit.page.evaluate("window.sameDocument = true")
    expect(visit.page.locator(".uplot canvas")).to_have_count(5)
    kept = visit.page.evaluate("JSON.parse(sessionStorage.getItem('windsock.stats')).at.length")
    assert kept >= 1
    visit.check()


def test_a_theme_that_was_chosen_stays(visit: Visit) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    visit.is_live()
    light = visit.page.evaluate(ground)
    visit.page.get_by_role("button", name="Keyboard and theme").click()
    visit.page.get_by_role("radio", name="dark").check()
    visit.page.keyboard.press("Escape")
    dark = visit.page.evaluate(ground)
    assert dark != light
    visit.page.reload()
    visit.page.evaluate("window.sameDocument = true")
    visit.is_live()
    assert visit.page.evaluate(ground) == dark
    visit.check()
