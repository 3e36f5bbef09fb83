"""What a whole is made of, and how that changes: stacked parts in an order of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np

from .canvas import Size, finish, new_figure
from .picture import Picture, as_array


def stacked_shares(
    parts: Mapping[str, Any],
    *,
    alt: str,
    labels: Sequence[str] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    size: Size = (7.4, 3.6),
) -> Picture:
    """Columns of stacked parts: each of `parts` is a sequence of heights, one a column; `labels` name the columns.

    The first part is grey, the others run through one colour scale in their order (old to new, say). The names stand
    beside the columns, in the order in which the parts are stacked.
    """
    heights = {name: as_array(values) for name, values in parts.items()}
    lengths = {len(column) for column in heights.values()}
    if len(lengths) != 1 or (labels is not None and len(labels) not in lengths):
        raise ValueError(f"parts of lengths {sorted(lengths)} for {len(labels or ())} labels: expected the same number")
    figure, axes = new_figure(size)
    positions = np.arange(lengths.pop())
    base = np.zeros(len(positions))
    colours = ["0.72", *mpl.colormaps["viridis"](np.linspace(0.1, 0.95, max(len(heights) - 1, 1)))]
    for (name, column), colour in zip(heights.items(), colours, strict=False):
        axes.bar(positions, column, 0.8, bottom=base, color=colour, label=name, edgecolor="white", linewidth=0.5)
        base = base + column
    axes.set_xticks(positions, labels if labels is not None else [str(p) for p in positions])
    axes.grid(axis="x", visible=False)
    entries, names = axes.get_legend_handles_labels()
    axes.legend(entries[::-1], names[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9, frameon=False)
    return finish(figure, axes, alt, xlabel, ylabel, title, legend=False)
