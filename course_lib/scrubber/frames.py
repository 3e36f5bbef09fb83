"""From what a notebook has (tensors, pictures) to films of 8-bit frames, each packed into one small image file."""

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ..plotting.picture import Picture, as_array, tile

FILE_SIDE_LIMIT = 16383  # pixels: the largest side of a WebP image


@dataclass(frozen=True)
class Film:
    """One panel: F frames of equal size, (F, H, W) grey or (F, H, W, 3) colour, uint8."""

    frames: np.ndarray
    pixel_art: bool  # enlarge without smoothing, and let the reader probe single pixels

    @property
    def count(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of a frame in pixels."""
        return self.frames.shape[2], self.frames.shape[1]


@dataclass(frozen=True)
class Sheet:
    """All frames of a film in one image file, row by row, `columns` in a row, `gap` pixels between."""

    mime: str
    data: bytes
    columns: int
    gap: int
    width: int
    height: int


def film(frames: Any, levels: int, ncols: int | None) -> Film:
    """Frames in [0, 1] or drawn pictures as a `Film`, array values rounded to `levels` equal steps.

    Arrays: (F, H, W); (F, C, H, W) with C = 1 or 3; (F, B, C, H, W) is a grid of B images a frame, `ncols` in a row.
    Drawn: a sequence of `Picture`, matplotlib figures or PIL images of one size.
    """
    if not hasattr(frames, "shape"):
        frames = list(frames)
        if frames and isinstance(frames[0], (Picture, Figure, Image.Image)):
            return Film(_stack_pictures(frames), pixel_art=False)
    array = as_array(frames)
    if array.ndim not in (3, 4, 5) or array.size == 0:
        raise ValueError(f"frames have shape {array.shape}, expected (F, H, W), (F, C, H, W) or (F, B, C, H, W)")
    if array.ndim > 3 and array.shape[-3] not in (1, 3):
        raise ValueError(
            f"frames have shape {array.shape} with {array.shape[-3]} channels, expected 1 or 3; "
            "a grid of B images a frame is (F, B, C, H, W)"
        )
    if not (array.min() >= -1e-6 and array.max() <= 1 + 1e-6):  # written so that NaN fails too
        low, high = array.min(), array.max()
        raise ValueError(f"frames run from {low:.3g} to {high:.3g}, expected [0, 1]: pass plotting.as_pixels(frames)")
    if not 2 <= levels <= 256:
        raise ValueError(f"levels = {levels}, expected 2 to 256")
    if array.ndim == 5:
        array = np.stack([tile(grid, ncols) for grid in array])
    elif array.ndim == 4:
        array = array[:, 0] if array.shape[1] == 1 else array.transpose(0, 2, 3, 1)
    steps = (array.clip(0.0, 1.0) * (levels - 1)).round() / (levels - 1)
    return Film((steps * 255).round().astype(np.uint8), pixel_art=True)


def _stack_pictures(pictures: Iterable[Any]) -> np.ndarray:
    images = []
    for picture in pictures:
        if isinstance(picture, Figure):
            picture = Picture(picture, alt="frame")
        images.append(np.asarray(picture.image() if isinstance(picture, Picture) else picture.convert("RGB")))
    sizes = {image.shape[1::-1] for image in images}
    if len(sizes) != 1:
        raise ValueError(f"frames are pictures of sizes {sorted(sizes)}, expected one size")
    return np.stack(images)


def pack(film: Film) -> Sheet:
    """The film as one image, WebP without loss or PNG, whichever is smaller; the same film gives the same bytes.

    Drawn pictures are first reduced to 256 colours common to all frames.
    """
    (width, height), count = film.size, film.count
    gap = 1 if max(width, height) < 200 else 2
    columns = min(count, max(1, round(math.sqrt(1.6 * count * height / width))))  # wider than high: reads as a strip
    while columns > 1 and columns * (width + gap) > FILE_SIDE_LIMIT:
        columns -= 1
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, *film.frames.shape[3:]), 128, np.uint8)
    for i, frame in enumerate(film.frames):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = frame
    image = Image.fromarray(sheet)
    if not film.pixel_art:
        image = image.quantize(256, dither=Image.Dither.NONE)
    mime, data = _smallest_file(image)
    return Sheet(mime, data, columns, gap, image.width, image.height)


def _smallest_file(image: Image.Image) -> tuple[str, bytes]:
    palette = image.quantize(256, dither=Image.Dither.NONE) if image.mode == "L" else image
    files = [("image/png", _encode(palette, "PNG", optimize=True))]
    if max(image.size) <= FILE_SIDE_LIMIT:
        files.append(("image/webp", _encode(image.convert("RGB"), "WEBP", lossless=True, quality=50, method=2)))
    return min(files, key=lambda file: len(file[1]))


def _encode(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()
