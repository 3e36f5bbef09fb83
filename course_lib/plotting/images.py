"""Figures made of images: a grid, and a strip from left to right."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .canvas import new_figure
from .picture import Picture, check_images


def image_grid(
    images: Any,
    *,
    alt: str,
    ncols: int | None = None,
    titles: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    title: str | None = None,
    cell: float | None = None,
) -> Picture:
    """Images (N, H, W), (N, 1, H, W) or (N, 3, H, W) in [0, 1] in a grid of `ncols` columns, filled row by row.

    `titles` stand above the images (as many as images, or one a column); `row_labels` left of the rows; `cell` is the
    width of one image in inches.
    """
    array = check_images(images)
    count, height, width = array.shape[:3]
    ncols = min(ncols or math.ceil(math.sqrt(count)), count)
    nrows = math.ceil(count / ncols)
    if titles is not None and len(titles) not in (count, ncols):
        raise ValueError(
            f"{len(titles)} titles for {count} images in {ncols} columns: give one an image or one a column"
        )
    if row_labels is not None and len(row_labels) != nrows:
        raise ValueError(f"{len(row_labels)} row labels for {nrows} rows")
    pad = max(1, width // 28)
    head = 0.22 if titles is not None and len(titles) == count and nrows > 1 else 0.0  # room above each row, inches
    cell = cell or min(1.5, max(0.45, 7.2 / ncols))
    unit = cell / width  # inches per pixel
    gap = round(head / unit)
    left = 0.085 * max(map(len, row_labels)) + 0.1 if row_labels else 0.0
    top = (0.24 if titles is not None else 0.0) + (0.3 if title else 0.0)
    total = ncols * (width + pad) - pad, nrows * (height + pad + gap) - pad - gap
    size = (left + total[0] * unit, top + total[1] * unit)
    figure, axes = new_figure(size, constrained=False)
    axes.set_position((left / size[0], 0.0, total[0] * unit / size[0], total[1] * unit / size[1]))
    axes.set_axis_off()
    sheet = np.ones((total[1], total[0], *array.shape[3:]))
    for i, image in enumerate(array):
        x, y = (i % ncols) * (width + pad), (i // ncols) * (height + pad + gap)
        sheet[y : y + height, x : x + width] = image
        if titles is not None and i < len(titles):
            axes.text(x + width / 2, y - pad, titles[i], ha="center", va="bottom", fontsize=9)
    extent = (0, total[0], total[1], 0)
    axes.imshow(sheet, extent=extent, aspect="auto", cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for r, label in enumerate(row_labels or ()):
        axes.text(-2 * pad, r * (height + pad + gap) + height / 2, label, ha="right", va="center", fontsize=9)
    if title:
        figure.text(0.5, 1 - 0.05 / size[1], title, ha="center", va="top", fontsize=11)
    return Picture(figure, alt)


def strip(
    frames: Any | Mapping[str, Any],
    *,
    alt: str,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    cell: float | None = None,
) -> Picture:
    """Images of one story from left to right, such as noise -> digit, with `labels` above them.

    A mapping draws one row for each entry, all of the same length: `{"x_t": xs, "predicted x_0": x0s}`.
    """
    rows = {name: check_images(f) for name, f in frames.items()} if isinstance(frames, Mapping) else None
    if rows is None:
        images = check_images(frames)
        return image_grid(_channels_first(images), alt=alt, ncols=len(images), titles=labels, title=title, cell=cell)
    lengths = {len(row) for row in rows.values()}
    if len(lengths) != 1:
        raise ValueError(f"rows have {sorted(lengths)} images, expected the same number in each")
    images = _channels_first(np.concatenate(list(rows.values())))
    names = list(rows)
    return image_grid(images, alt=alt, ncols=lengths.pop(), titles=labels, row_labels=names, title=title, cell=cell)


def _channels_first(images: np.ndarray) -> np.ndarray:
    return images if images.ndim == 3 else images.transpose(0, 3, 1, 2)
