"""The programs in examples/apps, in a real browser: click, the bar moves, the end shows."""

import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chromium import browser
from conftest import CHROMIUM
from hosting import Guest
from playwright.sync_api import Browser, expect
from processes import ROOT, Processes, Server, processes, wait_for

__all__ = ["browser", "processes"]
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]
APPS = ROOT / "examples" / "apps"
HOME = "http://127.0.0.1:8765"  # as the examples have it


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def started(words: list[str], server: Server, url: str, log: Path) -> Iterator[None]:
    """A program as its README starts it, until it answers."""
    env = {**os.environ, "WINDSOCK_URL": server.url, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with log.open("w") as said:
        program = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=env, stdout=said, stderr=said)
        try:
            wait_for(lambda: answers(program, url, log), f"{words} to answer", timeout_s=30)
            yield
        finally:
            program.terminate()
            program.wait(10)


def answers(program: "subprocess.Popen[bytes]", url: str, log: Path) -> bool:
    assert program.poll() is None, log.read_text()
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.URLError:
        return False


def copied(server: Server, port: int, folder: Path) -> list[str]:
    """The plain page, with the address of this server in it."""
    folder.mkdir()
    for file in (APPS / "page").iterdir():
        text = file.read_text()
        assert HOME in text
        (folder / file.name).write_text(text.replace(HOME, server.url))
    return ["-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)]


def words_of(name: str, server: Server, port: int, folder: Path) -> list[str]:
    """How a program is started; a test holds the README to it."""
    return {
        "page": lambda: copied(server, port, folder / "page"),
        "flask": lambda: ["-m", "flask", "--app", "examples/apps/flask_app", "run", "--port", str(port)],
        "django": lambda: ["examples/apps/django_app.py", "runserver", f"127.0.0.1:{port}", "--noreload"],
        "fastapi": lambda: ["-m", "uvicorn", "--app-dir", "examples/apps", "fastapi_app:app", "--port", str(port)],
    }[name]()


@pytest.mark.parametrize("name", ["page", "flask", "django", "fastapi"])
def test_a_click_makes_the_bar_move_to_its_end(
    name: str, processes: Processes, browser: Browser, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = processes.serve("--allow-origin", url, tasks=APPS / "tasks.py")
    with started(words_of(name, server, port, tmp_path), server, url, tmp_path / "said"):
        context = browser.new_context()
        context.set_default_timeout(20_000)
        guest = Guest(context.new_page(), [url, server.url])
        guest.page.goto(url)
        guest.page.get_by_label("Rows").fill("200")
        guest.page.get_by_role("button", name="Make the report").click()
        guest.moves_past(10)
        guest.moves_past(50)
        guest.gets("succeeded", timeout_s=20)
        expect(guest.part("name")).to_have_text("Sales report")
        assert guest.page.get_by_text("It is ready").is_visible()
        guest.check()
        if name == "page":
            expect(guest.page.get_by_role("status").filter(has_text="30150")).to_be_visible()
        else:
            guest.page.get_by_role("link", name="the total").click()
            expect(guest.page.locator("body")).to_contain_text(re.compile(r'"total":\s*30150'))
        context.close()


def test_a_wrong_number_of_rows_is_told_on_the_plain_page(
    processes: Processes, browser: Browser, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = processes.serve("--allow-origin", url, tasks=APPS / "tasks.py")
    with started(words_of("page", server, port, tmp_path), server, url, tmp_path / "said"):
        page = browser.new_page()
        page.goto(url)
        page.get_by_label("Rows").evaluate("field => { field.max = ''; field.value = 20000; }")
        page.get_by_role("button", name="Make the report").click()
        expect(page.get_by_role("alert")).to_contain_text("10000")
        page.close()


def test_the_readme_starts_them_as_they_are_started_here(tmp_path: Path) -> None:
    readme = (APPS / "README.md").read_text()
    for start in (
        "python3 -m http.server 8000 --bind 127.0.0.1 --directory examples/apps/page",
        "python -m flask --app examples/apps/flask_app run --port 5000",
        "python examples/apps/django_app.py runserver 127.0.0.1:8000",
        "python -m uvicorn --app-dir examples/apps fastapi_app:app --port 8000",
        "run.py serve --tasks examples/apps/tasks.py",
    ):
        assert start in readme
