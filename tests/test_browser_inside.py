"""The page on what is inside a job: its children, how it goes, where its code stands, where its time goes, its log."""

import re
from collections.abc import Callable

import pytest
from accessible import complaints
from browsing import Open, Visit, go_to, needs_browser, visit
from chromium import browser
from playwright.sync_api import Locator, expect
from processes import Processes, Server, lasting, wait_for

__all__ = ["browser", "go_to", "lasting", "visit"]
pytestmark = needs_browser
TASKS = """
import asyncio, time
from windsock import Progress, task

@task
async def leaf(progress: Progress, number: int, seconds: float = 0, fail: bool = False) -> int:
    progress.update(1, 2, unit="pages")
    await asyncio.sleep(seconds)
    if fail:
        raise ValueError("torn")
    progress.update(2, 2)
    return number

@task
async def branch(progress: Progress, seconds: float) -> int:
    progress.spawn(leaf, number=1)
    progress.spawn(leaf, number=2, fail=True)
    progress.spawn(leaf, number=3, seconds=seconds)
    return len(await progress.gather(on_failure="collect"))

@task
async def tree(progress: Progress, seconds: float) -> int:
    progress.spawn(branch, seconds=seconds)
    progress.spawn(leaf, number=4, seconds=seconds)
    return len(await progress.gather(on_failure="collect"))

@task
async def stuck(progress: Progress) -> None:
    for number in range(1, 26):
        progress.update(number, 100, unit="pages")
        await asyncio.sleep(0.1)
    await asyncio.sleep(600)

@task
async def usual(seconds: float) -> None:
    await asyncio.sleep(seconds)

@task
def busy(progress: Progress, seconds: float) -> None:
    def innermost() -> None:
        time.sleep(0.005)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        progress.advance(1)
        innermost()

@task
async def wordy(progress: Progress, lines: int, per_second: float) -> None:
    for number in range(1, lines + 1):
        progress.log(f"line {number} " + "word " * 90)
        if number > 150:
            await asyncio.sleep(1 / per_second)
"""


@pytest.fixture(scope="module")
def server(lasting: Processes) -> Server:
    """A server with tasks that have something inside."""
    tasks = lasting.folder / "inside.py"
    tasks.write_text(TASKS)
    return lasting.serve(tasks=tasks)


def lines_of(visit: Visit, task: str) -> Locator:
    """The lines of the children of that task, in the tree."""
    return (
        visit.job.get_by_role("region", name="Children")
        .locator(".child-line")
        .filter(has=visit.page.get_by_role("link", name=task, exact=True))
    )


def left_edges(lines: Locator, part: str) -> set[int]:
    """Where a part of each line begins, in pixels."""
    return {
        round(float(edge))
        for edge in lines.locator(part).evaluate_all("all => all.map(one => one.getBoundingClientRect().x)")
    }


def open_tree(visit: Visit, server: Server, seconds: float) -> str:
    """A tree of jobs, with its branch unfolded; the id of its root."""
    job = server.submit("tree", {"seconds": seconds})
    visit.go(f"#/jobs/{job}")
    visit.job.get_by_role("button", name="Children of branch").click()
    expect(lines_of(visit, "leaf")).to_have_count(4)
    return job


def test_children_are_a_tree_that_moves_and_unfolds(visit: Visit, server: Server) -> None:
    open_tree(visit, server, 3)
    branch, leaves = lines_of(visit, "branch"), lines_of(visit, "leaf")
    expect(branch.locator(".badge")).to_have_text("running")
    expect(leaves.locator(".badge")).to_have_text(["succeeded", "failed", "running", "running"])
    expect(visit.job.get_by_role("region", name="Children")).to_contain_text("0 of 2 ended · 2 running")
    expect(leaves.locator(".badge")).to_have_text(["succeeded", "failed", "succeeded", "succeeded"])
    visit.gets("succeeded")
    expect(visit.job.get_by_role("region", name="Children")).to_contain_text("2 of 2 ended")
    fold = visit.job.get_by_role("button", name="Children of branch")
    expect(fold).to_have_attribute("aria-expanded", "true")
    fold.press("Enter")
    expect(leaves).to_have_count(1)
    expect(fold).to_have_attribute("aria-expanded", "false")
    visit.check()


def test_columns_of_the_tree_stand_at_every_depth_and_only_names_move(visit: Visit, server: Server) -> None:
    open_tree(visit, server, 0)
    everything = visit.job.get_by_role("region", name="Children").locator(".child-line")
    for part in (".child-words", ".child-bar", ".badge"):
        assert len(left_edges(everything, part)) == 1, part
    assert len(left_edges(everything, "a")) == 2
    visit.check()


def test_a_child_leads_to_its_parent_and_the_tree_to_a_list(visit: Visit, server: Server) -> None:
    job = open_tree(visit, server, 0)
    lines_of(visit, "branch").get_by_role("link").click()
    expect(visit.title).to_have_text("branch")
    visit.job.get_by_role("navigation", name="Where this is").get_by_role("link", name=f"…{job[-8:]}").click()
    expect(visit.title).to_have_text("tree")
    visit.job.get_by_role("link", name="As a list").click()
    expect(visit.page).to_have_url(re.compile(rf"parent={job}"))
    expect(visit.rows).to_have_count(2)
    visit.check()


def test_a_job_that_stands_still_is_called_stalled_and_promises_nothing(visit: Visit, server: Server) -> None:
    job = server.submit("stuck")
    visit.go(f"#/jobs/{job}")
    figures = visit.job.locator(".standing-figures")
    expect(figures).to_contain_text("pages/s")
    expect(visit.job.locator(".job-title .chip")).to_have_text("stalled", timeout=15_000)
    expect(figures).not_to_contain_text("rate")
    expect(figures).not_to_contain_text("remaining")
    visit.go("#/jobs")
    expect(visit.page.locator(f"tr[data-id='{job}'] .cell-state")).to_contain_text("stalled")
    visit.check()


def test_a_job_that_takes_longer_than_others_of_its_task_is_called_slow(visit: Visit, server: Server) -> None:
    for job in [server.submit("usual", {"seconds": 0}) for _ in range(12)]:
        server.end(job)
    visit.go(f"#/jobs/{server.submit('usual', {'seconds': 600})}")
    expect(visit.job.locator(".job-title .chip")).to_have_text("slow", timeout=20_000)
    visit.check()


def take_stack(visit: Visit) -> Locator:
    """Ask where the code of the open job stands."""
    visit.job.get_by_role("button", name="Take the stack").click()
    frames = visit.job.get_by_role("list", name="Stack, innermost last")
    expect(frames).to_be_visible()
    return frames


def take_profile(visit: Visit) -> Locator:
    """Have the open job looked at for two seconds; the button that unfolds the flame graph."""
    visit.job.get_by_label("Profile for").select_option("2")
    visit.job.get_by_role("button", name="Profile", exact=True).click()
    expect(visit.job.get_by_role("button", name="Profiling …")).to_be_disabled()
    unfold = visit.job.get_by_role("button", name="Flame graph 1")
    expect(unfold).to_be_visible()
    return unfold


def test_the_stack_of_a_running_job_is_shown_frame_by_frame(visit: Visit, server: Server) -> None:
    job = server.submit("busy", {"seconds": 60})
    server.running(job)
    visit.go(f"#/jobs/{job}")
    frames = take_stack(visit)
    expect(frames).to_contain_text("inside.py")
    expect(frames).to_contain_text("busy")
    expect(visit.job.get_by_role("region", name="Inside")).to_contain_text("attempt 1 on node")
    visit.job.get_by_role("button", name="Take the stack again").click()
    expect(frames).to_be_visible()
    visit.check()


def test_a_profile_is_a_flame_graph_in_a_frame_that_may_do_nothing(visit: Visit, server: Server) -> None:
    job = server.submit("busy", {"seconds": 60})
    server.running(job)
    visit.go(f"#/jobs/{job}")
    take_profile(visit).click()
    flame = visit.job.locator("iframe.flame")
    expect(flame).to_have_attribute("sandbox", "")
    inside = visit.page.frame_locator("iframe.flame")
    expect(inside.locator(".own").first).to_contain_text("busy")
    expect(inside.get_by_role("table")).to_contain_text("inside.py")
    assert server.get(f"/api/jobs/{job}/profiles").status == 200
    visit.check()


def has_no_complaint(visit: Visit, server: Server) -> None:
    """axe on a tree, a stack and a profile, and on the page of the profile itself."""
    open_tree(visit, server, 600)
    assert complaints(visit.page) == []
    job = server.submit("busy", {"seconds": 60})
    server.running(job)
    visit.go(f"#/jobs/{job}")
    take_stack(visit)
    take_profile(visit)
    assert complaints(visit.page) == []
    visit.check()
    profile = visit.page.context.new_page()
    profile.set_content(visit.page.request.get(f"{server.url}/api/jobs/{job}/profiles/1.html").text())
    expect(profile.locator(".own").first).to_be_visible()
    assert complaints(profile) == []  # at its own place no script may run, that of axe neither


def test_axe_has_no_complaint_about_what_is_inside(visit: Visit, server: Server) -> None:
    has_no_complaint(visit, server)


@pytest.mark.window(color_scheme="dark")
def test_axe_has_no_complaint_about_what_is_inside_in_the_dark(visit: Visit, server: Server) -> None:
    has_no_complaint(visit, server)


def at_its_end(log: Locator) -> Callable[[], bool]:
    """Whether the log shows its last line."""
    return lambda: bool(log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight < 2"))


def test_a_log_is_followed_from_the_first_moment_until_one_scrolls_up(visit: Visit, server: Server) -> None:
    job = server.submit("wordy", {"lines": 100_000, "per_second": 5})
    server.running(job)
    visit.go(f"#/jobs/{job}")
    follow = visit.job.get_by_role("button", name="Follow")
    expect(visit.log).to_contain_text("line 160 ")
    wait_for(at_its_end(visit.log), "the end of the log")
    expect(follow).to_be_hidden()
    visit.log.evaluate("log => log.scrollTo(0, log.scrollTop - 300)")
    expect(follow).to_be_visible()
    stood = visit.log.evaluate("log => log.scrollTop")
    expect(visit.log).to_contain_text("line 175 ")
    assert visit.log.evaluate("log => log.scrollTop") == stood
    visit.page.keyboard.press("f")
    expect(follow).to_be_hidden()
    wait_for(at_its_end(visit.log), "the end of the log")
    visit.check()


@pytest.mark.window(viewport={"width": 1280, "height": 420})
def test_a_short_log_below_the_fold_takes_no_more_room_than_it_needs(go_to: Open, server: Server) -> None:
    job = server.submit("wordy", {"lines": 1, "per_second": 1})
    server.end(job)
    visit = go_to(server, f"#/jobs/{job}")
    expect(visit.log).to_contain_text("line 1 ")
    assert visit.log.evaluate("log => log.scrollHeight") < 200
    visit.check()
