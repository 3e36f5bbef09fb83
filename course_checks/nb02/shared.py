"""What several exercises of notebook 02 share: covariances and standard deviations to draw cases from."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ..contract import normal


def covariance(generator: Generator, d: int, size: float = 1.0) -> Tensor:
    """A well-conditioned covariance (d, d) with clear correlations; its eigenvalues lie around `size`."""
    root = normal(generator, d, d)
    cov = root @ root.T / d + 0.4 * torch.eye(d, dtype=torch.float64)
    return size * (cov + cov.T) / 2


def width(generator: Generator) -> float:
    """A standard deviation that is clearly not 1: from 1.25 to 2, with two decimals."""
    return round(float(1.25 + 0.75 * torch.rand((), generator=generator)), 2)
