"""Plain clients of a job's events: `curl -N`, and EventSource in a real browser. No code of ours on their side."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import CHROMIUM
from playwright.sync_api import Page, sync_playwright
from processes import Processes, Server, processes, wait_for

__all__ = ["processes"]
CURL = shutil.which("curl")
needs_curl = pytest.mark.skipif(CURL is None, reason="no curl here")
LISTEN = """
(path) => {
  window.events = [];
  window.source = new EventSource(path);
  for (const type of ["snapshot", "update", "log", "gap", "live", "end"]) {
    source.addEventListener(type, (event) =>
      events.push({ type, id: event.lastEventId, data: JSON.parse(event.data) }));
  }
}
"""
CLOSED = 2  # EventSource.readyState: it will not come again
Event = dict[str, Any]


class Curl:
    """One `curl -N` on a job's events."""

    def __init__(self, server: Server, job_id: str, *words: str) -> None:
        url = f"{server.url}/api/jobs/{job_id}/events"
        command = [CURL or "curl", "-sN", "--max-time", "30", *words, url]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.text = ""

    def until(self, wanted: str) -> "Curl":
        """Read on until a line begins with this."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.text += line
            if line.startswith(wanted):
                return self
        raise AssertionError(f"it ended without {wanted!r}: {self.text}")

    def end(self) -> int:
        """Read the rest; its exit code."""
        with self._process as process:  # not `communicate`: it passes over what was read ahead
            assert process.stdout is not None
            self.text += process.stdout.read()
        return process.returncode

    def events(self) -> list[Event]:
        """Those that came whole."""
        found = []
        for block in self.text.split("\n\n")[:-1]:
            fields = dict(line.partition(": ")[::2] for line in block.splitlines())
            if "data" in fields:
                found.append({"type": fields["event"], "id": fields.get("id"), "data": json.loads(fields["data"])})
        return found


def entries(events: list[Event]) -> list[tuple[int, str]]:
    """Offset and text of each log entry, in the order they came."""
    return [
        (event["data"]["first"] + index, entry["text"])
        for event in events
        if event["type"] == "log"
        for index, entry in enumerate(event["data"]["entries"])
    ]


def killed_in_the_middle(processes: Processes, server: Server) -> Server:
    """The same server after kill -9, on the same port and data."""
    server.kill()
    return processes.serve(port=server.port)


@needs_curl
def test_curl_follows_a_job_live_to_its_end_and_ends(processes: Processes) -> None:
    server = processes.serve()
    job_id = server.submit("count", {"to": 150})
    curl = Curl(server, job_id).until("event: log")
    assert server.job(job_id)["state"] == "running"  # what came was not held back until the end
    assert curl.end() == 0
    assert entries(curl.events()) == [(number, f"number {number}") for number in range(1, 151)]
    assert curl.events()[-1]["type"] == "end"
    assert curl.events()[-1]["data"]["job"]["result"] == 150


@needs_curl
def test_curl_gets_one_frame_a_line_where_it_asks_for_ndjson(processes: Processes) -> None:
    server = processes.serve()
    job_id = server.submit("count", {"to": 5})
    curl = Curl(server, job_id, "-H", "Accept: application/x-ndjson")
    assert curl.end() == 0
    assert [json.loads(line)["type"] for line in curl.text.splitlines()][-1] == "end"


@needs_curl
def test_curl_goes_on_with_last_event_id_after_the_server_was_killed_and_is_told_to_stop(processes: Processes) -> None:
    server = processes.serve()
    job_id = server.submit("count", {"to": 100})
    first = Curl(server, job_id).until("event: log")
    again = killed_in_the_middle(processes, server)
    assert first.end() != 0
    last_id = [event["id"] for event in first.events() if event["id"]][-1]
    second = Curl(again, job_id, "-H", f"Last-Event-ID: {last_id}")
    assert second.end() == 0
    told = entries(first.events() + second.events())
    assert [offset for offset, _ in told] == list(range(1, len(told) + 1))
    assert [text for _, text in told] == again.log(job_id)  # of both attempts
    third = Curl(again, job_id, "-H", f"Last-Event-ID: {second.events()[-1]['id']}", "-w", "%{http_code}")
    assert (third.end(), third.text) == (0, "204")


@pytest.fixture
def page() -> Iterator[Page]:
    """A tab of a Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page()
        browser.close()


def came(page: Page) -> list[Event]:
    events: list[Event] = page.evaluate("events")
    return events


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_eventsource_comes_back_to_a_killed_server_by_itself_and_ends_with_the_job(
    page: Page, processes: Processes
) -> None:
    server = processes.serve()
    page.goto(server.url)
    job_id = server.submit("count", {"to": 100})
    page.evaluate(LISTEN, f"/api/jobs/{job_id}/events")
    wait_for(lambda: len(entries(came(page))) >= 5, "some of the log")
    again = killed_in_the_middle(processes, server)
    wait_for(lambda: page.evaluate("source.readyState") == CLOSED, "EventSource told to stop", 20)
    events = came(page)
    assert [event["data"]["how"] for event in events if event["type"] == "snapshot"] == ["fresh", "resumed"]
    assert [event["type"] for event in events].count("end") == 1
    assert events[-1]["data"]["job"]["attempt"] == 2
    told = entries(events)
    assert [offset for offset, _ in told] == list(range(1, len(told) + 1))
    assert [text for _, text in told] == again.log(job_id)
