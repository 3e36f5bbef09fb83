"""Explorer: a Gaussian as an affine map of standard noise, x = A e + m."""

import math
from functools import cache
from typing import Any

import numpy as np
import torch

from ..gaussian import Gaussian
from ..plotting.numbers import format_number
from .drawing import BLUE, COLOURS, GREEN, ORANGE, PAGE, Plot, arrows, dots, ellipse, line, table
from .panel import Explorer, slider

LIMIT = 4.0
CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 49)), np.sin(np.linspace(0, 2 * np.pi, 49))])
MAPPED = {"1 and 2 std": (ORANGE, ""), "columns of A: first": (BLUE, ""), "second": (GREEN, "")}


@cache
def standard_noise(count: int = 400) -> np.ndarray:
    """The same standard normal points for every A and m, (count, 2)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 2, generator=generator, dtype=torch.float64).numpy()


def turn(A: np.ndarray, degrees: float) -> np.ndarray:
    """A R, with R the rotation by this angle: another map (2, 2) of the same Gaussian."""
    angle = math.radians(degrees)
    return A @ np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def render_noise(degrees: float) -> str:
    """SVG: the standard noise e, turned by `degrees`, with the circles of radius 1 and 2; a colour a quarter."""
    plot = _plane()
    e, rotation = standard_noise(), turn(np.eye(2), degrees)
    content = [*_cloud(plot, e @ rotation.T)]
    content += [ellipse(plot, (0, 0), np.eye(2), radius, ORANGE, 3 - radius) for radius in (1, 2)]
    content += _unit_arrows(plot, np.eye(2), np.zeros(2))
    alt = f"Standard noise: a round cloud of {len(e)} points, turned by {degrees:g} degrees; circles of radius 1 and 2"
    return plot.svg(content, alt=alt, title="e, standard noise", key={"radius 1 and 2": (ORANGE, "")})


def render_image(A: np.ndarray, m: np.ndarray, degrees: float = 0.0) -> str:
    """SVG: the points A e + m, `A` (2, 2), `m` (2,), the ellipses at 1 and 2 standard deviations, and A's columns."""
    plot = _plane()
    lengths = np.linalg.svd(A, compute_uv=False)
    content = [*_cloud(plot, standard_noise() @ turn(A, degrees).T + m)]
    content += [ellipse(plot, m, A, radius, ORANGE, 3 - radius) for radius in (1, 2)]
    content += _unit_arrows(plot, A, m)
    alt = (
        f"x = A e + m: the cloud is now an ellipse around ({format_number(m[0])}, {format_number(m[1])}) with standard "
        f"deviations {lengths[0]:.2f} and {lengths[1]:.2f} along its axes"
    )
    return plot.svg(content, alt=alt, title="x = A e + m", key=MAPPED)


def render_moments(A: np.ndarray, m: np.ndarray, degrees: float = 0.0) -> str:
    """HTML: mean and covariance, derived (m, A A^T) and measured in the points shown."""
    law = Gaussian(torch.as_tensor(turn(A, degrees)), torch.as_tensor(m))
    points = law.sample(torch.as_tensor(standard_noise()))
    exact = [*law.mean.tolist(), *_three(law.cov)]
    seen = [*points.mean(0).tolist(), *_three(torch.cov(points.T))]
    names = ["mean of x₁", "mean of x₂", "variance of x₁", "variance of x₂", "covariance"]
    rows = [["", "m and A Aᵀ", f"measured ({len(points)} points)"]]
    rows += [[name, _two(a), _two(b)] for name, a, b in zip(names, exact, seen, strict=True)]
    lengths = np.linalg.svd(A, compute_uv=False)
    rows.append(["std along the axes", f"{lengths[0]:.2f} and {lengths[1]:.2f}", ""])
    rows.append(["determinant of A", _two(float(np.linalg.det(A))), ""])
    inside = float((np.linalg.norm(standard_noise(), axis=1) <= 1).mean())  # whatever A is
    rows.append(["noise inside the unit circle", f"{100 * (1 - math.exp(-0.5)):.0f} %", f"{100 * inside:.0f} %"])
    return table(rows, "Mean and covariance, derived and measured")


def affine_gaussian() -> Explorer:
    """Sliders for A (2 x 2) and m: circle to ellipse, the same noise points mapped, mean and covariance.

    "turn the noise" puts a rotation before A: the points move, the Gaussian stays.
    """
    controls = {
        "a11": slider("A₁₁", 1.2, -2, 2),
        "a12": slider("A₁₂", 0.6, -2, 2),
        "a21": slider("A₂₁", 0.2, -2, 2),
        "a22": slider("A₂₂", 0.7, -2, 2),
        "m1": slider("m₁", 0.5, -2, 2),
        "m2": slider("m₂", 0.0, -2, 2),
        "turn": slider("turn the noise, °", 0, 0, 360, 1, ".0f"),
    }

    def draw(v: dict[str, Any]) -> dict[str, str]:
        A, m = np.array([[v["a11"], v["a12"]], [v["a21"], v["a22"]]]), np.array([v["m1"], v["m2"]])
        return {
            "noise": render_noise(v["turn"]),
            "mapped": render_image(A, m, v["turn"]),
            "moments": render_moments(A, m, v["turn"]),
        }

    return Explorer("a Gaussian as an affine map of standard noise", controls, draw)


def _plane() -> Plot:
    return Plot((-LIMIT, LIMIT, -LIMIT, LIMIT), 300, 300)


def _cloud(plot: Plot, points: np.ndarray) -> list[str]:
    """One colour for each quarter that the noise came from, before it was turned; and the axes of the plane."""
    e = standard_noise()
    quarter = (e[:, 0] > 0) * 2 + (e[:, 1] > 0)
    cross = [line(plot, x, y, PAGE, width=1, opacity=0.3) for x, y in (((-9, 9), (0, 0)), ((0, 0), (-9, 9)))]
    colours = (COLOURS[3], COLOURS[4], BLUE, GREEN)
    return cross + [dots(plot, points[quarter == q], colour, opacity=0.8) for q, colour in enumerate(colours)]


def _unit_arrows(plot: Plot, A: np.ndarray, m: np.ndarray) -> list[str]:
    """What becomes of the two unit vectors: the columns of A, starting at m."""
    return [
        arrows(plot, m[None], (m + A[:, i])[None], colour, width=3.5, head=11) for i, colour in enumerate((BLUE, GREEN))
    ]


def _three(cov: torch.Tensor) -> list[float]:
    return [float(cov[0, 0]), float(cov[1, 1]), float(cov[0, 1])]


def _two(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")
