"""<windsock-job> in a real browser, on a page of another origin under a strict policy, against a real server."""

import re
import signal
from functools import partial

import pytest
from accessible import complaints
from chromium import browser
from conftest import CHROMIUM
from hosting import Guest, Open, Site, context, go_to, host, server
from playwright.sync_api import Browser, BrowserContext, expect
from processes import ROOT, Processes, Server, lasting, processes, wait_for

__all__ = ["browser", "context", "go_to", "host", "lasting", "processes", "server"]
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]
CUT = re.compile(r"ERR_|WebSocket connection to .* failed")


def bar(job: str, more: str = "", inside: str = "") -> str:
    return f'<windsock-job job="{job}" {more}>{inside}</windsock-job>'


def test_one_script_tag_and_one_element_show_a_job_to_its_end(server: Server, go_to: Open) -> None:
    guest = go_to(server, bar(server.submit("sleep", {"seconds": 5})))
    guest.gets("running")
    guest.moves_past(20)
    guest.moves_past(60)
    guest.gets("succeeded")
    expect(guest.part("state")).to_have_text("Done")
    expect(guest.part("name")).to_have_text("sleep")
    expect(guest.part("track")).to_have_attribute("aria-valuenow", "100")
    expect(guest.part("detail")).to_contain_text("Took 5.")
    assert [told[:2] for told in guest.told()] == [["windsock-end", "succeeded"]]
    assert guest.told()[0][2]["slept_s"] >= 5
    guest.check()


def test_a_failure_says_why(server: Server, go_to: Open) -> None:
    guest = go_to(server, bar(""))
    guest.watch(server.submit("sleep", {"seconds": 0.4, "fail": True}))
    guest.gets("failed")
    expect(guest.part("detail")).to_contain_text("failed after 0.4 s, as the argument fail asked for")
    expect(guest.bar.get_by_role("status")).to_have_text(re.compile("sleep: Failed"))
    guest.check()


def test_only_an_end_is_announced_and_one_from_before_is_not(server: Server, go_to: Open) -> None:
    first = server.submit("sleep", {"seconds": 0})
    server.end(first)
    guest = go_to(server, bar(first))
    guest.gets("succeeded")
    said = guest.bar.get_by_role("status")
    wait_for(lambda: server.job(first)["finished_at"] + 1500 < guest.page.evaluate("Date.now()"), "a while")
    guest.watch(server.submit("sleep", {"seconds": 2}))
    guest.gets("running")
    expect(said).to_have_text("")
    guest.gets("succeeded")
    expect(said).to_have_text("sleep: Done")
    assert [told[:2] for told in guest.told()] == [["windsock-end", "succeeded"]] * 2
    guest.check()


def test_a_job_is_cancelled_from_the_keyboard(server: Server, go_to: Open) -> None:
    guest = go_to(server, bar(server.submit("sleep", {"seconds": 60}), "cancel"))
    guest.gets("running")
    guest.page.keyboard.press("Tab")
    expect(guest.bar.get_by_role("button", name="Cancel sleep")).to_be_focused()
    guest.page.keyboard.press("Enter")
    guest.gets("cancelled")
    expect(guest.part("cancel")).to_be_hidden()
    guest.check()


def test_without_the_attribute_there_is_no_cancel(server: Server, go_to: Open) -> None:
    job = server.submit("sleep", {"seconds": 60})
    guest = go_to(server, bar(job))
    guest.gets("running")
    expect(guest.part("cancel")).to_be_hidden()
    guest.bar.evaluate("bar => bar.toggleAttribute('cancel', true)")
    expect(guest.part("cancel")).to_be_visible()
    guest.bar.evaluate("bar => bar.cancel()")
    guest.gets("cancelled")
    guest.check()


def test_a_job_nobody_knows_is_said_to_be_unknown(server: Server, go_to: Open) -> None:
    guest = go_to(server, bar("01ARZ3NDEKTSV4RRFFQ69G5FAV"))
    guest.gets("not-found")
    assert guest.told() == [["windsock-error", "not_found", None]]
    guest.bar.evaluate("bar => bar.removeAttribute('job')")
    guest.gets("missing")
    guest.check()


def test_log_lines_are_shown_where_they_are_asked_for(server: Server, go_to: Open) -> None:
    guest = go_to(server, bar(server.submit("chatter", {"lines": 40, "per_second": 0}), 'log="5"'))
    guest.gets("succeeded")
    lines = guest.part("log").locator("li")
    expect(lines).to_have_count(5)
    expect(guest.part("log")).to_contain_text("line 40 of 40")
    guest.bar.evaluate("bar => bar.removeAttribute('log')")
    expect(guest.part("log")).to_be_hidden()
    guest.check()


def test_content_for_an_end_is_shown_at_that_end_only(server: Server, go_to: Open) -> None:
    inside = (
        '<i>Needs JavaScript</i><a slot="succeeded" href="/report">Get the report</a><b slot="failed">Write to us</b>'
    )
    guest = go_to(server, bar("", "", inside))
    guest.watch(server.submit("sleep", {"seconds": 2}))
    link = guest.page.get_by_role("link", name="Get the report")
    guest.gets("running")
    expect(link).to_be_hidden()
    guest.gets("succeeded")
    expect(link).to_be_visible()
    expect(guest.page.get_by_text("Write to us")).to_be_hidden()
    expect(guest.page.get_by_text("Needs JavaScript")).to_be_hidden()
    guest.check()


def test_many_bars_share_one_connection(server: Server, go_to: Open) -> None:
    jobs = [server.submit("sleep", {"seconds": 1}) for _ in range(20)]
    guest = go_to(server, "".join(bar(job, "compact") for job in jobs) + bar(jobs[0], f'server="{server.url}/"'))
    done = "bars => bars.every(bar => bar.state === 'succeeded')"
    wait_for(lambda: guest.page.locator("windsock-job").evaluate_all(done), "all done")
    assert len(guest.sockets) == 1
    guest.check()


def test_many_bars_that_change_their_job_at_once_all_come_to_show_it(server: Server, go_to: Open) -> None:
    """More commands than a server takes at once: some are refused, unsubscribes among them."""
    first, second = (server.submit("sleep", {"seconds": 300}) for _ in range(2))
    guest = go_to(server, "".join(bar(first, "compact") for _ in range(40)))
    bars = guest.page.locator("windsock-job")
    shown = "(bars, job) => bars.every(bar => bar.summary?.id === job && bar.state === 'running')"
    for job in (first, second, first):
        bars.evaluate_all("(bars, job) => bars.forEach(bar => (bar.job = job))", job)
        wait_for(partial(bars.evaluate_all, shown, job), f"all show {job}", 20)
    bars.first.evaluate("bar => bar.cancel()")
    wait_for(lambda: bars.evaluate_all("bars => bars.every(bar => bar.state === 'cancelled')"), "all hear of the end")
    guest.page.evaluate("([url, id]) => fetch(`${url}/api/jobs/${id}/cancel`, {method: 'POST'})", [server.url, second])
    assert len(guest.sockets) == 1
    guest.check()


def test_a_cancel_that_is_refused_says_nothing_of_the_job_that_is_shown_by_then(server: Server, go_to: Open) -> None:
    guest = go_to(server, bar("01ARZ3NDEKTSV4RRFFQ69G5FAV"))
    guest.gets("not-found")
    job = server.submit("sleep", {"seconds": 60})
    guest.bar.evaluate("(bar, job) => { const asked = bar.cancel(); bar.job = job; return asked; }", job)
    guest.gets("running")
    expect(guest.part("detail")).not_to_contain_text("could not be cancelled")
    guest.bar.evaluate("bar => bar.cancel()")
    guest.gets("cancelled")
    guest.check(re.compile("404"))


def test_a_bar_that_is_taken_away_is_not_told_any_more(server: Server, go_to: Open) -> None:
    guest = go_to(server, bar(server.submit("sleep", {"seconds": 60}), "cancel"))
    guest.gets("running")
    guest.bar.evaluate("bar => (window.bar = bar).remove()")
    wait_for(lambda: guest.has_sent('"unsubscribe"'), "an unsubscribe")
    guest.page.evaluate("document.querySelector('main').append(bar)")
    guest.gets("running")
    guest.bar.evaluate("bar => bar.cancel()")
    guest.gets("cancelled")
    assert len(guest.sockets) == 1
    guest.check()


def test_a_waiting_job_says_how_many_are_before_it(processes: Processes, host: Site, go_to: Open) -> None:
    server = processes.serve("--allow-origin", host.url, "--slots", "1", tasks=ROOT / "examples")
    first, second, third = (server.submit("sleep", {"seconds": 60}) for _ in range(3))
    server.running(first)
    guest = go_to(server, bar(third, "cancel"))
    guest.gets("queued")
    expect(guest.part("detail")).to_contain_text("1 job before this one")
    guest.page.evaluate(f"fetch('{server.url}/api/jobs/{second}/cancel', {{method: 'POST'}})")
    expect(guest.part("detail")).to_contain_text("Next in line", timeout=15_000)
    guest.page.evaluate(f"fetch('{server.url}/api/jobs/{first}/cancel', {{method: 'POST'}})")
    guest.gets("running")
    guest.check()


def test_a_bar_survives_a_killed_server_by_itself(processes: Processes, host: Site, go_to: Open) -> None:
    flags = ("--allow-origin", host.url)
    server = processes.serve(*flags, tasks=ROOT / "examples")
    guest = go_to(server, bar(""))
    guest.watch(server.submit("sleep", {"seconds": 6}))
    guest.moves_past(20)
    stood = int(guest.part("track").get_attribute("aria-valuenow") or 0)
    server.kill()
    guest.gets("reconnecting")
    expect(guest.part("detail")).to_contain_text("No connection since")
    assert int(guest.part("track").get_attribute("aria-valuenow") or 0) >= stood
    processes.serve(*flags, tasks=ROOT / "examples", port=server.port)
    guest.gets("running", "succeeded", timeout_s=25)
    assert guest.bar.evaluate("bar => bar.summary.attempt") == 2
    guest.gets("succeeded", timeout_s=20)
    assert [told[:2] for told in guest.told()] == [["windsock-end", "succeeded"]]
    guest.check(CUT)


def test_a_server_that_stands_still_is_noticed_when_the_network_changes(
    processes: Processes, host: Site, go_to: Open, context: BrowserContext
) -> None:
    server = processes.serve("--allow-origin", host.url, tasks=ROOT / "examples")
    guest = go_to(server, bar(""))
    guest.watch(server.submit("sleep", {"seconds": 12}))
    guest.gets("running")
    server.send(signal.SIGSTOP)
    context.set_offline(True)
    guest.gets("reconnecting", timeout_s=12)
    server.send(signal.SIGCONT)
    context.set_offline(False)
    guest.gets("running", "succeeded")
    guest.gets("succeeded", timeout_s=20)
    assert len(guest.told()) == 1
    guest.check(CUT)


HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_a_hidden_page_says_so_and_still_hears_of_the_end(server: Server, go_to: Open) -> None:
    guest = go_to(server, bar(""))
    guest.watch(server.submit("sleep", {"seconds": 3}))
    guest.gets("running")
    guest.page.evaluate(HIDE, True)
    wait_for(lambda: guest.has_sent('"visibility","hidden":true'), "the server to be told")
    wait_for(guest.told, "the end")
    assert guest.told()[0][:2] == ["windsock-end", "succeeded"]
    guest.page.evaluate(HIDE, False)
    wait_for(lambda: guest.has_sent('"ping"'), "a question whether the connection lives")
    guest.check()


def test_a_page_that_is_left_and_come_back_to_goes_on(server: Server, go_to: Open, host: Site) -> None:
    guest = go_to(server, bar(server.submit("sleep", {"seconds": 8})))
    guest.moves_past(10)
    guest.page.goto(host.url + "/elsewhere")
    guest.page.go_back()
    guest.gets("running")
    guest.gets("succeeded")
    guest.check()


def test_a_page_that_is_not_let_in_keeps_its_own_content(processes: Processes, go_to: Open) -> None:
    server = processes.serve(tasks=ROOT / "examples")
    guest = go_to(server, bar(server.submit("sleep", {"seconds": 0}), "", '<a href="/jobs">Your job</a>'))
    expect(guest.page.get_by_role("link", name="Your job")).to_be_visible()
    assert guest.page.evaluate("customElements.get('windsock-job') === undefined")
    assert guest.sockets == []
    read = f"fetch('{server.url}/api/jobs').then(() => 'read', () => 'refused')"
    assert guest.page.evaluate(read) == "refused"
    opened = (
        "url => new Promise(done => { const socket = new WebSocket(url); socket.onopen = () => done('open');"
        " socket.onclose = () => done('closed'); })"
    )
    assert guest.page.evaluate(opened, server.url.replace("http", "ws") + "/api/stream") == "closed"
    guest.check(re.compile("CORS|ERR_FAILED|WebSocket connection|403"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_said_against_it_by_axe(server: Server, browser: Browser, host: Site, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    guest = Guest(context.new_page(), [host.url, server.url])
    running = server.submit("sleep", {"seconds": 60})
    server.running(running)
    failed = server.submit("sleep", {"seconds": 0, "fail": True})
    talks = server.submit("chatter", {"lines": 3, "per_second": 0})
    for job in (failed, talks):
        server.end(job)
    waits = server.submit("sleep", {"seconds": 1}, delay_s=600)
    kinds = [bar(running, "cancel"), bar(failed), bar(talks, "log"), bar(waits, "cancel"), bar("X1"), bar("")]
    guest.page.goto(host.show(server, "".join(kinds)))
    guest.page.evaluate("document.documentElement.style.colorScheme = 'light dark'")
    guest.page.evaluate("document.documentElement.style.background = 'Canvas'")  # axe takes what is not said for white
    shown = "bars => bars.map(bar => bar.state)"
    wanted = ["running", "failed", "succeeded", "scheduled", "not-found", "missing"]
    wait_for(lambda: guest.page.locator("windsock-job").evaluate_all(shown) == wanted, "all states")
    assert complaints(guest.page) == []
    guest.page.locator("windsock-job").first.evaluate("bar => bar.cancel()")
    guest.check()
    context.close()
