"""A density that changes in time, with paths over it: time runs to the right, one column of colours a time."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.patheffects import Normal, Stroke

from .canvas import Size, finish, new_figure
from .picture import Picture, as_array

BRIGHT = ("#FFFFFF", "#E69F00", "#56B4E9")  # seen on every colour of the plate


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
    """`density` (rows, columns), row 0 at the bottom, each column scaled to its own largest value, over `extent`.

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
