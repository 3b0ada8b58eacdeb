"""Tasks for the pictures: a small shop at work."""

import asyncio
import random
import time
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from windsock import Progress, task


class Crop(BaseModel):
    """The part of the picture that is kept."""

    x: int = 0
    y: int = 0
    width: Annotated[int, Field(ge=1, le=8192)]
    height: Annotated[int, Field(ge=1, le=8192)]


@task
async def encode_video(
    progress: Progress, file: str, quality: Literal["fast", "good", "best"] = "good"
) -> dict[str, str]:
    """Encode a film in three steps."""
    for name, weight, seconds in (("probe", 1, 2.0), ("encode", 10, 40.0), ("upload", 2, 6.0)):
        with progress.step(name, weight=weight):
            frames = round(60 * seconds)
            for frame in range(frames):
                if frame % 60 == 0:
                    progress.log(f"{name}: {file} at {frame / 60:.0f} s", "info" if frame % 240 else "debug")
                progress.update(frame + 1, frames, unit="frames")
                await asyncio.sleep(seconds / frames)
    return {"file": file, "quality": quality}


@task
async def import_orders(progress: Progress, file: str, rows: int = 4000, per_second: float = 60) -> dict[str, int]:
    """Read orders of a shop into the database."""
    bad = 0
    progress.log(f"reading {file}")
    for row in range(1, rows + 1):
        progress.update(row, rows, unit="orders", note=f"order {71_000 + row}")
        if row % 97 == 0:
            bad += 1
            progress.log(f"order {71_000 + row}: the postcode is missing, taken from the last order", "warning")
        if row % 60 == 0:
            progress.log(f"{row} of {rows} orders, {bad} with warnings")
        if row % 250 == 0:
            progress.emit({"rows": row, "bad": bad})
        await asyncio.sleep(1 / per_second)
    return {"rows": rows, "bad": bad}


@task
async def render_page(progress: Progress, page: int, seconds: float = 6.0) -> str:
    """Render one page of a catalogue."""
    for item in progress.track(range(24), unit="items"):
        progress.note(f"page {page}")
        progress.log(f"item {item + 1} of page {page}", "debug")
        await asyncio.sleep(seconds / 24)
    if page % 7 == 5:
        raise FileNotFoundError(f"products/{8000 + page}.png")
    return f"catalogue/{page:03}.pdf"


@task
async def render_chapter(progress: Progress, title: str, first: int, pages: int) -> int:
    """Render the pages of a chapter, each as a job of its own."""
    for page in range(first, first + pages):
        progress.spawn(render_page, page=page, seconds=random.uniform(5, 12) + 14 * (page - first))
    return len(await progress.gather(on_failure="collect"))


@task
async def publish_catalogue(progress: Progress, season: str) -> int:
    """Render a catalogue chapter by chapter."""
    for number, title in enumerate(("kitchen", "garden", "lights")):
        progress.spawn(render_chapter, title=title, first=10 * number + 1, pages=5 + number)
    progress.spawn(render_page, page=0, seconds=4)
    return len(await progress.gather(on_failure="collect"))


@task
async def reprice(progress: Progress, articles: int = 6000, market: str = "eu-west") -> int:
    """Find new prices, on the event loop, where such work should not be."""
    for article in progress.track(range(articles), unit="articles"):
        price(article)
        if article == 200:
            read_rates(0.7)
        await asyncio.sleep(0.015)
    return articles


def price(article: int) -> float:
    """The price of one article."""
    return margin(article) + demand(article)


def margin(article: int) -> float:
    """What is to be earned by it."""
    return sum((article * step) % 7 for step in range(6000)) / 6000


def demand(article: int) -> float:
    """How much it is asked for."""
    return sum(season(article, day) for day in range(60))


def season(article: int, day: int) -> float:
    """How much of that is the time of the year."""
    return sum((article + day) % step for step in range(1, 90)) / 90


def read_rates(seconds: float) -> None:
    """Stands for a library that waits."""
    time.sleep(seconds)


@task
async def sync_stock(progress: Progress, warehouse: str) -> int:
    """Ask a warehouse what it has; it stops answering after a while."""
    for shelf in range(70):
        progress.update(shelf + 1, 240, unit="shelves", note=f"{warehouse}, shelf {shelf + 1}")
        await asyncio.sleep(0.1)
    progress.log(f"{warehouse} does not answer", "warning")
    await asyncio.sleep(600)
    return 240


@task
async def send_mail(progress: Progress, to: str, template: str = "receipt") -> str:
    """Send one mail."""
    await asyncio.sleep(random.uniform(0.05, 0.4))
    if random.random() < 0.04:
        raise ConnectionError(f"smtp.example.org: 451 4.7.1 greylisted, try again later: <{to}>")
    return f"250 2.0.0 queued as {random.randrange(16**10):010X}"


@task
async def resize(
    progress: Progress,
    source: str,
    sizes: list[int] = [256, 1024],  # noqa: B006  pydantic copies it
    format: Literal["jpeg", "webp", "avif"] = "webp",
    crop: Crop | None = None,
    keep_original: bool = True,
) -> int:
    """Make small copies of a picture.

    Args:
        source: path or URL of the picture.
        sizes: longest sides, in pixels.
        crop: what is cut out before; all of it if left out.
        keep_original: whether the large one stays where it is.
    """
    for size in progress.track(sizes, unit="sizes"):
        await asyncio.sleep(random.uniform(0.1, 0.6))
        progress.log(f"{source} at {size} px")
    return len(sizes)


@task
async def charge_card(progress: Progress, order: int, amount: float) -> str:
    """Charge a card."""
    progress.log(f"order {order}: charging {amount:.2f}")
    await asyncio.sleep(0.4)
    progress.log("the bank answers 402", "error")
    raise PermissionError(f"order {order}: the card was declined (insufficient_funds)")
