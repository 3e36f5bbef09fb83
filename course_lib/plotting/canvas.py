"""What every kind of figure shares: the canvas, the palette, points and ellipses in a plane, the last touches."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from .picture import DPI, STYLE, Picture, as_array

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 2)), "-")
Size = tuple[float, float]  # inches, width and height
Moments = tuple[Any, Any]  # mean (2,) and covariance (2, 2) of a Gaussian


def new_figure(size: Size, constrained: bool = True) -> tuple[Figure, Axes]:
    with style.context(["default", STYLE]):
        figure = Figure(figsize=size, dpi=DPI, layout="constrained" if constrained else None)
        return figure, figure.add_subplot()


def new_plane(size: Size, limits: tuple[float, float, float, float] | None) -> tuple[Figure, Axes]:
    figure, axes = new_figure(size)
    axes.set_aspect("equal", adjustable="datalim" if limits is None else "box")
    if limits is not None:
        axes.set(xlim=limits[:2], ylim=limits[2:])
    return figure, axes


def planar(points: Any, name: str) -> np.ndarray:
    array = as_array(points)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"{name} have shape {array.shape}, expected (N, 2)")
    return array


def draw_background(axes: Axes, points: np.ndarray) -> None:
    axes.scatter(points[:, 0], points[:, 1], s=6, color="0.6", alpha=0.5, lw=0)


def draw_ellipses(axes: Axes, ellipses: Mapping[str, Moments], deviations: Sequence[float], first_colour: int) -> None:
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


def finish(figure: Figure, axes: Axes, alt: str, xlabel: str, ylabel: str, title: str, legend: bool) -> Picture:
    with style.context(["default", STYLE]):
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.set_title(title, fontsize=11)
        if legend:
            axes.legend(fontsize=9)
        figure.draw_without_rendering()  # lay out once, so that every later drawing is the same
        figure.set_layout_engine("none")
    return Picture(figure, alt)
