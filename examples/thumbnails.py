"""Makes small copies of images with Pillow."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from examples._drawing import draw_samples
from examples._paths import below, folder_below, replacing, root, shown
from windsock import Progress, task

SAMPLES = "examples/images"  # drawn when there is nothing in it
KINDS = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}

try:
    from PIL import Image, ImageOps
except ImportError:
    Image = None  # type: ignore[assignment]  # the other examples work without


@task
def thumbnails(
    progress: Progress, folder: str = SAMPLES, size: Annotated[int, Field(ge=16, le=4096)] = 256
) -> dict[str, Any]:
    """Make small copies of all images of a folder, in its subfolder thumbnails.

    Args:
        folder: where the images are, below --files; the default one is filled with drawings if it is empty.
        size: longest side of a copy, in pixels.
    """
    if Image is None:
        raise RuntimeError("thumbnails needs Pillow: pip install 'windsock[examples]'")
    source = find_folder(folder, progress)
    images = find_images(source)
    target = below(source / "thumbnails")
    target.mkdir(exist_ok=True)
    made = failed = 0
    for image in progress.track(images, unit="images"):
        progress.note(image.name)
        if make(image, target, size, progress):
            made += 1
        else:
            failed += 1
    return {"made": made, "failed": failed, "folder": shown(target)}


def find_folder(folder: str, progress: Progress) -> Path:
    """The folder of the images; the one of the samples comes into being when it is asked for.

    Raises:
        ValueError: it is outside --files, or there is none.
    """
    samples = below(SAMPLES)
    if below(folder) == samples and not (samples.is_dir() and find_images(samples)):
        progress.log(f"drawing a few images into {shown(samples)}")
        samples.mkdir(parents=True, exist_ok=True)
        draw_samples(samples, progress)
    return folder_below(folder)


def find_images(folder: Path) -> list[Path]:
    """The images directly in `folder`, by name; links out of --files are left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in KINDS and path.is_file() and path.resolve().is_relative_to(root())
    )


def make(source: Path, folder: Path, size: int, progress: Progress) -> bool:
    """Write the small copy of one image, in the same format, and tell of it; False if it is no image."""
    target = folder / source.name
    try:
        with Image.open(source) as image, replacing(target) as partial:
            kind = image.format
            image.draft("RGB", (size, size))  # JPEG can decode small, many times faster
            small = ImageOps.exif_transpose(image)
            if small.mode == "P":
                small = small.convert("RGBA")  # a palette cannot be averaged
            small.thumbnail((size, size))
            small.save(partial, kind)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        progress.log(f"left out: {source.name}: {error}", "warning")
        return False
    width, height = small.size
    progress.log(f"{shown(target)}: {width} x {height}")
    progress.emit({"path": shown(target), "width": width, "height": height, "bytes": target.stat().st_size})
    return True
