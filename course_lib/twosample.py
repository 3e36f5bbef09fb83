"""Do two sets of samples come from the same law? The energy distance, judged against relabelled or fresh samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Verdict:
    """A distance between two samples, and the `limit` that 95 of 100 stay below if their laws are the same."""

    distance: float
    limit: float

    @property
    def same(self) -> bool:
        """Whether the distance is one that equal laws would give."""
        return self.distance <= self.limit

    def __str__(self) -> str:
        words = "no difference shown" if self.same else "different"
        return f"distance {self.distance:6.3f}, null band up to {self.limit:.3f}: {words}"


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| without bias, () float64, between the samples `x` (N, ...), `y` (M, ...).

    Its expectation is 0 exactly where the two laws are equal (Szekely and Rizzo 2013); an estimate may be negative.
    Raises ValueError with fewer than two samples on a side.
    """
    pooled = torch.cat([x, y]).flatten(1).double()
    label = torch.arange(len(pooled)) < len(x)
    return _statistic(torch.cdist(pooled, pooled), label)


def energy_test(x: Tensor, y: Tensor, generator: torch.Generator, permutations: int = 400) -> Verdict:
    """The energy distance of two samples, with its null band: the lower 95% among random relabellings of all samples.

    If both come from one law, labels mean nothing, and the distance is one more draw from the relabelled ones.
    """
    pooled = torch.cat([x, y]).flatten(1).double()
    apart = torch.cdist(pooled, pooled)
    label = torch.arange(len(pooled)) < len(x)
    shuffled = [_statistic(apart, label[torch.randperm(len(pooled), generator=generator)]) for _ in range(permutations)]
    return Verdict(float(_statistic(apart, label)), float(torch.stack(shuffled).quantile(0.95)))


def null_band(draw: Callable[[], Tensor], pairs: int = 100, level: float = 0.99) -> float:
    """What the energy distance stays below, with probability about `level`, when nothing but chance is at work.

    `draw()` returns an independent sample of the law, of the size to be tested, (N, ...); `pairs` pairs of them are
    compared, and the quantile `level` of the distances is returned.
    """
    return float(torch.stack([energy_distance(draw(), draw()) for _ in range(pairs)]).quantile(level))


def _statistic(apart: Tensor, first: Tensor) -> Tensor:
    """The distance from all pairs' distances (N + M, N + M) and who belongs to the first sample."""
    a, b = first.double(), (~first).double()
    n, m = a.sum(), b.sum()
    if n < 2 or m < 2:
        raise ValueError(f"expected at least two samples on each side, got {int(n)} and {int(m)}")
    rows = apart @ torch.stack([a, b], 1)
    within = (a @ rows[:, 0]) / (n * (n - 1)) + (b @ rows[:, 1]) / (m * (m - 1))
    return 2 * (a @ rows[:, 1]) / (n * m) - within
