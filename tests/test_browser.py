"""The page in a real browser, against a real server: submit, watch, cancel, and a server that is killed."""

import re

import pytest
from browsing import NOBODY_THERE, Open, Visit, go_to, needs_browser, server, visit
from chromium import browser
from playwright.sync_api import expect
from processes import ROOT, Processes, Server, lasting, processes

__all__ = ["browser", "go_to", "lasting", "processes", "server", "visit"]
pytestmark = needs_browser
REFUSED = re.compile("422")  # the browser itself says so of a refused request


def test_a_job_is_submitted_by_form_and_moves_to_its_end(visit: Visit) -> None:
    expect(visit.page.get_by_text("No jobs yet")).to_be_visible()
    visit.submit("sleep", seconds="1.5")
    expect(visit.title).to_have_text("sleep")
    visit.gets("running")
    visit.moves_past(0.2)
    visit.moves_past(0.5)
    visit.gets("succeeded")
    expect(visit.log).to_contain_text("sleeping 1.5 s")
    expect(visit.log).to_contain_text("awake")
    expect(visit.job.get_by_role("region", name="Result").get_by_text("slept_s")).to_be_visible()
    visit.page.get_by_role("link", name="Jobs", exact=True).first.click()
    expect(visit.rows.first.locator(".badge")).to_have_text("succeeded")
    expect(visit.count("succeeded")).to_have_text("1")
    expect(visit.count("running")).to_have_text("0")
    visit.check()


def test_a_wrong_value_is_told_at_its_field_and_a_right_one_is_taken(visit: Visit, server: Server) -> None:
    before = server.get("/api/jobs").body["counts"]
    for value in ("-1", "soon", ""):
        visit.submit("sleep", seconds=value)
        field = visit.form.get_by_label("seconds")
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_accessible_description(re.compile(r"\S"))
        expect(field).to_be_focused()
        expect(visit.form.locator(".field-error:visible")).to_have_count(1)
    assert server.get("/api/jobs").body["counts"] == before
    visit.submit("sleep", seconds="0")
    visit.gets("succeeded")
    visit.check(REFUSED)


def test_a_job_submitted_elsewhere_appears_and_opens_with_its_log_and_result(visit: Visit, server: Server) -> None:
    visit.go("#/jobs")
    server.submit("chatter", {"lines": 30, "per_second": 0})
    visit.rows.first.get_by_role("link", name="chatter").click()
    visit.gets("succeeded")
    expect(visit.log.locator(".log-line")).to_have_count(33)
    expect(visit.log).to_contain_text("line 30 of 30")
    expect(visit.job.get_by_text('"emitted": 3')).to_be_visible()
    expect(visit.job.get_by_role("region", name="Partial results")).to_contain_text("3")
    visit.check()


def test_the_log_is_searched_and_its_levels_are_left_out(visit: Visit, server: Server) -> None:
    job = server.submit("chatter", {"lines": 40, "per_second": 0})
    visit.go(f"#/jobs/{job}")
    visit.gets("succeeded")
    visit.page.get_by_label("Search the log").fill("LINE 1")
    expect(visit.log.locator(".log-line")).to_have_count(11)
    expect(visit.log.locator("mark").first).to_have_text("line 1")
    visit.page.get_by_label("Search the log").fill("nowhere")
    expect(visit.log).to_contain_text("No line matches.")
    visit.page.get_by_label("Search the log").fill("")
    visit.job.get_by_role("checkbox", name="info").uncheck()
    expect(visit.log.locator(".log-line")).to_have_count(4)
    visit.check()


def test_a_running_job_is_cancelled(visit: Visit) -> None:
    visit.submit("sleep", seconds="60")
    visit.gets("running")
    visit.job.get_by_role("button", name="Cancel").click()
    visit.gets("cancelled")
    expect(visit.job.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(visit.job.get_by_role("button", name="Run again")).to_be_visible()
    visit.check()


def test_a_failed_job_shows_its_error_and_is_edited_and_run_again(visit: Visit, server: Server) -> None:
    job = server.submit("sleep", {"seconds": 0, "fail": True})
    server.end(job)
    visit.go(f"#/jobs/{job}")
    failure = visit.job.get_by_role("region", name="Error")
    expect(failure).to_contain_text("as the argument fail asked for")
    expect(failure.get_by_role("group", name="Traceback")).to_contain_text("RuntimeError")
    visit.job.get_by_role("link", name="Edit and run again").click()
    expect(visit.form.get_by_label("fail")).to_be_checked()
    visit.form.get_by_label("fail").uncheck()
    visit.form.get_by_role("button", name="Submit").click()
    visit.gets("succeeded")
    visit.check()


def test_an_ended_job_is_deleted_after_a_second_thought(visit: Visit, server: Server) -> None:
    job = server.submit("sleep", {"seconds": 0})
    server.end(job)
    visit.go(f"#/jobs/{job}")
    visit.gets("succeeded")
    visit.job.get_by_role("button", name="Delete").click()
    visit.job.get_by_role("button", name="Delete for good").click()
    expect(visit.title).to_have_text("Jobs")
    assert server.get(f"/api/jobs/{job}").status == 404
    visit.check()


def test_a_job_that_is_not_there_is_said_to_be_so(go_to: Open, server: Server) -> None:
    visit = go_to(server, "#/jobs/01AAAAAAAAAAAAAAAAAAAAAAAA")
    expect(visit.page.get_by_text("This job is not here")).to_be_visible()
    visit.check(re.compile("404"))


def test_what_a_job_says_is_text_and_never_markup(visit: Visit, server: Server) -> None:
    visit.go("#/jobs")
    job = server.submit("sleep", {"seconds": 0}, tags=["<img src=x onerror=alert(1)>"])
    expect(visit.rows.first).to_contain_text("<img src=x onerror=alert(1)>")
    visit.go(f"#/jobs/{job}")
    expect(visit.job).to_contain_text("<img src=x onerror=alert(1)>")
    visit.check()


def test_the_same_submit_can_be_copied_as_a_command(visit: Visit, server: Server) -> None:
    visit.go("#/submit?task=sleep")
    visit.form.get_by_label("seconds").fill("7")
    commands = visit.page.get_by_role("region", name="The same elsewhere")
    expect(commands).to_contain_text("""curl --json '{"task":"sleep","args":{"seconds":7,"fail":false}}'""")
    commands.get_by_role("radio", name="CLI").check()
    expect(commands).to_contain_text("windsock submit sleep --json")
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    commands.get_by_role("button", name="Copy").click()
    expect(visit.page.get_by_text("CLI command copied")).to_be_visible()
    assert f"--url {server.url}" in visit.page.evaluate("navigator.clipboard.readText()")
    visit.check()


def test_what_was_submitted_last_can_be_filled_in_again(visit: Visit) -> None:
    visit.submit("sleep", seconds="0.125")
    visit.gets("succeeded")
    visit.go("#/submit?task=sleep")
    expect(visit.form.get_by_label("seconds")).to_have_value("")
    visit.form.get_by_label("Recent values").select_option(index=1)
    expect(visit.form.get_by_label("seconds")).to_have_value("0.125")
    visit.check()


@pytest.mark.timeout(90)
def test_the_page_survives_a_killed_server_by_itself(go_to: Open, processes: Processes) -> None:
    server = processes.serve(tasks=ROOT / "examples")
    visit = go_to(server)
    visit.submit("sleep", seconds="6")
    visit.moves_past(0.05)
    visit.is_live()
    server.kill()
    expect(visit.connection).to_have_text(re.compile(r"offline since \d\d:\d\d"))
    processes.serve(tasks=ROOT / "examples", port=server.port)
    visit.is_live(timeout_s=20)
    visit.gets("succeeded", timeout_s=30)
    expect(visit.job.get_by_role("region", name="Timeline")).to_contain_text("Attempt 2 started")
    expect(visit.log.get_by_text("sleeping 6 s")).to_have_count(2)
    visit.check(NOBODY_THERE)
