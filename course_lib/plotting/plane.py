"""Figures of the plane: points, paths, arrows, colours; a density that changes in time."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.patheffects import Normal, Stroke

from .canvas import (
    DASHES,
    PALETTE,
    Moments,
    Size,
    draw_background,
    draw_ellipses,
    finish,
    new_figure,
    new_plane,
    planar,
)
from .picture import Picture, as_array

TEN = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#000000")
BRIGHT = ("#FFFFFF", "#E69F00", "#56B4E9")  # seen on every colour of a density


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
    figure, axes = new_plane(size, limits)
    groups = points if isinstance(points, Mapping) else {"": points}
    for i, (name, group) in enumerate(groups.items()):
        array = planar(group, "points")
        alpha = float(np.clip(30 / math.sqrt(max(len(array), 1)), 0.15, 0.9))
        colour = PALETTE[i % len(PALETTE)]
        axes.scatter(array[:, 0], array[:, 1], s=9, color=colour, alpha=alpha, lw=0, label=name or None)
    draw_ellipses(axes, ellipses or {}, deviations, first_colour=len(groups))
    return finish(figure, axes, alt, xlabel, ylabel, title, legend=any(groups) or bool(ellipses))


def labelled_points(
    points: Any,
    labels: Any,
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
    """Points (N, 2), each drawn as its label (N,), whole numbers 0 to 9, in a colour of its own (Tol 2021, "muted").

    `ellipses` maps names to (mean (2,), covariance (2, 2)); `limits` = (left, right, bottom, top).
    """
    figure, axes = new_plane(size, limits)
    at, names = planar(points, "points"), as_array(labels).astype(int)
    if names.shape != (len(at),):
        raise ValueError(f"{len(at)} points but labels of shape {names.shape}")
    for label, colour in enumerate(TEN):
        mine = at[names == label]
        axes.scatter(mine[:, 0], mine[:, 1], s=22, marker=f"${label}$", color=colour, lw=0)
    draw_ellipses(axes, ellipses or {}, deviations, first_colour=1)
    return finish(figure, axes, alt, xlabel, ylabel, title, legend=bool(ellipses))


def paths(
    tracks: Any | Mapping[str, Any],
    *,
    alt: str,
    points: Any = None,
    ellipses: Mapping[str, Moments] | None = None,
    deviations: Sequence[float] = (1.0, 2.0),
    widths: Mapping[str, float] | None = None,
    limits: tuple[float, float, float, float] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    size: Size = (4.6, 4.6),
) -> Picture:
    """Chains in the plane, (F, 2) or (N, F, 2), or a mapping of such: a ring where each starts, a dot where it ends.

    `points` (N, 2) are drawn grey behind them; `ellipses` as in `scatter`; `widths` are the lines' in points (else 1).
    """
    figure, axes = new_plane(size, limits)
    if points is not None:
        draw_background(axes, planar(points, "points"))
    groups = tracks if isinstance(tracks, Mapping) else {"": tracks}
    for i, (name, group) in enumerate(groups.items()):
        array = as_array(group)
        array = array[None] if array.ndim == 2 else array
        if array.ndim != 3 or array.shape[2] != 2:
            raise ValueError(f"paths have shape {as_array(group).shape}, expected (F, 2) or (N, F, 2)")
        colour = PALETTE[i % len(PALETTE)]
        for n, track in enumerate(array):
            label, width = name if name and n == 0 else None, (widths or {}).get(name, 1.0)
            axes.plot(*track.T, color=colour, lw=width, alpha=0.7, label=label)
        axes.scatter(array[:, 0, 0], array[:, 0, 1], s=22, facecolors="white", edgecolors=colour, zorder=3)
        axes.scatter(array[:, -1, 0], array[:, -1, 1], s=18, color=colour, lw=0, zorder=3)
    draw_ellipses(axes, ellipses or {}, deviations, first_colour=len(groups))
    return finish(figure, axes, alt, xlabel, ylabel, title, legend=any(groups) or bool(ellipses))


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
    figure, axes = new_plane(size, limits)
    if samples is not None:
        draw_background(axes, planar(samples, "samples"))
    at, arrows = planar(points, "points"), planar(vectors, "vectors")
    if at.shape != arrows.shape:
        raise ValueError(f"{len(at)} points but {len(arrows)} vectors")
    axes.quiver(*at.T, *arrows.T, color=PALETTE[0], angles="xy", width=0.004)
    return finish(figure, axes, alt, xlabel, ylabel, title, legend=False)


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
    figure, axes = new_figure(size)
    shown = axes.imshow(array, origin="lower", extent=extent, aspect="equal" if equal else "auto", cmap="viridis")
    figure.colorbar(shown, ax=axes, label=colour_label)
    axes.grid(visible=False)
    for i, (name, (horizontal, vertical)) in enumerate((lines or {}).items()):
        axes.plot(as_array(horizontal), as_array(vertical), color="white", ls=DASHES[i % len(DASHES)], label=name)
    picture = finish(figure, axes, alt, xlabel, ylabel, title, legend=False)
    if lines:  # on a dark plate, readable over every colour
        axes.legend(fontsize=9, frameon=True, facecolor="0.2", framealpha=0.7, labelcolor="white")
    return picture


def ribbon(
    density: Any,
    *,
    alt: str,
    extent: tuple[float, float, float, float],
    tracks: Mapping[str, tuple[Any, Any]] | None = None,
    xlabel: str = "t",
    ylabel: str = "x",
    title: str = "",
    size: Size = (6.8, 3.6),
) -> Picture:
    """A density that changes in time, which runs to the right, with paths over it.

    `density` (rows, columns), row 0 at the bottom, is drawn with each column scaled to its own largest value.
    `extent` = (left, right, bottom, top) in data units. `tracks` maps names to (times (F,), positions (F, N)): N paths
    of one colour.
    """
    plate = as_array(density)
    if plate.ndim != 2:
        raise ValueError(f"the density has shape {plate.shape}, expected (rows, columns)")
    plate = plate / np.maximum(plate.max(axis=0, keepdims=True), 1e-300)
    figure, axes = new_figure(size)
    axes.imshow(plate, origin="lower", extent=extent, aspect="auto", cmap="viridis", vmin=0, vmax=1.15)
    axes.grid(visible=False)
    axes.set(xlim=extent[:2], ylim=extent[2:])
    for i, (name, (times, positions)) in enumerate((tracks or {}).items()):
        horizontal, vertical = as_array(times), as_array(positions)
        if vertical.ndim != 2 or len(vertical) != len(horizontal):
            raise ValueError(f"tracks {name!r} have shape {vertical.shape} at {len(horizontal)} times, expected (F, N)")
        colour, width = BRIGHT[i % len(BRIGHT)], 1.3 if i == 0 else 0.9
        for n, track in enumerate(vertical.T):
            axes.plot(
                horizontal, track, color=colour, lw=width, label=name if n == 0 else None,
                path_effects=[Stroke(linewidth=2.4, foreground="0.15", alpha=0.6), Normal()],
            )  # fmt: skip
    picture = finish(figure, axes, alt, xlabel, ylabel, title, legend=False)
    if tracks:
        axes.legend(
            fontsize=9, frameon=True, facecolor="0.2", framealpha=0.8, labelcolor="white", loc="lower left", ncols=2
        )
    return picture
