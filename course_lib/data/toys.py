"""Small worlds where every question has an exact answer: the letter T, two points, a mixture of Gaussians, a spiral.

The plane's toys live roughly in [-1, 1]^2, are float64, and all are `gaussian.Mixture`s: `toy.sample(n, generator)`,
`toy.log_density(x, marginal)`, and the denoiser that is exactly right for them, `oracle.mixture_denoiser(toy)`.
"""

from __future__ import annotations

import math
from importlib.resources import files

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..gaussian import Mixture


def two_points() -> Mixture:
    """The smallest data set worth noising: (-1, 0) and (1, 0), equally likely, without any width."""
    half = torch.full((2,), 0.5, dtype=torch.float64)
    return Mixture(half, torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64), torch.zeros_like(half))


def mixture_2d() -> Mixture:
    """Three round bumps of different weight and width, with empty space between them."""
    return Mixture(
        weights=torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
        means=torch.tensor([[-0.7, -0.4], [0.7, -0.5], [0.1, 0.8]], dtype=torch.float64),
        stds=torch.tensor([0.2, 0.12, 0.08], dtype=torch.float64),
    )


def spiral_2d(parts: int = 200, turns: float = 1.75, width: float = 0.025) -> Mixture:
    """A spiral of radius 0.15 to 1 as `parts` equal Gaussians, evenly spaced along it: a density known exactly."""
    if parts < 2:
        raise ValueError(f"expected at least 2 parts, got {parts}")
    fine = np.linspace(0.0, 1.0, 20 * parts)
    radius, angle = 0.15 + 0.85 * fine, 2 * math.pi * turns * fine
    curve = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    even = np.linspace(0.0, length[-1], parts)
    means = np.stack([np.interp(even, length, coordinate) for coordinate in curve.T], axis=1)
    equal = torch.ones(parts, dtype=torch.float64)
    return Mixture(equal / parts, torch.from_numpy(means), width * equal)


def spiral(n: int, generator: torch.Generator) -> Tensor:
    """`n` draws from `spiral_2d()`, float64 (n, 2)."""
    return spiral_2d().sample(n, generator)


def letter_t() -> Tensor:
    """The drawn letter T, white (1) on black (-1), float32 (1, 1, 64, 64). Drawn by `course_staff.release.letter`."""
    with files("course_lib").joinpath("assets/letter_t.png").open("rb") as file, Image.open(file) as image:
        grey = np.asarray(image.convert("L"), dtype=np.float32)
    return torch.from_numpy(2 * grey / 255 - 1)[None, None]
