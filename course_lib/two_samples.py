"""Do two clouds of points come from the same law? The energy distance, and how large it is by chance alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, estimated without bias from `x` (N, d) and `y` (M, d).

    It is 0 where the two laws are the same and above 0 where they are not (Szekely and Rizzo 2013); its estimate may
    fall below. Raises ValueError with fewer than two points on a side.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"expected at least two points on both sides, got {len(x)} and {len(y)}")
    return float(2 * torch.cdist(x, y).mean() - _spread(x) - _spread(y))


def _spread(x: Tensor) -> Tensor:
    """The mean distance between two different points of `x`."""
    return torch.cdist(x, x).sum() / (len(x) * (len(x) - 1))


def null_band(draw: Callable[[], Tensor], pairs: int = 100, level: float = 0.99) -> float:
    """What the energy distance stays below, with probability about `level`, when nothing but chance is at work.

    `draw()` returns an independent sample of the law, of the size to be tested, (N, d); `pairs` pairs of them are
    compared, and the quantile `level` of the distances is returned.
    """
    distances = torch.tensor([energy_distance(draw(), draw()) for _ in range(pairs)], dtype=torch.float64)
    return float(distances.quantile(level))
