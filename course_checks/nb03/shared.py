"""What several exercises of notebook 03 share."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from course_lib.schedule import Marginal

from ..contract import ONE, Call


def between(generator: Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def number(generator: Generator, low: float, high: float) -> float:
    return round(float(between(generator, low, high)), 3)


def levels(later: Tensor, before: Tensor) -> tuple[Call, Call]:
    """Two variance-preserving marginals: of log-SNR `later`, and of one higher by `before`."""
    return tuple(Call(Marginal, torch.sigmoid(at).sqrt(), torch.sigmoid(-at).sqrt()) for at in (later + before, later))  # type: ignore[return-value]


def pair(g: Generator, *shape: int) -> tuple[Call, Call]:
    return levels(between(g, -2.0, 1.0, *shape), between(g, 0.6, 2.0, *shape))


def exploding(g: Generator) -> tuple[Call, Call]:
    sigma = between(g, 0.4, 0.9)
    return Call(Marginal, ONE, sigma), Call(Marginal, ONE, sigma + between(g, 0.3, 0.9))


def neither(g: Generator) -> tuple[Call, Call]:
    """A pair that keeps nothing: alpha falls while sigma rises, along a straight line."""
    t = between(g, 0.5, 0.7)
    return Call(Marginal, 1.2 - t, t - 0.2), Call(Marginal, 1 - t, t)
