"""A clip's frames on one picture, each with its number and its time, for people to look at."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

__all__ = ["contact_sheet"]

WIDTH, LINE, GAP = 240, 18, 4
"""Of a frame on the sheet, of the line below it, and between two, in pixels."""
COLUMNS, MOST = 32, 3840
"""The most frames side by side, and how wide all of them may be together: where they are many, they are smaller."""


def contact_sheet(frames: npt.NDArray[np.uint8], captions: Sequence[str]) -> Image.Image:
    """Frames, uint8 [n, height, width, 3], in reading order, each above its caption; as near to a square as they go."""
    count, height, width, _ = frames.shape
    columns = min(COLUMNS, math.ceil(math.sqrt(count)))
    wide = min(WIDTH, MOST // columns)
    small = (wide, max(1, round(wide * height / width)))
    step = (wide + GAP, small[1] + LINE + GAP)
    sheet = Image.new("RGB", (columns * step[0] + GAP, math.ceil(count / columns) * step[1] + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(LINE - 6)
    for (x, y), frame, caption in zip(_places(count, columns, step), frames, captions, strict=True):
        picture = Image.fromarray(np.ascontiguousarray(frame)).resize(small, Image.Resampling.BICUBIC)
        sheet.paste(picture, (x, y))
        draw.text((x + 2, y + small[1] + 1), caption, fill="black", font=font)
    return sheet


def _places(count: int, columns: int, step: tuple[int, int]) -> Iterator[tuple[int, int]]:
    for number in range(count):
        yield GAP + number % columns * step[0], GAP + number // columns * step[1]
