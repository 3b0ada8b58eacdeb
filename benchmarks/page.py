"""The page under load: 5,000 jobs in the list at 500 updates a second. Frame times, and memory over minutes.

    benchmarks/page.py               frame times, half a minute
    benchmarks/page.py --minutes 10 and whether memory stays flat (`make soak`); exit status 1 if it does not

Starts a server and a headless Chromium on loopback. The list holds 5,000 rows: 500 running jobs, each of which tells
its progress once a second, and 4,500 behind them that were read page by page. The page is scrolled all the time.
"""

import argparse
import json
import shutil
import statistics
import time
import urllib.request
from typing import Any

from playwright.sync_api import CDPSession, Page, sync_playwright
from processes import Folder, percentile, serve

RUNNING, WAITING = 500, 4500
FRAMES = """
() => {
  window.frames_ms = [];
  window.updates = 0;
  let last = performance.now();
  let by = 3;
  const look = (now) => {
    frames_ms.push(now - last);
    last = now;
    if (scrollY + innerHeight >= document.documentElement.scrollHeight - 4000) by = -3;
    if (scrollY <= 0) by = 3;
    scrollBy(0, by);
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""


def submit(url: str, submissions: list[dict[str, Any]]) -> None:
    """A batch."""
    data, headers = json.dumps(submissions).encode(), {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/jobs", data, headers)) as answer:
        answer.read()


def read_all(page: Page) -> None:
    """Scroll down until all rows were read."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(200)
        if int(page.locator("table").get_attribute("aria-rowcount") or 0) > RUNNING + WAITING:
            page.evaluate("scrollTo(0, 0)")
            return
    raise RuntimeError("the rows were not read in time")


def frames(page: Page, seconds: float) -> list[float]:
    """Milliseconds between frames, for so long."""
    page.evaluate("frames_ms.length = 0")
    page.wait_for_timeout(1000 * seconds)
    measured: list[float] = page.evaluate("frames_ms")
    return measured


def held(devtools: CDPSession) -> tuple[float, int]:
    """MiB of JavaScript values that are alive, and nodes of the document, after a collection."""
    devtools.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in devtools.send("Performance.getMetrics")["metrics"]}
    return metrics["JSHeapUsedSize"] / 2**20, int(metrics["Nodes"])


def soak(page: Page, devtools: CDPSession, minutes: float) -> bool:
    """Whether memory stays flat: the last third is not above the first by more than a tenth."""
    samples: list[tuple[float, int]] = []
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        page.wait_for_timeout(10_000)
        samples.append(held(devtools))
        print(f"  {60 * minutes - (end - time.monotonic()):4.0f} s  {samples[-1][0]:6.1f} MiB  {samples[-1][1]} nodes")
    third = max(1, len(samples) // 3)
    first = statistics.median(mib for mib, _ in samples[:third])
    last = statistics.median(mib for mib, _ in samples[-third:])
    print(f"memory, first and last third: {first:.1f} and {last:.1f} MiB")
    return last <= 1.1 * first + 1


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0, help="watch memory for so long")
    parser.add_argument("--seconds", type=float, default=20.0, help="measure frames for so long")
    wish = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with Folder() as folder, sync_playwright() as playwright:
        server = serve(folder, "--slots", str(RUNNING))
        submit(server.url, [{"task": "noop", "delay_s": 86_000} for _ in range(WAITING)])
        submit(server.url, [{"task": "ticks", "args": {"seconds": 3600}} for _ in range(RUNNING)])
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable")
        page.goto(f"{server.url}/#/jobs")
        page.locator("tr.row").first.wait_for()
        read_all(page)
        page.evaluate(FRAMES)
        frames(page, 3)
        measured = frames(page, wish.seconds)
        parts = [percentile(measured, part) for part in (0.5, 0.95, 0.99)]
        print(f"{RUNNING + WAITING} rows, {RUNNING} updates/s, {len(measured)} frames in {wish.seconds:g} s")
        print("frame time p50 / p95 / p99: " + " / ".join(f"{part:.1f} ms" for part in parts))
        flat = soak(page, devtools, wish.minutes) if wish.minutes else True
        browser.close()
        server.stop()
    return 0 if flat else 1


if __name__ == "__main__":
    raise SystemExit(main())
