"""Figures over an axis: curves, bars, stacked shares, histograms."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import NullLocator

from .canvas import DASHES, PALETTE, Size, finish, new_figure
from .picture import Picture, as_array


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
    ylim: tuple[float, float] | None = None,
    markers: bool = False,
    xticks: Sequence[float] | None = None,
    yticks: Sequence[float] | None = None,
    size: Size = (6.4, 3.4),
) -> Picture:
    """Lines named by `series`: each value is y over the common `x` (or over 0, 1, 2, ...), or its own pair (x, y).

    `bands` shades between a low and a high line around the series of the same name. `ylim` sets the range of y, so that
    several figures can share it. `xticks` and `yticks` are the only marks on their axis, as on a logarithmic one that
    spans less than a decade or two.
    """
    figure, axes = new_figure(size)
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
    axes.set(xscale=xscale, yscale=yscale, ylim=ylim)
    for axis, ticks in ((axes.xaxis, xticks), (axes.yaxis, yticks)):
        if ticks is not None:
            axis.set_ticks(list(ticks), labels=[f"{tick:g}" for tick in ticks])
            axis.set_minor_locator(NullLocator())
    return finish(figure, axes, alt, xlabel, ylabel, title, legend=len(series) > 1)


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
    figure, axes = new_figure(size)
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
    return finish(figure, axes, alt, xlabel, ylabel, title, legend=len(series) > 1)


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
    figure, axes = new_figure(size)
    for i, (name, array) in enumerate(arrays.items()):
        colour = PALETTE[i % len(PALETTE)]
        weights = np.full(len(array), 1.0 / (len(array) * (edges[1] - edges[0])))  # area 1, even if some lie outside
        axes.hist(array, edges.tolist(), weights=weights, color=colour, alpha=0.35)
        axes.hist(array, edges.tolist(), weights=weights, color=colour, histtype="step", lw=1.4, label=name)
    for i, (name, (horizontal, vertical)) in enumerate((lines or {}).items()):
        axes.plot(as_array(horizontal), as_array(vertical), color="black", ls=DASHES[i % len(DASHES)], label=name)
    return finish(figure, axes, alt, xlabel, ylabel, title, legend=len(arrays) + len(lines or {}) > 1)
