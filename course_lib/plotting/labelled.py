"""Points of the plane that are drawn as their label, a digit: readable without colours, too."""

from collections.abc import Mapping, Sequence
from typing import Any

from .canvas import Moments, Size, draw_ellipses, finish, new_plane, planar
from .picture import Picture, as_array

TEN = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#000000")


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
