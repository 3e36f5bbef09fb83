"""What several exercises of notebook 03 share: numbers drawn from a range, and pairs of marginals as recipes."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from course_lib.schedule import Marginal

from ..contract import ONE, Call


def between(generator: Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def number(generator: Generator, low: float, high: float) -> float:
    return round(float(between(generator, low, high)), 3)


def marginal_at(log_snr: Tensor) -> Call:
    """The variance-preserving marginal(s) with this log-SNR."""
    return Call(Marginal, torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt())


def pair(g: Generator, *shape: int) -> tuple[Call, Call]:
    """A less and a more noisy marginal of this shape, both variance preserving."""
    later = between(g, -2.0, 1.0, *shape)
    earlier = later + between(g, 0.6, 2.0, *shape)
    return marginal_at(earlier), marginal_at(later)


def exploding(g: Generator) -> tuple[Call, Call]:
    """A pair in which the picture keeps its size, alpha = 1, while sigma grows."""
    sigma = between(g, 0.4, 0.9)
    return Call(Marginal, ONE, sigma), Call(Marginal, ONE, sigma + between(g, 0.3, 0.9))


def neither(g: Generator) -> tuple[Call, Call]:
    """A pair that keeps nothing: alpha falls while sigma rises, along a straight line."""
    t = between(g, 0.5, 0.7)
    return Call(Marginal, 1.2 - t, t - 0.2), Call(Marginal, 1 - t, t)
