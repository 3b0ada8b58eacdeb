"""The page for everybody: axe on each view in both themes and on a phone, the keyboard alone, 200 %, less motion."""

import re

import pytest
from accessible import complaints
from browsing import Visit, go_to, needs_browser, visit
from chromium import browser
from playwright.sync_api import Locator, Page, expect
from processes import ROOT, Processes, Server, lasting

__all__ = ["browser", "go_to", "lasting", "visit"]
pytestmark = needs_browser
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1, "has_touch": True}


@pytest.fixture(scope="module")
def server(lasting: Processes) -> Server:
    """A server with a job in each of several states."""
    server = lasting.serve(tasks=ROOT / "examples")
    server.submit("sleep", {"seconds": 600}, tags=["user:7"])
    server.submit("sleep", {"seconds": 1}, delay_s=900)
    server.end(server.submit("chatter", {"lines": 25, "per_second": 0}))
    server.end(server.submit("sleep", {"seconds": 0, "fail": True}))
    return server


def newest(server: Server, state: str) -> str:
    return f"#/jobs/{server.get(f'/api/jobs?state={state}').body['jobs'][0]['id']}"


def look_everywhere(visit: Visit, server: Server) -> None:
    """axe has nothing to say against any view, nor has the console; nobody else is asked, the policy holds."""
    for where, heading in [
        ("#/", "Overview"),
        ("#/jobs", "Jobs"),
        ("#/jobs?tag=nothing", "Jobs"),
        (newest(server, "running"), "sleep"),
        (newest(server, "failed"), "sleep"),
        (newest(server, "succeeded"), "chatter"),
        (newest(server, "scheduled"), "sleep"),
        ("#/jobs/01AAAAAAAAAAAAAAAAAAAAAAAA", "Job"),
        ("#/submit?task=sleep", "Submit a job"),
        ("#/nodes", "Nodes"),
    ]:
        visit.go(where)
        expect(visit.title).to_have_text(heading)
        expect(visit.page.get_by_text("Loading …")).to_have_count(0)
        assert complaints(visit.page) == [], where
    visit.check(re.compile("404"))


@pytest.mark.window(color_scheme="light")
def test_axe_has_no_complaint_in_the_light(visit: Visit, server: Server) -> None:
    look_everywhere(visit, server)


@pytest.mark.window(color_scheme="dark")
def test_axe_has_no_complaint_in_the_dark(visit: Visit, server: Server) -> None:
    look_everywhere(visit, server)


@pytest.mark.window(**PHONE)
def test_axe_has_no_complaint_on_a_phone(visit: Visit, server: Server) -> None:
    look_everywhere(visit, server)


def test_axe_has_no_complaint_about_dialog_errors_and_selection(visit: Visit) -> None:
    visit.page.keyboard.press("?")
    expect(visit.page.get_by_role("dialog")).to_be_visible()
    assert complaints(visit.page) == []
    visit.page.keyboard.press("Escape")
    visit.go("#/submit?task=sleep")
    visit.form.get_by_role("button", name="Submit").click()
    expect(visit.form.locator(".field-error")).to_be_visible()
    assert complaints(visit.page) == []
    visit.go("#/jobs")
    visit.page.get_by_label("Select all").check()
    assert complaints(visit.page) == []


def tab_to(field: Locator) -> None:
    """Press Tab until this has the focus."""
    while not field.evaluate("field => field === document.activeElement"):
        field.page.keyboard.press("Tab")


def focused(page: Page) -> str:
    """The text of what has the focus."""
    return str(page.evaluate("document.activeElement.textContent.trim()"))


def test_the_keyboard_alone_opens_submits_and_cancels(visit: Visit) -> None:
    page = visit.page
    expect(page.get_by_text("live", exact=True)).to_be_visible()  # what comes late would take the focus along
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    assert focused(page) == "Overview"
    page.keyboard.press("s")
    expect(visit.title).to_be_focused()
    expect(visit.form.get_by_role("option", name="sleep", exact=True)).to_be_attached()
    page.keyboard.press("Tab")
    page.keyboard.type("sleep")
    visit.form.get_by_label("Task").press("Tab")
    tab_to(visit.form.get_by_label("seconds"))
    page.keyboard.type("300")
    page.keyboard.press("Enter")
    expect(visit.title).to_be_focused()
    visit.gets("running")
    page.keyboard.press("Tab")
    assert focused(page) == "Cancel"
    page.keyboard.press("Enter")
    visit.gets("cancelled")
    page.keyboard.press("Escape")
    expect(visit.title).to_have_text("Jobs")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_role("region", name="Selected jobs")).to_contain_text("1 selected")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(visit.job).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("Search the log")).to_be_focused()


def test_the_keyboard_alone_mends_an_error_watches_filters_and_goes_back(visit: Visit) -> None:
    page = visit.page
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    visit.go("#/submit?task=sleep")
    expect(visit.title).to_be_focused()
    field = visit.form.get_by_label("seconds")
    tab_to(field)
    page.keyboard.type("soon")
    page.keyboard.press("Enter")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("0.3")
    page.keyboard.press("Enter")
    expect(visit.title).to_be_focused()
    visit.gets("succeeded")
    page.keyboard.press("g")
    page.keyboard.press("j")
    expect(visit.rows.first.get_by_role("link")).to_be_focused()  # the job that was left
    states = page.get_by_role("navigation", name="Show jobs by state")
    while not focused(page).startswith("failed"):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(visit.rows).to_have_count(1)
    expect(states.locator("[data-state=failed]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(visit.rows).not_to_have_count(1)
    page.go_back()
    expect(visit.rows).to_have_count(1)


def test_keys_of_a_letter_can_be_switched_off_and_stay_so(visit: Visit) -> None:
    page = visit.page
    page.keyboard.press("?")
    page.get_by_role("checkbox", name="Keys of a single letter").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    expect(visit.title).to_have_text("Overview")
    page.keyboard.press("s")
    page.keyboard.press("g")
    page.keyboard.press("n")
    expect(visit.title).to_have_text("Overview")


def test_an_end_is_announced_and_progress_is_not(visit: Visit, server: Server) -> None:
    job = server.submit("sleep", {"seconds": 2})
    visit.go(f"#/jobs/{job}")
    visit.gets("running")
    visit.gets("succeeded")
    expect(visit.page.locator("#announcer")).to_have_text("sleep succeeded", timeout=8000)
    assert visit.page.locator("#announcer").get_attribute("aria-live") == "polite"
    assert visit.page.locator("progress[aria-live], [role=log]").count() == 0


@pytest.mark.window(viewport={"width": 640, "height": 400})
def test_at_200_percent_nothing_runs_out_of_the_page(visit: Visit, server: Server) -> None:
    for where in ("#/", "#/jobs", newest(server, "failed"), "#/submit?task=sleep", "#/nodes"):
        visit.go(where)
        expect(visit.page.get_by_text("Loading …")).to_have_count(0)
        assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), where


@pytest.mark.window(reduced_motion="reduce")
def test_nothing_moves_for_those_who_asked_for_that(visit: Visit) -> None:
    expect(visit.page.get_by_role("progressbar").first).to_be_visible()
    moving = "document.getAnimations().filter(one => one.playState === 'running').length"
    assert visit.page.evaluate(moving) == 0
