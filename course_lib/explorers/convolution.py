"""Explorer: adding Gaussian noise convolves the density with a Gaussian."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

from .. import oracle
from ..data import toys
from ..gaussian import Mixture
from ..schedule import Marginal
from .drawing import BLUE, DASHES, ORANGE, PAGE, Plot, arrows, dots, levels, line
from .panel import Explorer, choice, log_slider, slider, tick

LIMIT = 2.0
GRID = np.linspace(-LIMIT, LIMIT, 121)
POINTS = 500
DATA: dict[str, Callable[[], Mixture]] = {
    "two points": toys.two_points,
    "three bumps": toys.mixture_2d,
    "spiral": toys.spiral_2d,
}


@cache
def _law(data: str) -> Mixture:
    return DATA[data]()


@cache
def _draws(data: str) -> tuple[np.ndarray, np.ndarray]:
    """Clean points of `data` and one standard noise for each, (POINTS, 2), the same ones at every sigma."""
    generator = torch.Generator().manual_seed(0)
    clean = _law(data).sample(POINTS, generator)
    return clean.numpy(), torch.randn(clean.shape, generator=generator, dtype=clean.dtype).numpy()


def density(data: str, sigma: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Density of x_0 + sigma noise on the grid of `x` (columns) and `y` (rows): (len(y), len(x)).

    Round Gaussians factor into their two coordinates, so a grid of R x C points costs R + C exponentials a component
    and one product of matrices.
    """
    law = _law(data)
    variances = law.stds.numpy() ** 2 + sigma**2
    across, up = (
        np.exp(-0.5 * (at[:, None] - law.means[:, i].numpy()) ** 2 / variances) / np.sqrt(2 * math.pi * variances)
        for i, at in enumerate((x, y))
    )
    return np.asarray((up * law.weights.numpy()) @ across.T)


def render_points(data: str, sigma: float) -> str:
    """SVG: clean points (page colour) and the same points with noise (blue)."""
    clean, noise = _draws(data)
    plot = _plane()
    content = [dots(plot, clean + sigma * noise, BLUE, opacity=0.7), dots(plot, clean, PAGE, size=3, opacity=0.8)]
    alt = (
        f"{POINTS} points of the data ({data}), and the same points with noise of standard deviation {sigma:.3g} added"
    )
    key = {"x₀": (PAGE, ""), "x₀ + σ ε": (BLUE, "")}
    return plot.svg(content, alt=alt, title=f"Points, σ = {sigma:.3g}", key=key)


def render_density(data: str, sigma: float, cut: float, score: bool = False) -> str:
    """SVG: the density of x_0 + sigma noise as colours, the height of the cut, and on request the score as arrows."""
    values = density(data, sigma, GRID, GRID)
    plot = _plane()
    content = [levels(values / values.max(), plot), line(plot, (-LIMIT, LIMIT), (cut, cut), "#ffffff", dash="6 4")]
    if score:
        content.append(_score_arrows(plot, data, sigma))
    words = ", with arrows of the score pointing uphill" if score else ""
    alt = f"Density of the noised data ({data}), bright where it is high; its peak is {values.max():.3g}{words}"
    return plot.svg(content, alt=alt, title=f"Their density (peak {values.max():.3g})")


def render_cut(data: str, sigma: float, cut: float) -> str:
    """SVG: the density along the line x2 = `cut`, beside the Gaussian of standard deviation sigma it was blurred with.

    Both are divided by their peaks: shapes are compared, not heights.
    """
    x = np.linspace(-LIMIT, LIMIT, 401)
    values = density(data, sigma, x, np.array([cut]))[0]
    plot = Plot((-LIMIT, LIMIT, 0.0, 1.1), 300, 180)
    kernel = np.exp(-0.5 * (x / sigma) ** 2)
    content = [line(plot, x, kernel, ORANGE, dash=DASHES[1]), line(plot, x, values / max(values.max(), 1e-300), BLUE)]
    key = {"density": (BLUE, ""), "the noise alone": (ORANGE, DASHES[1])}
    peaks = int(np.sum((values[1:-1] > values[:-2]) & (values[1:-1] >= values[2:])))
    many = "1 peak" if peaks == 1 else f"{peaks} peaks"
    alt = f"Density along the line x2 = {cut:.2f}: {many}, beside the Gaussian of the noise"
    return plot.svg(content, alt=alt, title="Along the dashed line, peak = 1", xlabel="x₁", key=key)


def noise_as_convolution() -> Explorer:
    """sigma on two points, three bumps or a spiral: the points wander, their density is blurred by a Gaussian."""
    controls = {
        "data": choice("data", list(DATA)),
        "sigma": log_slider("σ", 0.2, -1.7, 0.18),
        "cut": slider("height of the cut", 0.0, -1.5, 1.5),
        "score": tick("arrows of the score, ∇ log density"),
    }

    def draw(v: dict[str, Any]) -> dict[str, str]:
        data, sigma = v["data"], v["sigma"]
        return {
            "points": render_points(data, sigma),
            "density": render_density(data, sigma, v["cut"], v["score"]),
            "cut": render_cut(data, sigma, v["cut"]),
        }

    return Explorer("adding noise blurs the density", controls, draw)


def _plane() -> Plot:
    return Plot((-LIMIT, LIMIT, -LIMIT, LIMIT), 300, 300)


def _score_arrows(plot: Plot, data: str, sigma: float) -> str:
    """The score times sigma**2, which points at the mean of x_0 given x_t, at 40% of its length."""
    at = np.stack(np.meshgrid(*[np.linspace(-1.8, 1.8, 13)] * 2), axis=-1).reshape(-1, 2)
    level = Marginal(torch.ones((), dtype=torch.float64), torch.tensor(sigma, dtype=torch.float64))
    score = oracle.mixture_score(_law(data), torch.as_tensor(at), level).numpy()
    return arrows(plot, at, at + 0.4 * sigma**2 * score, "#ffffff", width=1.3, head=6)
