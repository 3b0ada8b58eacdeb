"""The list of jobs in a real browser: filters that stand in the URL, thousands of rows, many jobs at once."""

import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from browsing import Open, Visit, go_to, needs_browser, visit
from chromium import browser
from playwright.sync_api import expect
from processes import ROOT, Processes, Server, ask, lasting, processes, wait_for

__all__ = ["browser", "go_to", "lasting", "processes", "visit"]
pytestmark = needs_browser
MANY = 1300


def submit_many(server: Server, submissions: list[dict[str, object]]) -> list[str]:
    """The ids of a batch; what the store did not take in time is handed in again."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", "/api/jobs", json.dumps(submissions), {"Content-Type": "application/json"})
    jobs = json.loads(connection.getresponse().read())["jobs"]
    connection.close()
    refused = [one for one, job in zip(submissions, jobs, strict=True) if job.get("status") == 503]
    assert all("id" in job or job["status"] == 503 for job in jobs), jobs
    return [job["id"] for job in jobs if "id" in job] + (submit_many(server, refused) if refused else [])


@pytest.fixture(scope="module")
def server(lasting: Processes) -> Server:
    """A server with more jobs than a subscription gives: some for later, some failed, some with a tag."""
    server = lasting.serve(tasks=ROOT / "examples")
    submit_many(server, [{"task": "sleep", "args": {"seconds": 0}, "delay_s": 5000} for _ in range(MANY)])
    failing = submit_many(
        server, [{"task": "sleep", "args": {"seconds": 0, "fail": True}, "tags": ["night"]} for _ in range(3)]
    )
    for job in failing:
        server.end(job)
    return server


@pytest.fixture
def jobs(go_to: Open, server: Server) -> Iterator[Visit]:
    """The list, just opened."""
    visit = go_to(server, "#/jobs")
    expect(visit.rows.first).to_be_visible()
    yield visit
    visit.check()


def scroll_to_end(visit: Visit) -> None:
    visit.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")


def test_a_filter_stands_in_the_url_and_back_takes_it_back(jobs: Visit) -> None:
    jobs.page.get_by_role("navigation", name="Show jobs by state").get_by_text("failed").click()
    expect(jobs.rows).to_have_count(3)
    assert jobs.page.url.endswith("#/jobs?state=failed")
    jobs.page.get_by_label("Tag").fill("night")
    jobs.page.get_by_label("Tag").press("Enter")
    expect(jobs.page).to_have_url(re.compile(r"state=failed&tag=night"))
    jobs.page.get_by_label("Tag").fill("day")
    jobs.page.get_by_label("Tag").press("Enter")
    expect(jobs.page.get_by_text("No job matches")).to_be_visible()
    jobs.page.go_back()
    expect(jobs.rows).to_have_count(3)
    jobs.page.go_back()
    jobs.page.go_back()
    expect(jobs.count("scheduled")).to_have_text(f"{MANY:,}")
    expect(jobs.page.get_by_label("Tag")).to_have_value("")


def test_a_link_with_a_filter_shows_that_list(go_to: Open, server: Server) -> None:
    visit = go_to(server, "#/jobs?state=failed&state=cancelled&task=sleep")
    expect(visit.rows).to_have_count(3)
    expect(visit.page.get_by_label("Task")).to_have_value("sleep")
    expect(visit.page.locator(".state[aria-current]")).to_have_count(2)
    visit.check()


def test_only_rows_in_sight_are_in_the_document_and_older_pages_are_read(jobs: Visit) -> None:
    assert jobs.rows.count() < 60
    expect(jobs.page.locator("table")).to_have_attribute("aria-rowcount", "501")

    def down() -> bool:
        scroll_to_end(jobs)
        return jobs.page.get_by_text(f"These are all, {MANY + 3:,}.").is_visible()

    wait_for(down, "the last page", 20)
    assert jobs.rows.count() < 60
    last = jobs.rows.last
    expect(last).to_have_attribute("aria-rowindex", str(MANY + 4))
    expect(last).to_be_in_viewport()


def test_a_list_is_come_back_to_where_it_was_left(jobs: Visit) -> None:
    jobs.page.evaluate("scrollTo(0, 9000)")
    row = jobs.page.locator("tr.row[aria-rowindex='155']")
    expect(row).to_be_in_viewport()
    top = jobs.page.evaluate("scrollY")
    row.get_by_role("link").click()
    expect(jobs.title).to_have_text("sleep")
    jobs.page.go_back()
    expect(row.get_by_role("link")).to_be_focused()
    assert jobs.page.evaluate("scrollY") == top


def test_what_is_read_does_not_run_away_under_new_rows(jobs: Visit, server: Server) -> None:
    jobs.page.evaluate("scrollTo(0, 6000)")
    row = jobs.page.locator("tr.row[aria-rowindex='105']")
    expect(row).to_be_in_viewport()
    name, top = row.get_attribute("data-id"), row.bounding_box()["y"]  # type: ignore[index]
    submit_many(server, [{"task": "sleep", "args": {"seconds": 0}} for _ in range(7)])
    expect(jobs.page.get_by_role("button", name=re.compile("7 new"))).to_be_visible()
    same = jobs.page.locator(f"tr[data-id='{name}']")
    expect(same).to_have_attribute("aria-rowindex", "112")
    wait_for(lambda: abs(same.bounding_box()["y"] - top) < 2, "the row where it was")  # type: ignore[index]
    jobs.page.get_by_role("button", name=re.compile("7 new")).click()
    expect(jobs.rows.first).to_be_in_viewport()


def test_a_row_behind_the_window_is_live_while_it_is_in_sight(jobs: Visit, server: Server) -> None:
    for _ in range(2):
        scroll_to_end(jobs)
        expect(jobs.page.locator("table")).to_have_attribute("aria-rowcount", re.compile(r"\d{4}"))
    jobs.page.evaluate("scrollTo(0, 55000)")
    row = jobs.page.locator("tr.row[aria-rowindex='915']")
    expect(row).to_be_in_viewport()
    name = row.get_attribute("data-id")
    assert ask(server.url, "POST", f"/api/jobs/{name}/cancel").status == 202
    expect(jobs.page.locator(f"tr[data-id='{name}'] .badge")).to_have_text("cancelled")


def test_many_jobs_are_cancelled_and_run_again_at_once(go_to: Open, processes: Processes) -> None:
    server = processes.serve(tasks=ROOT / "examples")
    submit_many(server, [{"task": "sleep", "args": {"seconds": 300}} for _ in range(12)])
    visit = go_to(server, "#/jobs")
    expect(visit.count("running")).to_have_text("12")
    boxes = visit.rows.get_by_role("checkbox")
    boxes.nth(1).check()
    boxes.nth(4).click(modifiers=["Shift"])
    bulk = visit.page.get_by_role("region", name="Selected jobs")
    expect(bulk).to_contain_text("4 selected")
    bulk.get_by_role("button", name="Cancel").click()
    expect(visit.count("cancelled")).to_have_text("4")
    expect(bulk).to_be_hidden()
    visit.page.get_by_label("Select all").check()
    expect(bulk).to_contain_text("12 selected")
    bulk.get_by_role("button", name="Run again 4").click()
    expect(visit.count("all")).to_have_text("16")
    expect(visit.page.get_by_text("4 jobs run again")).to_be_visible()
    visit.page.get_by_label("Select all").check()
    visit.page.keyboard.press("Escape")
    expect(bulk).to_be_hidden()
    visit.check()
