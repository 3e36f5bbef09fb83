"""Every still figure of the course: image grids, curves, bars, histograms, points with ellipses, paths, fields.

Each function draws one figure and returns a `Picture`: the last expression of a cell shows it, `.show()` shows it
earlier, `.save(path)` writes it. Every picture needs an alternative text (`alt`): one sentence saying what a reader who
cannot see the figure should know. Images are given in [0, 1]; the library's own images live in [-1, 1], so write
`plotting.image_grid(plotting.to_unit(x), alt=...)`. Arrays may be numpy arrays, torch tensors or nested lists.

Colours are those of Okabe and Ito, "Color Universal Design" (2008), told apart by colour-blind readers too; lines
also differ in their dashes. Nothing here touches pyplot or its global state.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from .picture import DPI, STYLE, Beside, Picture, as_array, beside, check_images, save_sheet, tile, to_unit

__all__ = [
    "Beside", "Picture", "bars", "beside", "curves", "heatmap", "histograms", "image_grid", "paths", "save_sheet",
    "scatter", "strip", "tile", "to_unit", "vector_field",
]  # fmt: skip

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 2)), "-")
Size = tuple[float, float]  # inches, width and height
Moments = tuple[Any, Any]  # mean (2,) and covariance (2, 2) of a Gaussian


# ---------------------------------------------------------------------------------------------------------- images


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
    figure, axes = _figure(size, constrained=False)
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


# ----------------------------------------------------------------------------------------------------- lines and bars


def curves(
    series: Mapping[str, Any],
    *,
    alt: str,
    x: Any = None,
    bands: Mapping[str, tuple[Any, Any]] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    xscale: str = "linear",
    yscale: str = "linear",
    markers: bool = False,
    size: Size = (6.4, 3.4),
) -> Picture:
    """Lines named by `series`: each value is y over the common `x` (or over 0, 1, 2, ...), or its own pair (x, y).

    `bands` shades between a low and a high line around the series of the same name.
    """
    figure, axes = _figure(size)
    for i, (name, values) in enumerate(series.items()):
        if isinstance(values, tuple):
            horizontal, vertical = as_array(values[0]), as_array(values[1])
        else:
            vertical = as_array(values)
            horizontal = np.arange(len(vertical)) if x is None else as_array(x)
        if horizontal.shape != vertical.shape:
            raise ValueError(f"series {name!r} has {vertical.shape} values over x of shape {horizontal.shape}")
        colour, dash = PALETTE[i % len(PALETTE)], DASHES[i % len(DASHES)]
        axes.plot(horizontal, vertical, color=colour, ls=dash, marker="o" if markers else None, ms=4, label=name)
        if bands and name in bands:
            low, high = (as_array(edge) for edge in bands[name])
            axes.fill_between(horizontal, low, high, color=colour, alpha=0.2, lw=0)
    axes.set(xscale=xscale, yscale=yscale)
    return _finish(figure, axes, alt, xlabel, ylabel, title, legend=len(series) > 1)


def bars(
    values: Mapping[str, Any],
    *,
    alt: str,
    labels: Sequence[str] | None = None,
    errors: Mapping[str, Any] | None = None,
    stacked: bool = False,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    size: Size = (6.4, 3.4),
) -> Picture:
    """One bar for each number of `values`; or, where its entries are sequences, one group of bars a position.

    `labels` name the positions, `errors` gives the half-length of error bars under the names of `values`; `stacked`
    puts the series of a position on top of each other.
    """
    series = {name: np.atleast_1d(as_array(v)) for name, v in values.items()}
    if all(len(v) == 1 for v in series.values()) and labels is None:
        spread = None if errors is None else {"": [float(errors[name]) for name in series]}
        labels, series, errors = list(series), {"": np.concatenate(list(series.values()))}, spread
    count = {len(v) for v in series.values()}
    if len(count) != 1 or (labels is not None and len(labels) not in count):
        raise ValueError(f"bars of lengths {sorted(count)} for {len(labels or ())} labels: expected the same number")
    positions = np.arange(count.pop())
    figure, axes = _figure(size)
    width = 0.8 if stacked else 0.8 / len(series)
    base = np.zeros(len(positions))
    for i, (name, heights) in enumerate(series.items()):
        shift = 0.0 if stacked else (i - (len(series) - 1) / 2) * width
        bar_errors = None if errors is None or name not in errors else as_array(errors[name])
        axes.bar(
            positions + shift, heights, width, bottom=base if stacked else 0.0, yerr=bar_errors, capsize=3,
            color=PALETTE[i % len(PALETTE)], label=name or None, edgecolor="white", linewidth=0.3,
        )  # fmt: skip
        base = base + heights
    if labels is not None:
        turn = 30 if sum(map(len, labels)) > 80 else 0
        axes.set_xticks(positions, labels, rotation=turn, ha="right" if turn else "center")
    axes.grid(axis="x", visible=False)
    return _finish(figure, axes, alt, xlabel, ylabel, title, legend=len(series) > 1)


def histograms(
    samples: Mapping[str, Any],
    *,
    alt: str,
    bins: int = 60,
    lines: Mapping[str, tuple[Any, Any]] | None = None,
    limits: tuple[float, float] | None = None,
    xlabel: str = "",
    ylabel: str = "density",
    title: str = "",
    size: Size = (6.4, 3.4),
) -> Picture:
    """Histograms of area 1 over common bins; `lines` adds curves (x, y), such as the densities they should follow."""
    arrays = {name: as_array(v).ravel() for name, v in samples.items()}
    low, high = limits or (min(a.min() for a in arrays.values()), max(a.max() for a in arrays.values()))
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    figure, axes = _figure(size)
    for i, (name, array) in enumerate(arrays.items()):
        colour = PALETTE[i % len(PALETTE)]
        weights = np.full(len(array), 1.0 / (len(array) * (edges[1] - edges[0])))  # area 1, even if some lie outside
        axes.hist(array, edges.tolist(), weights=weights, color=colour, alpha=0.35)
        axes.hist(array, edges.tolist(), weights=weights, color=colour, histtype="step", lw=1.4, label=name)
    for i, (name, (horizontal, vertical)) in enumerate((lines or {}).items()):
        axes.plot(as_array(horizontal), as_array(vertical), color="black", ls=DASHES[i % len(DASHES)], label=name)
    return _finish(figure, axes, alt, xlabel, ylabel, title, legend=len(arrays) + len(lines or {}) > 1)


# ------------------------------------------------------------------------------------------------------- in the plane


def scatter(
    points: Any | Mapping[str, Any],
    *,
    alt: str,
    ellipses: Mapping[str, Moments] | None = None,
    deviations: Sequence[float] = (1.0, 2.0),
    limits: tuple[float, float, float, float] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    size: Size = (4.6, 4.6),
) -> Picture:
    """Points (N, 2), or a mapping of such, in a plane with equal axes.

    `ellipses` maps names to (mean (2,), covariance (2, 2)): drawn at `deviations` standard deviations from the mean.
    `limits` = (left, right, bottom, top).
    """
    figure, axes = _plane(size, limits)
    groups = points if isinstance(points, Mapping) else {"": points}
    for i, (name, group) in enumerate(groups.items()):
        array = _planar(group, "points")
        alpha = float(np.clip(30 / math.sqrt(max(len(array), 1)), 0.15, 0.9))
        colour = PALETTE[i % len(PALETTE)]
        axes.scatter(array[:, 0], array[:, 1], s=9, color=colour, alpha=alpha, lw=0, label=name or None)
    _draw_ellipses(axes, ellipses or {}, deviations, first_colour=len(groups))
    return _finish(figure, axes, alt, xlabel, ylabel, title, legend=any(groups) or bool(ellipses))


def paths(
    tracks: Any | Mapping[str, Any],
    *,
    alt: str,
    points: Any = None,
    ellipses: Mapping[str, Moments] | None = None,
    deviations: Sequence[float] = (1.0, 2.0),
    limits: tuple[float, float, float, float] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    size: Size = (4.6, 4.6),
) -> Picture:
    """Chains in the plane, (F, 2) or (N, F, 2), or a mapping of such: a ring where each starts, a dot where it ends.

    `points` (N, 2) are drawn grey behind them; `ellipses` as in `scatter`.
    """
    figure, axes = _plane(size, limits)
    if points is not None:
        _draw_background(axes, _planar(points, "points"))
    groups = tracks if isinstance(tracks, Mapping) else {"": tracks}
    for i, (name, group) in enumerate(groups.items()):
        array = as_array(group)
        array = array[None] if array.ndim == 2 else array
        if array.ndim != 3 or array.shape[2] != 2:
            raise ValueError(f"paths have shape {as_array(group).shape}, expected (F, 2) or (N, F, 2)")
        colour = PALETTE[i % len(PALETTE)]
        for n, track in enumerate(array):
            axes.plot(*track.T, color=colour, lw=1.0, alpha=0.7, label=name if name and n == 0 else None)
        axes.scatter(array[:, 0, 0], array[:, 0, 1], s=22, facecolors="white", edgecolors=colour, zorder=3)
        axes.scatter(array[:, -1, 0], array[:, -1, 1], s=18, color=colour, lw=0, zorder=3)
    _draw_ellipses(axes, ellipses or {}, deviations, first_colour=len(groups))
    return _finish(figure, axes, alt, xlabel, ylabel, title, legend=any(groups) or bool(ellipses))


def vector_field(
    points: Any,
    vectors: Any,
    *,
    alt: str,
    samples: Any = None,
    limits: tuple[float, float, float, float] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    size: Size = (4.6, 4.6),
) -> Picture:
    """Arrows `vectors` (N, 2) at `points` (N, 2), such as a score; `samples` (M, 2) are drawn grey behind them."""
    figure, axes = _plane(size, limits)
    if samples is not None:
        _draw_background(axes, _planar(samples, "samples"))
    at, arrows = _planar(points, "points"), _planar(vectors, "vectors")
    if at.shape != arrows.shape:
        raise ValueError(f"{len(at)} points but {len(arrows)} vectors")
    axes.quiver(*at.T, *arrows.T, color=PALETTE[0], angles="xy", width=0.004)
    return _finish(figure, axes, alt, xlabel, ylabel, title, legend=False)


def heatmap(
    values: Any,
    *,
    alt: str,
    extent: tuple[float, float, float, float] | None = None,
    lines: Mapping[str, tuple[Any, Any]] | None = None,
    equal: bool = False,
    colour_label: str = "",
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    size: Size = (6.4, 3.6),
) -> Picture:
    """A density or table (rows, columns) as colours, row 0 at the bottom; `lines` draws curves (x, y) over it.

    `extent` = (left, right, bottom, top) of the area in data units.
    """
    array = as_array(values)
    if array.ndim != 2:
        raise ValueError(f"values have shape {array.shape}, expected (rows, columns)")
    figure, axes = _figure(size)
    shown = axes.imshow(array, origin="lower", extent=extent, aspect="equal" if equal else "auto", cmap="viridis")
    figure.colorbar(shown, ax=axes, label=colour_label)
    axes.grid(visible=False)
    for i, (name, (horizontal, vertical)) in enumerate((lines or {}).items()):
        axes.plot(as_array(horizontal), as_array(vertical), color="white", ls=DASHES[i % len(DASHES)], label=name)
    picture = _finish(figure, axes, alt, xlabel, ylabel, title, legend=False)
    if lines:  # on a dark plate, readable over every colour
        axes.legend(fontsize=9, frameon=True, facecolor="0.2", framealpha=0.7, labelcolor="white")
    return picture


# ------------------------------------------------------------------------------------------------------------ helpers


def _figure(size: Size, constrained: bool = True) -> tuple[Figure, Axes]:
    with style.context(["default", STYLE]):
        figure = Figure(figsize=size, dpi=DPI, layout="constrained" if constrained else None)
        return figure, figure.add_subplot()


def _plane(size: Size, limits: tuple[float, float, float, float] | None) -> tuple[Figure, Axes]:
    figure, axes = _figure(size)
    axes.set_aspect("equal", adjustable="datalim" if limits is None else "box")
    if limits is not None:
        axes.set(xlim=limits[:2], ylim=limits[2:])
    return figure, axes


def _planar(points: Any, name: str) -> np.ndarray:
    array = as_array(points)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"{name} have shape {array.shape}, expected (N, 2)")
    return array


def _draw_background(axes: Axes, points: np.ndarray) -> None:
    axes.scatter(points[:, 0], points[:, 1], s=6, color="0.6", alpha=0.5, lw=0)


def _draw_ellipses(axes: Axes, ellipses: Mapping[str, Moments], deviations: Sequence[float], first_colour: int) -> None:
    for i, (name, (mean, covariance)) in enumerate(ellipses.items(), start=first_colour):
        variances, directions = np.linalg.eigh(as_array(covariance))  # ascending: the last column is the long axis
        angle = math.degrees(math.atan2(directions[1, 1], directions[0, 1]))
        short, long = 2 * np.sqrt(np.maximum(variances, 0.0))
        for n, k in enumerate(deviations):
            label = name if n == 0 else None
            colour = PALETTE[i % len(PALETTE)]
            centre = tuple(as_array(mean))
            axes.add_patch(
                Ellipse(centre, k * long, k * short, angle=angle, fill=False, ec=colour, lw=1.6, label=label)
            )
    axes.autoscale_view()


def _finish(figure: Figure, axes: Axes, alt: str, xlabel: str, ylabel: str, title: str, legend: bool) -> Picture:
    with style.context(["default", STYLE]):
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.set_title(title, fontsize=11)
        if legend:
            axes.legend(fontsize=9)
        figure.draw_without_rendering()  # lay out once, so that every later drawing is the same
        figure.set_layout_engine("none")
    return Picture(figure, alt)
