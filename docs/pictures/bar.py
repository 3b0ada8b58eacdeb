"""Makes bar.png and bar-dark.png beside this file: `.venv/bin/python docs/pictures/bar.py`."""

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Quiet(SimpleHTTPRequestHandler):
    """Serves the project's folder and says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def picture(browser: Browser, url: str, scheme: Literal["light", "dark"], path: Path) -> None:
    """One picture of the page, with nothing in motion."""
    page = browser.new_page(color_scheme=scheme, device_scale_factor=2, reduced_motion="reduce")
    page.goto(url)
    page.locator("body > div").last.wait_for()
    page.locator("body").screenshot(path=path)
    page.close()


def main() -> None:
    """Both."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(ROOT)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/docs/pictures/bar.html"
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        picture(browser, url, "light", HERE / "bar.png")
        picture(browser, url, "dark", HERE / "bar-dark.png")
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
