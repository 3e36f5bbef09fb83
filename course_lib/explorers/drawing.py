"""Small pictures as SVG text, fast enough to be drawn anew at every move of a slider.

A `Plot` maps data to the pixels of one picture; the functions here return SVG elements, and `Plot.svg` puts them into
its frame. Lines and words take the colour of the page (`currentColor`), so every light or dark theme fits; the other
colours stand out from white and from near black by 3:1, and colour-blind readers can tell them apart.
"""

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from ..plotting.numbers import format_number
from ..plotting.picture import as_array

BLUE, ORANGE, GREEN, PINK, OCHRE = COLOURS = ("#2f7fd0", "#d55e00", "#009e73", "#c2679a", "#b98400")
PAGE = "currentColor"
DASHES = ("", "7 3", "2 3", "8 3 2 3")
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 40, 38  # pixels around the plotted area


@dataclass(frozen=True)
class Plot:
    """A plotted area of `width` x `height` pixels that shows `limits` = (left, right, bottom, top) in data units."""

    limits: tuple[float, float, float, float]
    width: int = 216
    height: int = 180

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels a data unit, horizontally and vertically."""
        left, right, bottom, top = self.limits
        return self.width / (right - left), self.height / (top - bottom)

    def pixels(self, x: Any, y: Any) -> np.ndarray:
        """Data coordinates, each (N,), as pixels (N, 2); what is far outside stays near, so that no number explodes."""
        across, up = self.scale
        horizontal = LEFT + (as_array(x) - self.limits[0]) * across
        vertical = TOP + (self.limits[3] - as_array(y)) * up
        points = np.stack(np.broadcast_arrays(horizontal, vertical), axis=-1).reshape(-1, 2)
        return np.clip(points, -4000.0, 4000.0)

    def svg(
        self,
        content: Sequence[str],
        *,
        alt: str,
        title: str = "",
        xlabel: str = "",
        ylabel: str = "",
        key: Mapping[str, tuple[str, str]] | None = None,
    ) -> str:
        """The whole picture: frame, ticks, labels, and `content` cut off at the frame.

        `key` explains lines above the frame: name -> (colour, dash pattern). `alt` says what the picture shows.
        """
        total = LEFT + self.width + RIGHT, TOP + self.height + BOTTOM
        box = f"{LEFT} {TOP} {self.width} {self.height}"
        parts = [
            f'<svg x="{LEFT}" y="{TOP}" width="{self.width}" height="{self.height}" viewBox="{box}">',
            *content,
            "</svg>",
            f'<rect x="{LEFT}" y="{TOP}" width="{self.width}" height="{self.height}" fill="none" stroke="{PAGE}" '
            'stroke-opacity=".45"/>',
            *self._ticks(),
            text(LEFT, 14, title, anchor="start", weight=600),
            text(LEFT + self.width / 2, total[1] - 4, xlabel),
            text(12, TOP + self.height / 2, ylabel, turn=-90),
            *_key(key or {}),
        ]
        return picture(total, parts, alt)

    def _ticks(self) -> list[str]:
        left, right, bottom, top = self.limits
        parts = []
        for value in ticks(left, right):
            x = self.pixels(value, bottom)[0, 0]
            parts.append(f'<path d="M{x:.1f} {TOP + self.height}v4" stroke="{PAGE}" stroke-opacity=".6"/>')
            parts.append(text(x, TOP + self.height + 16, format_number(value), size=11))
        for value in ticks(bottom, top):
            y = self.pixels(left, value)[0, 1]
            parts.append(f'<path d="M{LEFT} {y:.1f}h-4" stroke="{PAGE}" stroke-opacity=".6"/>')
            parts.append(text(LEFT - 7, y + 4, format_number(value), anchor="end", size=11))
        return parts


def picture(size: tuple[float, float], parts: Sequence[str], alt: str) -> str:
    """SVG elements as one picture of `size` pixels that carries its alternative text and shrinks on a narrow page."""
    if not alt.strip():
        raise ValueError("alt is empty: a picture needs one sentence for readers who cannot see it")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{html.escape(alt, quote=True)}" '
        f'viewBox="0 0 {size[0]:.0f} {size[1]:.0f}" width="{size[0]:.0f}" height="{size[1]:.0f}" '
        'style="max-width:100%;height:auto;display:block" font-family="system-ui, sans-serif" font-size="12" '
        f'fill="{PAGE}">{"".join(parts)}</svg>'
    )


@cache
def ticks(low: float, high: float, about: int = 5) -> tuple[float, ...]:
    """Round numbers from `low` to `high`, 1, 2 or 5 times a power of ten apart, about `about` of them."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda m: abs(math.log(m * power / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(round(step * i, 10) for i in range(first, last + 1))


def text(
    x: float, y: float, words: str, *, anchor: str = "middle", size: int = 12, weight: int = 400, turn: float = 0.0
) -> str:
    """Words at a point in pixels."""
    if not words:
        return ""
    turned = f' transform="rotate({turn:g} {x:.1f} {y:.1f})"' if turn else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}"{turned}>'
        f"{html.escape(words)}</text>"
    )


def _key(entries: Mapping[str, tuple[str, str]]) -> list[str]:
    """Line samples with their names, side by side under the title."""
    x, parts = float(LEFT), []
    for name, (colour, dash) in entries.items():
        parts.append(f'<path d="M{x:.1f} 28h18" stroke="{colour}" stroke-width="3" stroke-dasharray="{dash}"/>')
        parts.append(text(x + 22, 32, name, anchor="start", size=11))
        x += 32 + 6.1 * len(name)
    return parts


def line(
    plot: Plot, x: Any, y: Any, colour: str = BLUE, *, dash: str = "", width: float = 2.0, opacity: float = 1.0
) -> str:
    """A line through (x, y), each (N,); points that are not finite leave a gap."""
    x, y = np.broadcast_arrays(as_array(x), as_array(y))
    finite = np.isfinite(x) & np.isfinite(y)
    points = plot.pixels(np.where(finite, x, 0.0), np.where(finite, y, 0.0))
    steps, pen = [], "M"
    for (across, down), seen in zip(points.tolist(), finite.ravel().tolist(), strict=True):
        if seen:
            steps.append(f"{pen}{across:.1f} {down:.1f}")
        pen = "L" if seen else "M"
    return (
        f'<path class="line" d="{"".join(steps)}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
        f'stroke-dasharray="{dash}" stroke-opacity="{opacity:g}" stroke-linejoin="round"/>'
    )


def dots(plot: Plot, points: Any, colour: str = BLUE, *, size: float = 4.0, opacity: float = 0.8) -> str:
    """Points (N, 2) as round dots of `size` pixels: one path of N strokes without length."""
    array = as_array(points)
    steps = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in plot.pixels(array[:, 0], array[:, 1]).tolist())
    return (
        f'<path class="dots" d="{steps}" fill="none" stroke="{colour}" stroke-width="{size:g}" '
        f'stroke-linecap="round" stroke-opacity="{opacity:g}"/>'
    )


def ellipse(plot: Plot, mean: Any, map: Any, deviations: float = 1.0, colour: str = ORANGE, width: float = 2.0) -> str:
    """The image of the circle of radius `deviations` under e -> map e + mean: `map` (2, 2), on a plot of equal scales.

    Its half axes are `deviations` times the singular values of `map`, along the left singular vectors. Where it is
    flat it is drawn half a pixel thick, because SVG draws no ellipse of thickness 0.
    """
    directions, lengths, _ = np.linalg.svd(as_array(map))
    centre = plot.pixels(*as_array(mean))[0]
    radii = np.maximum(lengths * deviations * plot.scale[0], 0.25)
    angle = -math.degrees(math.atan2(directions[1, 0], directions[0, 0]))
    return (
        f'<ellipse cx="{centre[0]:.2f}" cy="{centre[1]:.2f}" rx="{radii[0]:.2f}" ry="{radii[1]:.2f}" '
        f'transform="rotate({angle:.2f} {centre[0]:.2f} {centre[1]:.2f})" fill="none" stroke="{colour}" '
        f'stroke-width="{width:g}"/>'
    )


def arrows(plot: Plot, starts: Any, ends: Any, colour: str = PAGE, *, width: float = 1.5, head: float = 7.0) -> str:
    """Arrows from `starts` to `ends`, each (N, 2), with heads of at most `head` pixels."""
    a, b = (plot.pixels(as_array(p)[:, 0], as_array(p)[:, 1]) for p in (starts, ends))
    along = b - a
    length = np.linalg.norm(along, axis=1, keepdims=True)
    unit = along / np.maximum(length, 1e-9)
    size, across = np.minimum(head, 0.5 * length), unit[:, ::-1] * [-1.0, 1.0]
    wings = b - size * unit + 0.5 * size * across, b - size * unit - 0.5 * size * across
    rows = np.concatenate([a, b, wings[0], b, wings[1]], axis=1).tolist()
    steps = "".join(
        "M{:.1f} {:.1f}L{:.1f} {:.1f}M{:.1f} {:.1f}L{:.1f} {:.1f}L{:.1f} {:.1f}".format(*row) for row in rows
    )
    return f'<path class="arrows" d="{steps}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'


def levels(values: Any, plot: Plot) -> str:
    """Values (rows, columns) in [0, 1], row 0 at the bottom, as colours filling the plot."""
    array = as_array(values)[::-1]
    coloured = _viridis()[np.clip(array * 255, 0, 255).round().astype(np.uint8)]
    return embed(coloured, LEFT, TOP, plot.width, plot.height, smooth=True)


def embed(pixels: np.ndarray, x: float, y: float, width: float, height: float, smooth: bool = False) -> str:
    """Pixels, uint8 (H, W) or (H, W, 3), as an SVG image at (x, y) of `width` x `height` pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    look = "" if smooth else "image-rendering:pixelated"
    return (
        f'<image x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" preserveAspectRatio="none" decoding="sync" '
        f'style="{look}" href="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"/>'
    )


@cache
def _viridis() -> np.ndarray:
    """The colours of `plotting.heatmap`, (256, 3) uint8."""
    from matplotlib import colormaps

    return (255 * colormaps["viridis"](np.arange(256))[:, :3]).round().astype(np.uint8)


def table(rows: Sequence[Sequence[str]], caption: str) -> str:
    """Words and numbers in rows; the first row and the first column are headings."""
    cell = 'style="padding:1px 12px 1px 0;text-align:left;font-variant-numeric:tabular-nums;white-space:nowrap"'
    head = "".join(f'<th scope="col" {cell}>{html.escape(word)}</th>' for word in rows[0])
    body = "".join(
        f'<tr><th scope="row" {cell}>{html.escape(row[0])}</th>'
        + "".join(f"<td {cell}>{html.escape(word)}</td>" for word in row[1:])
        + "</tr>"
        for row in rows[1:]
    )
    return (
        '<table style="margin:12px 8px;border-collapse:collapse;line-height:1.5;color:inherit;background:transparent">'
        f'<caption style="text-align:left;color:inherit">{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
