"""The nodes on the page: what each process is there for, and which ones it keeps."""

import pytest
from browsing import Visit, go_to, needs_browser, visit
from chromium import browser
from playwright.sync_api import expect
from processes import Processes, Server, lasting
from workforce import pids

__all__ = ["browser", "go_to", "lasting", "visit"]
pytestmark = needs_browser
KEEPER = "worker-1"


@pytest.fixture(scope="module")
def server(lasting: Processes) -> Server:
    """A server that runs no jobs, and beside it a process that keeps a worker."""
    server = lasting.serve("--no-worker")
    lasting.work("--workers", "1", data_dir=lasting.data_dir)
    return server


def test_a_process_that_keeps_workers_says_so_and_names_them(visit: Visit, server: Server) -> None:
    (pid,) = pids(server, KEEPER)
    visit.go("#/nodes")
    cards = visit.page.get_by_role("main").locator("li.node")
    for name, chip in (("node", "serves"), (KEEPER, "keeps workers"), (f"{KEEPER}-1", "works")):
        card = cards.filter(has=visit.page.get_by_role("heading", name=name, exact=True))
        expect(card.locator(".chip").first).to_have_text(chip)
    keeper = cards.filter(has=visit.page.get_by_role("heading", name=KEEPER, exact=True))
    expect(keeper).to_contain_text(f"worker processes: 1 (pid {pid})")
