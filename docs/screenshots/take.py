"""Takes the pictures of the page that the documentation shows: a real server, real jobs, a headless Chromium.

    make screenshots     every picture anew; about two minutes

A busy minute comes first, so that the charts have something to show.
"""

import json
import random
import shutil
import sys
import threading
import time
import urllib.request
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent.parent / "benchmarks"))
from processes import Folder, Process  # noqa: E402  the benchmarks' own

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
TALL = {"overview": 916, "inside": 1700, "submit": 1060}  # views that take more than the height of DESK
PART = {"inside": "section[aria-labelledby=insight-title]"}  # of which only this is shown
BUSY_S = 75.0
COVER = {"overview-light": "../page", "overview-dark": "../page-dark"}  # those that the README shows
TAGS = ("user:7", "user:12", "night", "eu-west", "retry-me")


class Shop:
    """Submits what a small shop would."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._going = True
        self._thread = threading.Thread(target=self._work)

    def submit(self, task: str, more: dict[str, Any] | None = None, **args: Any) -> str:
        """The id of a new job."""
        body = json.dumps({"task": task, "args": args, **(more or {})}).encode()
        request = urllib.request.Request(f"{self.url}/api/jobs", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            job: str = json.load(answer)["id"]
        return job

    def open(self) -> None:
        """Mails and pictures at an uneven pace, until `close`."""
        self._thread.start()

    def _work(self) -> None:
        beat = 0.0
        while self._going:
            beat += 0.12
            for _ in range(round(2 * random.random() + (3 if beat % 4 < 1 else 0))):
                self.submit(
                    "send_mail", {"tags": random.sample(TAGS, 1)}, to=f"anna.{random.randrange(900)}@example.org"
                )
            if random.random() < 0.35:
                self.submit("resize", {"tags": random.sample(TAGS, 2)}, source=f"products/{random.randrange(9000)}.png")
            time.sleep(0.3)

    def close(self) -> None:
        """No more."""
        self._going = False
        self._thread.join()


def keep(page: Page, name: str, part: str | None = None) -> None:
    """Take the picture, of the page or of a part, without the room that is kept for a scroll bar, and make it small."""
    page.evaluate("document.documentElement.style.scrollbarGutter = 'auto'")
    page.wait_for_timeout(200)
    shown = page.locator(part) if part else page
    shot = Image.open(BytesIO(shown.screenshot(animations="disabled"))).convert("RGB")
    palette = Image.new("P", (1, 1))
    often = sorted(shot.getcolors(1 << 24) or (), reverse=True)[:256]  # flat colours stay what they are
    palette.putpalette(bytes(value for _, colour in often for value in colour))  # type: ignore[misc, union-attr]
    small = shot.quantize(palette=palette, dither=Image.Dither.NONE)
    small.save((HERE / f"{name}.png").resolve(), optimize=True)


def visit(browser: Browser, url: str, scheme: Any, size: Any) -> Page:
    """The page in a window of its own; whatever it says on the console ends the script."""
    touch = size is PHONE
    context = browser.new_context(
        viewport=size, color_scheme=scheme, reduced_motion="reduce", is_mobile=touch, has_touch=touch
    )
    page = context.new_page()
    page.on("pageerror", lambda error: sys.exit(f"the page failed: {error}"))
    page.goto(url)
    return page


def show(page: Page, where: str) -> None:
    """Another view, all of it loaded."""
    page.evaluate("where => { location.hash = where }", where)
    page.wait_for_timeout(1200)
    page.mouse.move(0, 0)


def fill_form(page: Page) -> None:
    """The form with something in it, and an error."""
    page.get_by_label("source").fill("products/8123.png")
    page.get_by_role("button", name="Fill in crop").click()
    page.get_by_label("width").fill("wide")
    page.get_by_label("height").fill("600")
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_timeout(300)


def unfold(page: Page) -> None:
    """The first branches of a tree."""
    for twist in page.get_by_role("button", name="Children of").all()[:2]:
        twist.click()
    page.wait_for_timeout(600)


def look_inside(page: Page) -> None:
    """The stack of a running job, and its flame graph."""
    page.get_by_role("button", name="Take the stack").click()
    page.get_by_label("Profile for").select_option("2")
    page.get_by_role("button", name="Profile", exact=True).click()
    page.get_by_role("button", name="Flame graph").last.click()
    page.frame_locator("iframe.flame").locator(".own").first.wait_for()
    page.mouse.move(0, 0)


PREPARE = {"submit": fill_form, "tree": unfold, "inside": look_inside}


def all_views(page: Page, kind: str, views: dict[str, str]) -> None:
    """One picture of each."""
    size = page.viewport_size or DESK
    for name, where in views.items():
        if size["width"] == DESK["width"]:
            page.set_viewport_size({**DESK, "height": TALL.get(name, DESK["height"])})
        show(page, where)
        if name in PREPARE:
            PREPARE[name](page)
        keep(page, COVER.get(f"{name}-{kind}", f"{name}-{kind}"), PART.get(name))


def main() -> None:
    """Open the shop, wait, take them all."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with Folder() as folder, TemporaryDirectory(prefix="shop-") as code, sync_playwright() as playwright:
        tasks = shutil.copy(HERE / "tasks.py", code)  # its path is seen in a picture
        server = Process(
            "serve",
            "--tasks",
            tasks,
            "--data-dir",
            folder,
            "--port",
            "0",
            "--drain",
            "0",
            "--name",
            "shop-1",
        )
        shop = Shop(server.url)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        pages = {scheme: visit(browser, server.url, scheme, DESK) for scheme in ("light", "dark")}
        small = {scheme: visit(browser, server.url, scheme, PHONE) for scheme in ("light", "dark")}
        failed = shop.submit("charge_card", {"tags": ["order:71883"]}, order=71883, amount=129.9)
        shop.open()
        time.sleep(BUSY_S - 25)
        shop.submit("encode_video", {"tags": ["user:7"]}, file="spring-2027.mov", quality="best")
        running = shop.submit("import_orders", {"tags": ["night", "eu-west"]}, file="orders-2026-11-28.csv", rows=9000)
        shop.submit("encode_video", file="interview-04.mov")
        shop.submit("encode_video", {"delay_s": 5400}, file="trailer.mov")
        repriced = shop.submit("reprice", {"tags": ["night"]})
        shop.submit("sync_stock", {"tags": ["eu-west"]}, warehouse="Rotterdam")
        time.sleep(12)
        catalogue = shop.submit("publish_catalogue", {"tags": ["user:12"]}, season="spring 2027")
        time.sleep(10)
        shop.submit("import_orders", {"tags": ["retry-me"]}, file="orders-2026-11-29.csv", rows=900)
        shop.submit("encode_video", {"tags": ["user:12"]}, file="outro.mov", quality="fast")
        time.sleep(3)
        views = {"overview": "#/", "jobs": "#/jobs", "job": f"#/jobs/{running}", "failed": f"#/jobs/{failed}"}
        for scheme in ("light", "dark"):
            more = {"tree": f"#/jobs/{catalogue}", "inside": f"#/jobs/{repriced}"}
            more |= {"submit": "#/submit?task=resize", "nodes": "#/nodes"}
            all_views(pages[scheme], scheme, {**views, **more})
            all_views(small[scheme], f"phone-{scheme}", {name: views[name] for name in ("overview", "jobs", "job")})
        shop.close()
        browser.close()
        server.stop()


if __name__ == "__main__":
    main()
