"""Draws sample images: hills under an evening sky, each with other colours. Needs Pillow."""

import colorsys
import math
import random
from pathlib import Path

from examples._paths import replacing
from windsock import Progress

COUNT = 12
WIDTH, HEIGHT = 1280, 800
Colour = tuple[int, int, int]


def draw_samples(folder: Path, progress: Progress) -> None:
    """Draw the samples into `folder` as PNG files; the same ones each time."""
    for number in progress.track(range(1, COUNT + 1), unit="drawings"):
        with replacing(folder / f"hills-{number:02}.png") as partial:
            draw(number, partial)


def draw(number: int, path: Path) -> None:
    """Draw sample `number` to `path`."""
    from PIL import Image, ImageDraw  # noqa: PLC0415  only who draws needs Pillow

    dice = random.Random(number)
    hue = number / COUNT
    image = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    image = Image.composite(
        Image.new("RGB", (WIDTH, HEIGHT), colour(hue + 0.08, 0.35, 1.0)),
        Image.new("RGB", (WIDTH, HEIGHT), colour(hue, 0.55, 0.75)),
        image,
    )
    pen = ImageDraw.Draw(image)
    x, y, radius = dice.randint(200, WIDTH - 200), dice.randint(120, 320), dice.randint(40, 90)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour(hue + 0.12, 0.15, 1.0))
    for layer in range(5):
        pen.polygon(hills(dice, layer), fill=colour(hue + 0.5, 0.3 + layer * 0.08, 0.7 - layer * 0.13))
    image.save(path, "PNG")


def hills(dice: random.Random, layer: int) -> list[tuple[float, float]]:
    """The outline of one range of hills, the nearer ones lower."""
    top, swing, phase = HEIGHT * (0.45 + layer * 0.11), 60 - layer * 6, dice.uniform(0, 6)
    waves = [
        (dice.uniform(1, 3) * math.tau / WIDTH, swing),
        (dice.uniform(5, 9) * math.tau / WIDTH, swing / 4),
    ]
    line = [(float(x), top + sum(s * math.sin(w * x + phase) for w, s in waves)) for x in range(0, WIDTH + 8, 8)]
    return [*line, (WIDTH, HEIGHT), (0, HEIGHT)]


def colour(hue: float, saturation: float, value: float) -> Colour:
    """A colour in bytes; the hue goes round."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
