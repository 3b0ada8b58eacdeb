"""A page of small copies of all images of a folder: each copy is a job of its own, in a process."""

import asyncio
import html
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field

from examples import thumbnails
from examples._paths import below, replacing, shown
from windsock import ChildFailed, Progress, task

Side = Annotated[int, Field(ge=16, le=4096)]


@task(limit=10, limit_trees=True)
async def album(progress: Progress, folder: str = thumbnails.SAMPLES, size: Side = 256) -> dict[str, Any]:
    """Make a page album.html of a folder's images, each made small by a child job.

    Args:
        folder: where the images are, below --files; the default one is filled with drawings if it is empty.
        size: longest side of a copy, in pixels.
    """
    images = await asyncio.to_thread(find, folder, progress)
    for image, size_bytes in images:
        progress.spawn(small_copy, key=shown(image), weight=max(1, size_bytes), image=shown(image), size=size)
    copies = await progress.gather(on_failure="collect") if images else []
    for copy in copies:
        if isinstance(copy, ChildFailed):
            progress.log(str(copy), "warning")
    made = [copy for copy in copies if not isinstance(copy, ChildFailed)]
    page = below(below(folder) / "album.html")
    await asyncio.to_thread(write, page, made)
    return {"made": len(made), "failed": len(copies) - len(made), "page": shown(page)}


@task(process=True)
def small_copy(progress: Progress, image: str, size: Side = 256) -> dict[str, Any]:
    """Make a small copy of one image, in the subfolder thumbnails beside it.

    Args:
        image: where it is, below --files.
        size: longest side of the copy, in pixels.
    """
    if thumbnails.Image is None:
        raise RuntimeError("small_copy needs Pillow: pip install 'windsock[examples]'")
    source = below(image)
    target = below(source.parent / "thumbnails")
    target.mkdir(exist_ok=True)
    if not thumbnails.make(source, target, size, progress):
        raise ValueError(f"{image} is no image; the log says more")
    with thumbnails.Image.open(target / source.name) as small:
        return {"name": source.name, "width": small.width, "height": small.height}


def find(folder: str, progress: Progress) -> list[tuple[Path, int]]:
    """The images of a folder with their sizes in bytes."""
    return [(path, path.stat().st_size) for path in thumbnails.find_images(thumbnails.find_folder(folder, progress))]


def write(page: Path, copies: list[dict[str, Any]]) -> None:
    """The page, which shows the copies in the order of their names."""
    figures = "".join(
        f'<figure><a href="{quote(copy["name"])}"><img src="thumbnails/{quote(copy["name"])}" width="{copy["width"]}"'
        f' height="{copy["height"]}" alt=""></a><figcaption>{html.escape(copy["name"])}</figcaption></figure>\n'
        for copy in copies
    )
    with replacing(page) as partial:
        partial.write_text(
            f'<!doctype html>\n<meta charset="utf-8">\n<title>Album</title>\n{figures}', encoding="utf-8"
        )
